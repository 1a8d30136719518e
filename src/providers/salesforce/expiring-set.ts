import type { Clock } from '../../kernel/clock.ts'

/** What was learnt of an org and holds for a while. Bounded: the oldest is forgotten first. */
export class ExpiringSet {
  readonly #until = new Map<string, number>()
  readonly #clock: Clock
  readonly #lifeMs: number
  readonly #capacity: number

  /** @param lifeMs milliseconds that an entry is kept */
  constructor(clock: Clock, lifeMs: number, capacity = 1000) {
    this.#clock = clock
    this.#lifeMs = lifeMs
    this.#capacity = capacity
  }

  add(key: string): void {
    this.#until.delete(key)
    this.#until.set(key, this.#clock.monotonic() + this.#lifeMs)
    const [oldest] = this.#until.keys()
    if (this.#until.size > this.#capacity && oldest !== undefined) this.#until.delete(oldest)
  }

  has(key: string): boolean {
    const until = this.#until.get(key)
    if (until === undefined) return false
    if (until > this.#clock.monotonic()) return true
    this.#until.delete(key)
    return false
  }
}
