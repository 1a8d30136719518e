import { setTimeout as delay } from 'node:timers/promises'

/** Something that happens at a time: milliseconds from the start. */
export interface Timed {
  at: number
  run: () => void
}

/** Runs everything at its time; what is left when the signal comes is left out. */
export async function runTimetable(events: readonly Timed[], over: AbortSignal): Promise<void> {
  const begun = performance.now()
  for (const { at, run } of events.toSorted((a, b) => a.at - b.at)) {
    const wait = begun + at - performance.now()
    if (wait > 0) await delay(wait, undefined, { signal: over }).catch(() => undefined)
    if (over.aborted) return
    run()
  }
}
