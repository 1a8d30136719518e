import { Agent, buildConnector } from 'undici'
import type { Clock } from '../kernel/clock.ts'
import { guardedLookup, parseOutboundUrl, type OutboundPolicy } from '../kernel/outbound.ts'

/** Milliseconds that a receiver has for all of it, from the connection to its answer. */
export const TIMEOUT_MS = 15_000
/** Bytes of an answer's body that are looked at. */
const KEPT_BYTES = 1_024
/** Characters of an error's text that are kept. */
const KEPT_ERROR = 500

/** What came of one attempt. */
export interface Posted {
  /** Of the answer; null when there was none. */
  status: number | null
  /** The beginning of the answer's body. */
  body: string
  /** Why there was no answer, or why it does not count as taken; null when the receiver took the message. */
  error: string | null
  /** Seconds that a receiver with too much to do (429, 503) asked to be left alone; null when it did not. */
  retryAfterSeconds: number | null
}

/** Posts messages to receivers; see {@link createPoster}. */
export interface Poster {
  /** Never rejects, and settles by its time limit at the latest. */
  post: (url: string, headers: Record<string, string>, body: string, signal?: AbortSignal) => Promise<Posted>
  close: () => Promise<void>
}

/** What {@link createPoster} needs. */
export interface PosterOptions {
  policy: OutboundPolicy
  clock: Clock
  /** Milliseconds that one attempt may take (default {@link TIMEOUT_MS}). */
  timeoutMs?: number
}

/**
 * Posts messages. The URL is checked again for every attempt, and the addresses of its name when a socket is
 * opened; redirects are not followed: they would lead around both. Only a 2xx answer says that the message was
 * taken.
 */
export function createPoster({ policy, clock, timeoutMs = TIMEOUT_MS }: PosterOptions): Poster {
  const connector = (protocol: 'http' | 'https'): buildConnector.connector =>
    buildConnector({ allowH2: false, timeout: timeoutMs, lookup: guardedLookup(protocol, policy) })
  const secure = connector('https')
  const plain = connector('http')
  // How many are in flight is bounded by who posts. Sockets are shared by the destinations of one host: a
  // bound here would let a slow one hold up the others.
  const agent = new Agent({
    pipelining: 1,
    allowH2: false,
    connect: (target: buildConnector.Options, done: buildConnector.Callback) =>
      (target.protocol === 'https:' ? secure : plain)(target, done),
    headersTimeout: 0,
    bodyTimeout: 0,
  })

  const exchange = async (
    url: URL,
    headers: Record<string, string>,
    body: string,
    signal: AbortSignal,
  ): Promise<Posted> => {
    const path = url.pathname + url.search
    const answer = await agent.request({ origin: url.origin, path, method: 'POST', headers, body, signal })
    const status = answer.statusCode
    // The status has said it all: a body that does not come, or has no end, changes nothing.
    const begun = await beginningOf(answer.body).catch(() => '')
    const isTaken = status >= 200 && status < 300
    const asked = status === 429 || status === 503 ? answer.headers['retry-after'] : undefined
    return {
      status,
      body: begun,
      error: isTaken ? null : `The receiver answered ${status}.`,
      retryAfterSeconds: readRetryAfter([asked].flat()[0], clock.now()),
    }
  }

  return {
    post: async (url, headers, body, signal) => {
      const cut = new AbortController()
      const late = `The receiver did not answer within ${timeoutMs / 1000} s.`
      const cancel = clock.after(timeoutMs, () => cut.abort(new Error(late)))
      try {
        const target = parseOutboundUrl(url, 'URL', policy, { query: true })
        const either = signal === undefined ? cut.signal : AbortSignal.any([cut.signal, signal])
        return await exchange(target, headers, body, either)
      } catch (error) {
        return { status: null, body: '', error: textOf(error), retryAfterSeconds: null }
      } finally {
        cancel()
      }
    },
    close: () => agent.destroy(),
  }
}

/**
 * What a `Retry-After` asks for, seconds or a date (RFC 9110, 10.2.3).
 *
 * @param now milliseconds
 * @returns seconds from now; null for none, and for one that says nothing
 */
export function readRetryAfter(text: string | undefined, now: number): number | null {
  if (text === undefined) return null
  if (/^\d+$/.test(text)) return Number(text)
  // Digits alone are no date, and neither is anything without a name of a month.
  const at = /[A-Za-z]{3}/.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(at) ? null : Math.max(0, (at - now) / 1000)
}

/** At most {@link KEPT_BYTES} of a body; the connection of a longer one is closed. */
async function beginningOf(body: AsyncIterable<unknown> & { destroy: () => unknown }): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of body) {
    chunks.push(chunk as Buffer)
    bytes += (chunk as Buffer).length
    // leaving the loop destroys what is left of the body
    if (bytes >= KEPT_BYTES) break
  }
  // PostgreSQL's texts have no place for NUL
  return Buffer.concat(chunks).subarray(0, KEPT_BYTES).toString('utf8').replaceAll('\0', '')
}

function textOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  const text = (cause instanceof Error && cause.message) || code || String(error)
  return text.replaceAll('\0', '').slice(0, KEPT_ERROR)
}
