import { fullJitter } from '../kernel/backoff.ts'
import type { Clock } from '../kernel/clock.ts'
import { dropOldest } from './held-sessions.ts'
import type { SessionUnavailable } from './session-errors.ts'

/** Bounds of the wait after a failure that is not the credentials' fault: login hosts limit log-ins too. */
const bounds = { baseMs: 1_000, capMs: 30_000 }

interface Cooldown {
  until: number
  failures: number
  error: SessionUnavailable
}

/** Failures to open sessions, remembered so that what waits for a connection does not besiege its login host. */
export class Cooldowns {
  readonly #clock: Clock
  readonly #max: number
  readonly #byConnection = new Map<string, Cooldown>()

  constructor(clock: Clock, max: number) {
    this.#clock = clock
    this.#max = max
  }

  /** @throws {SessionUnavailable} the last failure, until the wait after it is over */
  check(id: string): void {
    const cooling = this.#byConnection.get(id)
    if (cooling !== undefined && cooling.until > this.#clock.monotonic()) throw cooling.error
  }

  /** Remembers a failure; the wait grows with each in a row. */
  note(id: string, error: SessionUnavailable): SessionUnavailable {
    const failures = (this.#byConnection.get(id)?.failures ?? 0) + 1
    const waitMs = bounds.baseMs / 2 + fullJitter(failures, bounds, Math.random())
    this.#byConnection.set(id, { until: this.#clock.monotonic() + waitMs, failures, error })
    dropOldest(this.#byConnection, this.#max)
    return error
  }

  forget(id: string): void {
    this.#byConnection.delete(id)
  }

  forgetAll(): void {
    this.#byConnection.clear()
  }
}
