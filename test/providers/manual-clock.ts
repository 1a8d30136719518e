import type { Clock } from '../../src/kernel/clock.ts'

/** A clock whose timers run when the test says so. */
export interface ManualClock extends Clock {
  /** Runs every timer that is still set. */
  expire(): void
}

export function manualClock(now = 1_700_000_000_000): ManualClock {
  const timers = new Set<() => void>()
  return {
    now: () => now,
    monotonic: () => now,
    after(_ms, fn) {
      timers.add(fn)
      return () => timers.delete(fn)
    },
    expire() {
      for (const fn of [...timers]) fn()
      timers.clear()
    },
  }
}
