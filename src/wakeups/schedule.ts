import type { PgBoss } from 'pg-boss'
import { messageOf } from '../kernel/errors.ts'
import type { Logger } from '../kernel/log.ts'

/**
 * House-keeping: work that one process of all does a few times an hour. pg-boss keeps the schedule in the
 * database. Of the processes that look at it one at a time has the right to (a row of pg-boss's own,
 * claimed for half a minute), and it files one job for each time that has come. The queue's policy
 * `exclusive` lets at most one job be there, waiting or worked on, so a run that takes longer than the
 * time between two is not joined by the next. Whoever fetches the job does the work; a process that dies
 * with it stops giving signs of life, and the job is taken away, so the next time has one again.
 */
const QUEUE = 'housekeeping'
const CRON = '*/15 * * * *'
/** Seconds between two looks for a job, and without a sign of life until one is taken away. */
const POLL_SECONDS = 5
const HEARTBEAT_SECONDS = 60

const queueOptions = {
  policy: 'exclusive',
  retryLimit: 0,
  heartbeatSeconds: HEARTBEAT_SECONDS,
  // Longer than any run takes: the sign of life is what tells a dead one.
  expireInSeconds: 6 * 3600,
  deleteAfterSeconds: 3600,
} as const

/** Makes the queue and sets the schedule; a time that passed while no process ran is made up for, once. */
export async function prepareSchedule(boss: PgBoss, cron = CRON): Promise<void> {
  await boss.createQueue(QUEUE, queueOptions)
  await boss.schedule(QUEUE, cron, null, { tz: 'UTC', missed: 'once' })
}

/** What is done when its time has come. Should end soon after the signal is aborted. */
export type Housekeeping = (signal: AbortSignal) => Promise<void>

/** A process's part in the house-keeping. */
export interface Schedule {
  /** Takes no further job, cuts the one at work short and waits for its end. Call it before pg-boss is stopped. */
  stop: () => Promise<void>
}

/** Has this process take its turns. pg-boss must have been made with `schedule: true`. */
export async function startSchedule(boss: PgBoss, run: Housekeeping, logger: Logger): Promise<Schedule> {
  const stopping = new AbortController()
  let current: Promise<void> = Promise.resolve()
  const handle = (jobSignal: AbortSignal): Promise<void> =>
    run(AbortSignal.any([stopping.signal, jobSignal])).catch((error: unknown) => {
      if (!stopping.signal.aborted) logger.warn({ error: messageOf(error) }, 'house-keeping failed')
    })
  await boss.work(QUEUE, { pollingIntervalSeconds: POLL_SECONDS }, ([job]) => {
    if (job !== undefined && !stopping.signal.aborted) current = handle(job.signal)
    return current
  })
  return {
    stop: async () => {
      stopping.abort()
      await current
    },
  }
}
