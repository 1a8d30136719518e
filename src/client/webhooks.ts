import type { DestinationTestEvent, WriteDoneDigest, WriteDoneEvent } from '../contract/notifications.ts'

export type {
  DestinationTestEvent,
  WriteDone,
  WriteDoneDigest,
  WriteDoneEvent,
} from '../contract/notifications.ts'

/** What a webhook is called with: each operation's outcome at least once. */
export type WebhookEvent = WriteDoneEvent | WriteDoneDigest | DestinationTestEvent

/** Headers as `fetch` or as Node's `http` have them. */
export type WebhookHeaders = Headers | Record<string, string | string[] | undefined>

/** Options of `verifyWebhook`. */
export interface VerifyOptions {
  /** Seconds that the notification's time may be off, either way. Default 300. */
  toleranceSeconds?: number | undefined
  /** The time of day, in milliseconds. Default: the clock's. */
  now?: number | undefined
}

/** A call of a webhook that is not to be trusted; the message says what is wrong. Answer it with 400. */
export class WebhookError extends Error {
  override readonly name = 'WebhookError'
}

const encoder = new TextEncoder()

/**
 * Verifies a call of a webhook by the Standard Webhooks scheme, and reads it.
 *
 * @param payload the body exactly as it arrived: one that was parsed and written again has another signature
 * @param secret the destination's (`whsec_…`); several while one is being replaced
 * @throws {WebhookError} when a header is missing, the time is off or no signature fits
 */
export async function verifyWebhook(
  payload: string | Uint8Array,
  headers: WebhookHeaders,
  secret: string | readonly string[],
  options: VerifyOptions = {},
): Promise<WebhookEvent> {
  const id = headerOf(headers, 'webhook-id')
  const timestamp = headerOf(headers, 'webhook-timestamp')
  const signatures = headerOf(headers, 'webhook-signature')
  checkTime(timestamp, options)
  const body = typeof payload === 'string' ? encoder.encode(payload) : payload
  const signed = concat(encoder.encode(`${id}.${timestamp}.`), body)
  const secrets = typeof secret === 'string' ? [secret] : secret
  if (!(await fits(signed, signatures, secrets))) throw new WebhookError('No signature fits.')
  try {
    return JSON.parse(new TextDecoder().decode(body)) as WebhookEvent
  } catch (error) {
    throw new WebhookError('The body is not JSON.', { cause: error })
  }
}

function headerOf(headers: WebhookHeaders, name: string): string {
  const value =
    headers instanceof Headers
      ? headers.get(name)
      : Object.entries(headers).find(([key]) => key.toLowerCase() === name)?.[1]
  const text = Array.isArray(value) ? value.join(' ') : value
  if (text === undefined || text === null || text === '')
    throw new WebhookError(`The header ${name} is missing.`)
  return text
}

/** An old notification may be one that somebody kept and sends again. */
function checkTime(timestamp: string, { toleranceSeconds = 300, now = Date.now() }: VerifyOptions): void {
  if (!/^\d{1,15}$/.test(timestamp)) throw new WebhookError('The header webhook-timestamp is no time.')
  const off = now / 1000 - Number(timestamp)
  if (off > toleranceSeconds) throw new WebhookError('The notification is too old.')
  if (off < -toleranceSeconds) throw new WebhookError("The notification's time is in the future.")
}

/** Whether one of the signatures was made with one of the secrets; the comparison takes the same time whatever it finds. */
async function fits(
  signed: Uint8Array<ArrayBuffer>,
  header: string,
  secrets: readonly string[],
): Promise<boolean> {
  const signatures = header
    .split(' ')
    .filter((part) => part.startsWith('v1,'))
    .map((part) => bytesOf(part.slice('v1,'.length)))
  for (const secret of secrets) {
    const bytes = bytesOf(secret.replace(/^whsec_/, ''))
    if (bytes === null || bytes.length === 0) throw new TypeError('A webhook secret is whsec_ and base64.')
    const key = await crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, [
      'verify',
    ])
    for (const signature of signatures)
      if (signature !== null && (await crypto.subtle.verify('HMAC', key, signature, signed))) return true
  }
  return false
}

/** Null for what is no base64. */
function bytesOf(base64: string): Uint8Array<ArrayBuffer> | null {
  try {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))
  } catch {
    return null
  }
}

function concat(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(first.length + second.length)
  both.set(first)
  both.set(second, first.length)
  return both
}
