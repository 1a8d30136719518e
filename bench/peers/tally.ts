/** What has come of the writes, as far as this process knows. */
export interface Done {
  succeeded: number
  failed: number
  waiting: number
  calls: number
}

/**
 * Counts in memory: asking the database how many wait would slow down what is measured. It is asked only
 * when nothing known to this process is left, since other processes may have added or sent something.
 */
export class Tally {
  succeeded = 0
  failed = 0
  /** Calls to Salesforce that carried records. */
  calls = 0
  #known = 0
  readonly #countWaiting: () => Promise<number>

  constructor(countWaiting: () => Promise<number>) {
    this.#countWaiting = countWaiting
  }

  /** A write of this process is durable. */
  accepted(): void {
    this.#known += 1
  }

  /** For a process that takes none itself: what is there before its worker begins. */
  async findBacklog(): Promise<void> {
    this.#known = await this.#countWaiting()
  }

  async read(): Promise<Done> {
    const { succeeded, failed, calls } = this
    const left = this.#known - succeeded - failed
    return { succeeded, failed, waiting: left > 0 ? left : await this.#countWaiting(), calls }
  }
}
