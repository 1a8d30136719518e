import type { RetrySettings } from './options.ts'

/**
 * Milliseconds before a call is tried again: exponential, half of it at random so that many callers do not
 * come at once, and never less than the service asked for.
 *
 * @param attempt the try that failed, from 1
 */
export function pauseAfter(attempt: number, retry: RetrySettings, retryAfterMs = 0): number {
  const full = Math.min(retry.maxDelayMs, retry.minDelayMs * 2 ** Math.min(attempt - 1, 30))
  const drawn = full / 2 + (Math.random() * full) / 2
  return retryAfterMs > 0 ? retryAfterMs + drawn : drawn
}

/** Resolves after that many milliseconds; rejects with the signal's reason when that comes first. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason as Error)
      return
    }
    const end = (): void => {
      signal?.removeEventListener('abort', abort)
      resolve()
    }
    const timer = setTimeout(end, ms)
    const abort = (): void => {
      clearTimeout(timer)
      reject(signal?.reason as Error)
    }
    signal?.addEventListener('abort', abort, { once: true })
  })
}

/** Settles as the work does; rejects with the signal's reason when that comes first. The work itself goes on. */
export function orAborted<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (signal === undefined) return work
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
