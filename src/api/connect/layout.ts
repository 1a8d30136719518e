import { Html, html } from '../../kernel/html.ts'
import { style, styleHash } from './style.ts'

/**
 * What a page may do: show itself in its own style, and send its form to where it came from. It is not the form
 * that leads to the login host but a link: browsers hold redirects after a form to `form-action` too, and a login
 * host may redirect on to any host by which a company signs in.
 */
export const contentSecurityPolicy = [
  "default-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  'img-src data:',
  `style-src ${styleHash}`,
].join('; ')

/** Headers of every page; the address of some is a secret. */
export const pageHeaders = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': contentSecurityPolicy,
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'x-robots-tag': 'noindex, nofollow',
}

/** A page as it is answered. */
export interface Page {
  status: number
  text: string
}

/** What the mark above the heading shows. */
export type Mood = 'plain' | 'good' | 'bad'

interface Parts {
  status: number
  /** What the browser calls the page. */
  title: string
  mood: Mood
  body: Html
  /** Where the browser goes on by itself. */
  next?: string
}

const cloud = html`<svg viewBox="0 0 24 24" width="28" height="28" fill="currentColor">
  <path
    d="M10 6.2a4.3 4.3 0 0 1 7.2 1.2 4.6 4.6 0 0 1 1.6-.3 4.7 4.7 0 0 1 0 9.4h-.6a3.6 3.6 0 0 1-4.7 1.4 4 4 0 0 1-7.2-.3 3.8 3.8 0 0 1-.7.1 3.8 3.8 0 0 1-1.6-7.2A4.3 4.3 0 0 1 10 6.2z"
  />
</svg>`

const line = (path: string) =>
  html`<svg
    viewBox="0 0 24 24"
    width="26"
    height="26"
    fill="none"
    stroke="currentColor"
    stroke-width="2.5"
    stroke-linecap="round"
    stroke-linejoin="round"
  >
    <path d="${path}" />
  </svg>`

const icons: Record<Mood, Html> = {
  plain: cloud,
  good: line('M5 13l4.5 4.5L19 7.5'),
  bad: line('M12 6v7.5M12 18h.01'),
}

const favicon =
  'data:image/svg+xml,%3Csvg xmlns=%22http://www.w3.org/2000/svg%22 viewBox=%220 0 16 16%22%3E%3Crect width=%2216%22 height=%2216%22 rx=%224%22 fill=%22%230b5cab%22/%3E%3Cpath d=%22M4 8.5l2.8 2.8L12 5.5%22 fill=%22none%22 stroke=%22%23fff%22 stroke-width=%222%22/%3E%3C/svg%3E'

/** In one piece: its hash is of every character between the tags. */
const styleElement = new Html(`<style>${style}</style>`)

/** Lays a page out. */
export function layOut({ status, title, mood, body, next }: Parts): Page {
  const refresh = next === undefined ? null : html`<meta http-equiv="refresh" content="0; url=${next}" />`
  const { text } = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        ${refresh}
        <title>${title}</title>
        <link rel="icon" href="${favicon}" />
        ${styleElement}
      </head>
      <body>
        <main>
          <div class="mark" aria-hidden="true"><span class="${mood}">${icons[mood]}</span></div>
          ${body}
        </main>
      </body>
    </html> `
  return { status, text }
}
