/** Runs work one at a time for each key, in the order in which it came; work under other keys goes on beside it. */
export type Turns = <T>(key: string, work: () => Promise<T>) => Promise<T>

/** Creates turns; what fails gives its turn to the next like what succeeds. */
export function createTurns(): Turns {
  const lasts = new Map<string, Promise<unknown>>()
  return async (key, work) => {
    const before = lasts.get(key)
    const mine = before === undefined ? work() : before.then(work)
    const last = mine.then(
      () => undefined,
      () => undefined,
    )
    lasts.set(key, last)
    try {
      return await mine
    } finally {
      if (lasts.get(key) === last) lasts.delete(key)
    }
  }
}
