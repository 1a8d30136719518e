/** How calls are repeated that may succeed another time. */
export interface RetryOptions {
  /** Most tries of one call, the first included. Default 8, which rides out a restart of the service. */
  attempts?: number | undefined
  /** Milliseconds before the second try; doubled for each one after it, half of it drawn at random. Default 200. */
  minDelayMs?: number | undefined
  /** The most milliseconds between two tries, unless `Retry-After` asks for more. Default 5,000. */
  maxDelayMs?: number | undefined
  /** A `Retry-After` beyond this many milliseconds is not waited for: the call fails at once. Default 60,000. */
  maxRetryAfterMs?: number | undefined
}

/** Options of `createClient`. */
export interface ClientOptions {
  /** Where the service listens, for example `http://127.0.0.1:8080`; a trailing `/v1` is understood too. */
  baseUrl: string
  /** A project's key, or the operator's. */
  apiKey: string
  /** Id or name of the project. */
  project: string
  /** Id or name of the integration that is written through, where a call names no other. */
  integration?: string | undefined
  /** What makes the requests. Default: the runtime's own `fetch`. */
  fetch?: typeof globalThis.fetch | undefined
  /** Milliseconds that one try of a call may take; those of a synchronous write are its `Request-Timeout`. Default 30,000. */
  timeoutMs?: number | undefined
  /** How calls are repeated; `false`: never. */
  retry?: RetryOptions | false | undefined
  /** Milliseconds that a write given to `enqueue` waits for others to share its call. Default 5. */
  coalesceMs?: number | undefined
  /** Bulk calls of `enqueue` and `writeMany` that may be in flight at once. Default 4. */
  bulkCalls?: number | undefined
}

/** What every call takes. */
export interface CallOptions {
  /** Ends the call, whatever it is doing; it then rejects with the signal's reason. */
  signal?: AbortSignal | undefined
  /** Milliseconds that one try may take; the client's when absent. */
  timeoutMs?: number | undefined
}

/** The retry options with their defaults. */
export type RetrySettings = { [Key in keyof RetryOptions]-?: number }

/** The options, checked and complete. */
export interface Settings {
  /** Ends in `/v1`. */
  root: string
  apiKey: string
  project: string
  integration: string | undefined
  fetch: typeof globalThis.fetch
  timeoutMs: number
  retry: RetrySettings
  coalesceMs: number
  bulkCalls: number
}

const DEFAULT_RETRY: RetrySettings = {
  attempts: 8,
  minDelayMs: 200,
  maxDelayMs: 5_000,
  maxRetryAfterMs: 60_000,
}

/**
 * Checks the options of a client.
 *
 * @throws {TypeError} naming the option that cannot be used, never its value when that is a secret
 */
export function readOptions(options: ClientOptions): Settings {
  const retry = options.retry === false ? { attempts: 1 } : (options.retry ?? {})
  // A header cannot carry anything else, and a runtime's own complaint would quote the key.
  if (typeof options.apiKey !== 'string' || !/^[!-~]+$/.test(options.apiKey))
    throw new TypeError('apiKey must be a text of visible ASCII characters')
  return {
    root: rootOf(options.baseUrl),
    apiKey: options.apiKey,
    project: segment('project', options.project),
    integration: options.integration,
    fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
    timeoutMs: atLeast('timeoutMs', options.timeoutMs ?? 30_000, 1),
    retry: {
      attempts: atLeast('retry.attempts', retry.attempts ?? DEFAULT_RETRY.attempts, 1),
      minDelayMs: atLeast('retry.minDelayMs', retry.minDelayMs ?? DEFAULT_RETRY.minDelayMs, 0),
      maxDelayMs: atLeast('retry.maxDelayMs', retry.maxDelayMs ?? DEFAULT_RETRY.maxDelayMs, 0),
      maxRetryAfterMs: atLeast(
        'retry.maxRetryAfterMs',
        retry.maxRetryAfterMs ?? DEFAULT_RETRY.maxRetryAfterMs,
        0,
      ),
    },
    coalesceMs: atLeast('coalesceMs', options.coalesceMs ?? 5, 0),
    bulkCalls: atLeast('bulkCalls', options.bulkCalls ?? 4, 1),
  }
}

function rootOf(text: string): string {
  if (typeof text !== 'string' || !URL.canParse(text)) throw new TypeError('baseUrl must be a URL')
  const url = new URL(text)
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new TypeError('baseUrl must begin with http:// or https://')
  if (url.username !== '' || url.password !== '')
    throw new TypeError('baseUrl must not carry credentials: give the key as apiKey')
  const path = url.pathname.replace(/\/+$/, '').replace(/\/v1$/, '')
  return `${url.origin}${path}/v1`
}

/** The number, when it is one that can be used. */
export function atLeast(name: string, value: number, least: number): number {
  if (typeof value === 'number' && value >= least && value !== Infinity) return value
  throw new TypeError(`${name} must be a number of at least ${least}`)
}

/** A part of a path, when it is one that can be used. */
export function segment(name: string, value: string | undefined): string {
  if (typeof value === 'string' && value !== '') return value
  throw new TypeError(`${name} must be given`)
}
