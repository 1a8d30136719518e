import { answerError, isWritebackError, lostError, WritebackError } from './errors.ts'
import type { Settings } from './options.ts'
import { pause, pauseAfter } from './pauses.ts'
import { version } from './version.ts'

/** One call of the service. */
export interface Request {
  method: 'GET' | 'POST'
  /** Below `/v1`, encoded. */
  path: string
  headers?: Record<string, string>
  body?: string | Uint8Array<ArrayBuffer>
  /**
   * Whether it may be made again when its answer was lost: `always` where a repeat does no harm, `unsent` where
   * only a request may be repeated that certainly was not taken.
   */
  repeat: 'always' | 'unsent'
  /** Milliseconds without a sign of the service after which a try is given up. */
  timeoutMs: number
  signal?: AbortSignal | undefined
  /** Statuses besides 2xx that are answers. A problem is none, whatever its status. */
  answers?: number[]
  /** Most tries; the client's when absent. */
  attempts?: number
  /** The time of day, in milliseconds, after which nothing is tried again. */
  until?: number | undefined
}

/** An answer, read whole. */
export interface Answer<T> {
  status: number
  headers: Headers
  body: T
}

/** Makes calls. */
export interface Transport {
  /**
   * Makes a call, repeatedly where that can help and does no harm.
   * @throws {WritebackError} or the signal's reason
   */
  call: <T>(request: Request) => Promise<Answer<T>>
  /**
   * Makes one try of a call and reads its answer as it arrives.
   *
   * @param read gets what to call at each sign of life, so that the time begins anew
   * @throws {WritebackError} or the signal's reason
   */
  stream: <T>(request: Request, read: (response: Response, alive: () => void) => Promise<T>) => Promise<T>
}

/** Codes of synchronous writes that were tried: a repeat is answered the same, or could write again. */
const triedCodes = new Set([
  'OUTCOME_UNKNOWN',
  'STILL_TRYING',
  'RECORD_BUSY',
  'PROVIDER_UNREACHABLE',
  'PROVIDER_TIMEOUT',
])

/** Whether the same request may be sent again after this, and could then succeed. */
export function isWorthRepeating(error: WritebackError, repeat: Request['repeat']): boolean {
  const { status, code, wasSent } = error
  if (status === undefined) return repeat === 'always' || !wasSent
  if (status === 409) return code === 'IDEMPOTENCY_KEY_IN_USE'
  // Both say that nothing was taken.
  if (status === 429 || status === 408) return true
  return repeat === 'always' && [502, 503, 504].includes(status) && !triedCodes.has(code)
}

/** Makes the calls of a client. */
export function createTransport(settings: Settings): Transport {
  const { root, apiKey, retry } = settings
  const agent = `writeback-client/${version}`

  const stream: Transport['stream'] = async (request, read) => {
    const { method, path, headers, body, signal, timeoutMs } = request
    signal?.throwIfAborted()
    const ending = new AbortController()
    const end = (): void => ending.abort(signal?.reason)
    signal?.addEventListener('abort', end, { once: true })
    let timer: ReturnType<typeof setTimeout> | undefined
    const alive = (): void => {
      clearTimeout(timer)
      timer = setTimeout(() => ending.abort(), timeoutMs)
    }
    alive()
    try {
      const response = await settings.fetch(root + path, {
        method,
        headers: { accept: 'application/json', 'user-agent': agent, 'x-api-key': apiKey, ...headers },
        ...(body === undefined ? {} : { body }),
        signal: ending.signal,
        // A redirect would carry the key to wherever it points.
        redirect: 'manual',
      })
      return await read(response, alive)
    } catch (error) {
      if (hasAborted(signal)) throw signal?.reason
      if (isWritebackError(error)) throw error
      if (ending.signal.aborted) throw timeoutError(timeoutMs, error)
      throw lostError(error)
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', end)
    }
  }

  const callOnce = <T>(request: Request): Promise<Answer<T>> =>
    stream(request, async (response) => readAnswer<T>(response, await response.text(), request.answers ?? []))

  /** Whether and in how many milliseconds to try again; null for not at all. */
  const pauseBefore = (
    request: Request,
    error: unknown,
    attempt: number,
    twinUntil: number,
  ): number | null => {
    if (!isWritebackError(error) || !isWorthRepeating(error, request.repeat)) return null
    const { code, retryAfterMs = 0 } = error
    const attempts = request.attempts ?? retry.attempts
    // How long the first call with the key still runs is a matter of its time, not of tries.
    const isTwin = code === 'IDEMPOTENCY_KEY_IN_USE' && attempts > 1 && Date.now() < twinUntil
    if ((attempt >= attempts && !isTwin) || retryAfterMs > retry.maxRetryAfterMs) return null
    const ms = pauseAfter(attempt, retry, retryAfterMs)
    return Date.now() + ms < (request.until ?? Infinity) ? ms : null
  }

  const call: Transport['call'] = async (request) => {
    const twinUntil = Date.now() + request.timeoutMs
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await callOnce(request)
      } catch (error) {
        const ms = pauseBefore(request, error, attempt, twinUntil)
        if (ms === null) throw error
        await pause(ms, request.signal)
      }
    }
  }
  return { call, stream }
}

/** Looked at anew: the compiler takes a signal that was not aborted before for one that never is. */
const hasAborted = (signal: AbortSignal | undefined): boolean => signal?.aborted === true

const timeoutError = (timeoutMs: number, cause: unknown): WritebackError =>
  new WritebackError('TIMEOUT', `There was no answer within ${timeoutMs} ms.`, { retryable: true, cause })

/**
 * What an answer says.
 * @throws {WritebackError} when it is not what was asked for
 */
export function readAnswer<T>(response: Response, text: string, answers: number[]): Answer<T> {
  const { status, headers } = response
  const body = parse(text)
  const isJson = /^application\/json\b/.test(headers.get('content-type') ?? '') && body !== undefined
  if (isJson && (response.ok || answers.includes(status))) return { status, headers, body: body as T }
  throw answerError(status, headers, body)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
