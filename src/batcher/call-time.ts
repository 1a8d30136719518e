import type { Clock } from '../kernel/clock.ts'

/** Milliseconds after which a provider call is cut off that has not given itself up by its own time limit. */
const GRACE_MS = 100

/** What is thrown in place of what did not come within a call's time. */
class TimeOver extends Error {
  constructor() {
    super('The time of the call was over.')
    this.name = 'TimeOver'
  }
}

/** The time that a synchronous call may take; it also ends when the process is to stop. End it with `end`. */
export class CallTime {
  readonly #clock: Clock
  readonly #until: number
  readonly #over = new AbortController()
  readonly #calls = new AbortController()
  readonly #cancels: (() => void)[]
  readonly #cut: AbortSignal
  readonly #onCut = (): void => {
    this.#over.abort()
    this.#calls.abort()
  }

  /**
   * @param ms milliseconds from now
   * @param cut ends it early
   */
  constructor(clock: Clock, ms: number, cut: AbortSignal) {
    this.#clock = clock
    this.#until = clock.monotonic() + ms
    this.#cancels = [
      clock.after(ms, () => this.#over.abort()),
      clock.after(ms + GRACE_MS, () => this.#calls.abort()),
    ]
    this.#cut = cut
    cut.addEventListener('abort', this.#onCut, { once: true })
    if (cut.aborted) this.#onCut()
  }

  /** For provider calls, whose own time limit says best what happened: aborted a little after the time. */
  get callSignal(): AbortSignal {
    return this.#calls.signal
  }

  /** Milliseconds that are left; 0 or less when none are. */
  leftMs(): number {
    return this.#over.signal.aborted ? 0 : this.#until - this.#clock.monotonic()
  }

  /** What comes of a promise within the time; {@link isOver} tells the error that stands for nothing. */
  async within<T>(promise: Promise<T>): Promise<T> {
    const { promise: late, reject } = Promise.withResolvers<never>()
    const onOver = (): void => reject(new TimeOver())
    // Whoever gives up on it is not told any more how it ends.
    promise.catch(() => undefined)
    const { signal } = this.#over
    signal.addEventListener('abort', onOver, { once: true })
    if (signal.aborted) onOver()
    try {
      return await Promise.race([promise, late])
    } finally {
      signal.removeEventListener('abort', onOver)
    }
  }

  isOver(error: unknown): boolean {
    return error instanceof TimeOver
  }

  /** Resolves after some milliseconds, or when the time is over. */
  async wait(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>()
    const cancel = this.#clock.after(ms, () => resolve(undefined))
    await this.within(promise).catch(() => undefined)
    cancel()
  }

  end(): void {
    for (const cancel of this.#cancels) cancel()
    this.#cut.removeEventListener('abort', this.#onCut)
  }
}
