/** Bounds of the exponential backoff, in milliseconds. */
export interface BackoffBounds {
  /** Upper bound of the first wait. */
  baseMs: number
  /** Upper bound that no wait exceeds. */
  capMs: number
}

/**
 * Exponential backoff with full jitter: a wait drawn evenly from 0 to `min(cap, base * 2^(attempt-1))`.
 *
 * @param attempt attempts made so far, 1 after the first
 * @param random a number in [0, 1)
 * @returns milliseconds to wait
 * @see contract section 6.7
 */
export function fullJitter(attempt: number, bounds: BackoffBounds, random: number): number {
  const ceiling = Math.min(bounds.capMs, bounds.baseMs * 2 ** Math.min(Math.max(attempt - 1, 0), 40))
  return Math.floor(random * ceiling)
}
