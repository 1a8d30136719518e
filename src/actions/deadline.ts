import type { Clock } from '../kernel/clock.ts'
import { WritebackError } from '../kernel/errors.ts'

/** The answer to a call that took all its time before anything left for the provider. */
const timeIsUp = (): WritebackError =>
  new WritebackError('PROVIDER_TIMEOUT', 'The time of the call was up before the provider had answered.', {
    remedy: 'Send the call again, with more time (Request-Timeout).',
  })

/** The time that one call may take. */
export class Deadline {
  /** Ends the provider's calls early, when the process is to stop. */
  readonly signal: AbortSignal
  readonly #clock: Clock
  readonly #until: number

  /** @param ms milliseconds from now */
  constructor(clock: Clock, ms: number, signal: AbortSignal) {
    this.#clock = clock
    this.#until = clock.monotonic() + ms
    this.signal = signal
  }

  /** Milliseconds that are left; 0 when none are. */
  leftMs(): number {
    return this.signal.aborted ? 0 : Math.max(0, this.#until - this.#clock.monotonic())
  }

  /**
   * What comes of a promise within the time; whatever comes later is nobody's any more.
   *
   * @throws {WritebackError} PROVIDER_TIMEOUT
   */
  async within<T>(promise: Promise<T>): Promise<T> {
    promise.catch(() => undefined)
    const { promise: late, reject } = Promise.withResolvers<never>()
    const onOver = (): void => reject(timeIsUp())
    const cancel = this.#clock.after(this.leftMs(), onOver)
    this.signal.addEventListener('abort', onOver, { once: true })
    try {
      return await Promise.race([promise, late])
    } finally {
      cancel()
      this.signal.removeEventListener('abort', onOver)
    }
  }
}
