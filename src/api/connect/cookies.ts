import type { FastifyReply } from 'fastify'

/** Seconds that a browser keeps what it is known by: as long as a sign-in may take. */
const MAX_AGE = 15 * 60

/** One for each link, so that two of them can be open side by side. */
const nameFor = (linkId: string): string => `writeback_connect_${linkId.replaceAll('-', '')}`

/**
 * Leaves with the browser what it is known by when it comes back. `Lax`, not `Strict`: coming back is a link from
 * another site.
 */
export function setCookie(reply: FastifyReply, linkId: string, value: string, publicUrl: string): void {
  const { protocol, pathname } = new URL(publicUrl)
  const path = `${pathname.replace(/\/$/, '')}/connect`
  const attributes = [`Max-Age=${MAX_AGE}`, `Path=${path}`, 'HttpOnly', 'SameSite=Lax']
  if (protocol === 'https:') attributes.push('Secure')
  reply.header('set-cookie', [`${nameFor(linkId)}=${value}`, ...attributes].join('; '))
}

/** What a browser kept for a link. */
export function readCookie(header: string | undefined, linkId: string): string | null {
  const prefix = `${nameFor(linkId)}=`
  const found = header
    ?.split(';')
    .map((part) => part.trim())
    .find((part) => part.startsWith(prefix))
  return found?.slice(prefix.length) ?? null
}
