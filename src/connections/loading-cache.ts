import type { Clock } from '../kernel/clock.ts'

export interface LoadingCacheOptions {
  /** The most entries kept; the least recently used, to the second, go first. */
  max: number
  /** Milliseconds after which an entry is loaded again even if nothing said that it changed. */
  ttlMs: number
  /** Milliseconds that a reload may take before the old value is answered instead. */
  patienceMs: number
  clock: Clock
  /** Whether a failed load may be answered with the old value: the source is away, rather than wrong. */
  mayServeOld: (error: unknown) => boolean
}

interface Entry<V> {
  value: V
  generation: number
  loadedAt: number
  /** When it was last put behind all others, as the one that goes last. */
  movedAt: number
}

/** Milliseconds within which an entry counts as used just now: moving it at every use costs more than finding it. */
const JUST_NOW_MS = 1_000

interface Flight<V> {
  generation: number
  promise: Promise<V | null>
}

/**
 * A bounded cache in front of a slow source. Loads of one key are shared. What the source does not have
 * is not remembered, so a new thing is found at once and a flood of wrong names takes no memory.
 *
 * An expired entry is still answered while the source is away or slow: with the database down, what this
 * process has used before keeps working (contract section 5). A load that began before
 * {@link LoadingCache.expireAll} neither counts as fresh nor is shared with those who come after it.
 */
export class LoadingCache<V extends object> {
  readonly #options: LoadingCacheOptions
  readonly #entries = new Map<string, Entry<V>>()
  readonly #flights = new Map<string, Flight<V>>()
  #generation = 0

  constructor(options: LoadingCacheOptions) {
    this.#options = options
  }

  /** Entries held, fresh or not. */
  get size(): number {
    return this.#entries.size
  }

  /** Nothing held counts as fresh any more. */
  expireAll(): void {
    this.#generation++
  }

  /** The value of a key, loaded unless a fresh one is held; null when the source does not have it. */
  get(key: string, load: () => Promise<V | null>): Promise<V | null> {
    const entry = this.#entries.get(key)
    if (entry === undefined) return this.#load(key, load)
    const now = this.#options.clock.monotonic()
    if (now - entry.movedAt >= JUST_NOW_MS) {
      entry.movedAt = now
      this.#entries.delete(key)
      this.#entries.set(key, entry)
    }
    const isFresh = entry.generation === this.#generation && now - entry.loadedAt < this.#options.ttlMs
    return isFresh ? Promise.resolve(entry.value) : this.#reload(entry.value, key, load)
  }

  #load(key: string, load: () => Promise<V | null>): Promise<V | null> {
    const flying = this.#flights.get(key)
    if (flying?.generation === this.#generation) return flying.promise
    const generation = this.#generation
    const flight: Flight<V> = {
      generation,
      promise: load()
        .then((value) => {
          this.#keep(key, value, generation)
          return value
        })
        .finally(() => {
          if (this.#flights.get(key) === flight) this.#flights.delete(key)
        }),
    }
    this.#flights.set(key, flight)
    return flight.promise
  }

  #keep(key: string, value: V | null, generation: number): void {
    const held = this.#entries.get(key)
    if (held !== undefined && held.generation > generation) return
    this.#entries.delete(key)
    if (value === null) return
    const now = this.#options.clock.monotonic()
    this.#entries.set(key, { value, generation, loadedAt: now, movedAt: now })
    if (this.#entries.size <= this.#options.max) return
    const [oldest] = this.#entries.keys()
    if (oldest !== undefined) this.#entries.delete(oldest)
  }

  async #reload(old: V, key: string, load: () => Promise<V | null>): Promise<V | null> {
    let cancel: () => void = () => undefined
    const patience = new Promise<V>((resolve) => {
      cancel = this.#options.clock.after(this.#options.patienceMs, () => resolve(old))
    })
    const loaded = this.#load(key, load).catch((error: unknown) => {
      if (this.#options.mayServeOld(error)) return old
      throw error
    })
    try {
      return await Promise.race([loaded, patience])
    } finally {
      cancel()
      // a load that fails after patience ran out has nobody left to tell
      loaded.catch(() => undefined)
    }
  }
}
