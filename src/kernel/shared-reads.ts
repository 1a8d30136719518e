/** Options of {@link createSharedReads}. */
export interface SharedReadOptions<V> {
  /** Reads values of one scope by their keys, which differ; a key without a value is left out. */
  readMany: (scope: string, keys: string[]) => Promise<ReadonlyMap<string, V>>
  /** Keys that one reading takes. */
  max: number
  /** Readings of one scope under way at once. */
  flights: number
}

interface Scope<V> {
  waiting: Map<string, PromiseWithResolvers<V | null>>
  flying: number
}

/**
 * Reads one value at a time for its callers, and many at a time from its source: what is asked for while
 * as many readings are under way as may be is read together by the next one. Idle, nothing waits. A value
 * is never older than the question: nobody joins a reading that has begun.
 *
 * @returns the value of a key, null where there is none; rejects with the reading's error
 */
export function createSharedReads<V>(
  options: SharedReadOptions<V>,
): (scope: string, key: string) => Promise<V | null> {
  const scopes = new Map<string, Scope<V>>()

  async function fly(name: string, scope: Scope<V>): Promise<void> {
    const taken = [...scope.waiting].slice(0, options.max)
    for (const [key] of taken) scope.waiting.delete(key)
    scope.flying += 1
    try {
      const values = await options.readMany(
        name,
        taken.map(([key]) => key),
      )
      for (const [key, { resolve }] of taken) resolve(values.get(key) ?? null)
    } catch (error) {
      for (const [, { reject }] of taken) reject(error)
    } finally {
      scope.flying -= 1
      if (scope.waiting.size > 0) void fly(name, scope)
      else if (scope.flying === 0) scopes.delete(name)
    }
  }

  return (name, key) => {
    const scope: Scope<V> = scopes.get(name) ?? { waiting: new Map(), flying: 0 }
    scopes.set(name, scope)
    const waiter: PromiseWithResolvers<V | null> = scope.waiting.get(key) ?? Promise.withResolvers()
    scope.waiting.set(key, waiter)
    if (scope.flying < options.flights) void fly(name, scope)
    return waiter.promise
  }
}
