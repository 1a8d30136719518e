import { setTimeout as sleep } from 'node:timers/promises'

/** What one request got of the rows that it wanted to lock. */
export interface LockHold {
  /** The rows that others held until the wait was over. */
  readonly lockedOut: ReadonlySet<string>
  release(): void
}

/** The rows locked by requests in flight, by record id (facts 8). */
export class RowLocks {
  readonly #held = new Set<string>()
  #released = Promise.withResolvers<undefined>()

  /**
   * Locks rows: at once those that are free, the others as they become free within `waitMs`. Two
   * requests that wait for each other both give up, as after the platform's own wait.
   */
  async acquire(wanted: ReadonlySet<string>, waitMs: number): Promise<LockHold> {
    const own = new Set<string>()
    let missing = this.#take(wanted, own)
    if (missing.size > 0 && waitMs > 0) {
      const over = sleep(waitMs, 'over', { ref: false })
      while (missing.size > 0 && (await Promise.race([over, this.#released.promise])) !== 'over') {
        missing = this.#take(missing, own)
      }
    }
    return { lockedOut: missing, release: () => this.#release(own) }
  }

  /** Takes what is free and returns the rest. */
  #take(wanted: ReadonlySet<string>, own: Set<string>): Set<string> {
    const missing = new Set<string>()
    for (const id of wanted) {
      if (this.#held.has(id)) {
        missing.add(id)
        continue
      }
      this.#held.add(id)
      own.add(id)
    }
    return missing
  }

  #release(own: Set<string>): void {
    for (const id of own) this.#held.delete(id)
    own.clear()
    this.#released.resolve(undefined)
    this.#released = Promise.withResolvers()
  }
}
