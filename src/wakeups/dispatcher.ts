import type { Clock } from '../kernel/clock.ts'
import type { Logger } from '../kernel/log.ts'
import { messageOf } from '../kernel/errors.ts'
import type { LaneJob, Wakeups } from './wakeups.ts'

/** Longest wait between two looks at the queue, in milliseconds: what a lost notification costs. */
const POLL_MS = 500

/** What a running job must heed. */
export interface Turn {
  /** Whether the process is about to stop: finish what is begun, begin nothing. */
  stopping: () => boolean
  /** Aborted when the time to finish is over. */
  signal: AbortSignal
}

/** Options of {@link startDispatcher}. */
export interface DispatcherOptions {
  wakeups: Pick<Wakeups, 'fetch' | 'done' | 'touch' | 'onWake'>
  /** Works on one lane until it is not ready any more; errors are logged, the job ends all the same. */
  run: (laneId: string, turn: Turn) => Promise<void>
  /** Milliseconds until the next lane falls due, or null when none does. */
  nextDueMs: () => Promise<number | null>
  /** Jobs that this process works on at once. */
  slots: number
  /** Milliseconds between two signs of life of the jobs at work. */
  touchMs: number
  clock: Clock
  logger: Logger
}

/** A running dispatcher. */
export interface Dispatcher {
  /** Jobs being worked on now. */
  readonly active: number
  /** Takes no more jobs, waits for those at work for `drainMs`, then aborts them and waits for their end. */
  stop: (drainMs: number) => Promise<void>
}

/**
 * Takes due wake-ups and runs them, many at once. It looks at the queue when notified, when a slot
 * falls free after a full fetch, at the moment the next lane falls due (a timer, so that a deadline
 * is met to the millisecond rather than to the poll), and every {@link POLL_MS} as a floor.
 */
export function startDispatcher(options: DispatcherOptions): Dispatcher {
  return new LaneDispatcher(options)
}

class LaneDispatcher implements Dispatcher {
  readonly #options: DispatcherOptions
  readonly #running = new Map<string, Promise<void>>()
  readonly #abort = new AbortController()
  readonly #loop: Promise<void>
  #stopping = false
  #kicked = false
  #wake: () => void = () => undefined
  #cancelTouch: () => void = () => undefined

  constructor(options: DispatcherOptions) {
    this.#options = options
    options.wakeups.onWake(() => this.#kick())
    this.#scheduleTouch()
    this.#loop = this.#run()
  }

  get active(): number {
    return this.#running.size
  }

  async stop(drainMs: number): Promise<void> {
    this.#stopping = true
    this.#kick()
    await this.#loop
    const cancel = this.#options.clock.after(drainMs, () => this.#abort.abort())
    await Promise.allSettled(this.#running.values())
    cancel()
    this.#cancelTouch()
  }

  #kick(): void {
    this.#kicked = true
    this.#wake()
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      this.#kicked = false
      const pause = await this.#look()
      if (pause > 0) await this.#sleep(pause)
    }
  }

  /** One look at the queue; returns how long to wait before the next. */
  async #look(): Promise<number> {
    const free = this.#options.slots - this.#running.size
    if (free <= 0) return POLL_MS
    try {
      const jobs = await this.#options.wakeups.fetch(free)
      for (const job of jobs) this.#start(job)
      if (jobs.length > 0) return 0
      const due = await this.#options.nextDueMs()
      return due === null ? POLL_MS : Math.min(Math.max(due, 1), POLL_MS)
    } catch (error) {
      this.#options.logger.warn({ error: messageOf(error) }, 'the wake-up queue could not be read')
      return POLL_MS
    }
  }

  #start(job: LaneJob): void {
    const work = this.#options
      .run(job.laneId, { stopping: () => this.#stopping, signal: this.#abort.signal })
      .catch((error: unknown) => {
        this.#options.logger.error({ err: error, laneId: job.laneId }, 'a lane could not be worked on')
      })
      .then(() => this.#options.wakeups.done(job.jobId))
      .catch((error: unknown) => {
        // Without its end the job stays until its heartbeat runs out; the lane itself loses nothing.
        this.#options.logger.warn(
          { error: messageOf(error), laneId: job.laneId },
          'a wake-up could not be ended',
        )
      })
      .finally(() => {
        this.#running.delete(job.jobId)
        this.#kick()
      })
    this.#running.set(job.jobId, work)
  }

  #sleep(ms: number): Promise<void> {
    if (this.#kicked || this.#stopping) return Promise.resolve()
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(ms, () => this.#wake())
      this.#wake = () => {
        cancel()
        this.#wake = () => undefined
        resolve()
      }
    })
  }

  #scheduleTouch(): void {
    this.#cancelTouch = this.#options.clock.after(this.#options.touchMs, () => {
      this.#options.wakeups.touch([...this.#running.keys()]).catch((error: unknown) => {
        this.#options.logger.warn({ error: messageOf(error) }, 'wake-ups could not be kept alive')
      })
      this.#scheduleTouch()
    })
  }
}
