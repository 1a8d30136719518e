/**
 * Source of process time and timers. Everything in the process that waits takes one, so that a test
 * can move time by hand. Deadlines of writes do not use it: those are kept and compared in the
 * database's time, so that processes on skewed hosts agree.
 */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Milliseconds on a clock that never goes back; for durations. */
  monotonic(): number
  /** Runs `fn` after `ms` milliseconds; the returned function cancels it. Never keeps the process alive by itself. */
  after(ms: number, fn: () => void): () => void
}

/** The real clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (ms, fn) => {
    const timer = setTimeout(fn, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
}
