import { PgBoss } from 'pg-boss'
import type { Sql, Tx } from '../db/connect.ts'
import { newId } from '../kernel/ids.ts'
import type { Logger } from '../kernel/log.ts'
import { messageOf } from '../kernel/errors.ts'
import { DEFAULT_LEASE_SECONDS } from '../model/lease.ts'
import { bossInTransaction, bossOnPool, takeTurn } from './boss-db.ts'
import { prepareSchedule, startSchedule, type Housekeeping } from './schedule.ts'

/**
 * Wake-ups: the part of the queue that says when. A wake-up is a pg-boss job that carries a lane's id
 * and nothing else. It is a hint: our tables say what there is to do, losing every job loses nothing
 * (the sweeper finds due lanes), and a job too many finds a lane that is not ready.
 *
 * One queue of policy `short` holds them: at most one waiting job per lane, beside those being worked
 * on. The job's group is the installation, and pg-boss's `groupConcurrency` bounds the jobs of one
 * installation that are worked on at once, over all processes. A job is worked on for as long as its
 * batch is in flight, so that bound is also the number of an installation's batches in flight.
 */

const LANE_QUEUE = 'lane-wakeup'
const SCHEMA = 'pgboss'

/** Fewer seconds without a sign of life pg-boss does not take (12.35.0). */
const LEAST_HEARTBEAT_SECONDS = 10

/**
 * When a dead worker's jobs are taken away, in seconds: `heartbeat` without a sign of life, looked for every
 * `look`. Together they are the lease of its batches, so that both give up their share of an
 * installation's concurrency at about the same time; a lease under 12 s ends before its job.
 */
function patience(leaseSeconds: number): { heartbeat: number; look: number } {
  const look = Math.max(1, Math.round(leaseSeconds / 10))
  return { heartbeat: Math.max(LEAST_HEARTBEAT_SECONDS, leaseSeconds - look), look }
}

/** A lane to be looked at, and when. */
export interface Wakeup {
  laneId: string
  installationId: string
  /** The lane's due time; a past time means now. */
  at: Date
}

/** A wake-up that this process works on. */
export interface LaneJob {
  jobId: string
  laneId: string
}

/** Options of {@link startWakeups}. */
export interface WakeupOptions {
  sql: Sql
  /** A pool whose statements share one connection, for pg-boss's own transactions. */
  serial: Sql
  logger: Logger
  /** Batches in flight per installation, over all processes. */
  groupConcurrency: number
  /** Seconds without a sign of life after which what a process holds is taken from it; the same in all. Default 30. */
  leaseSeconds?: number
  /** Whether this process works on jobs: it then listens, and keeps pg-boss's house in order. */
  worker: boolean
  /** What one worker of all does a few times an hour; without it this process takes no turn in that. */
  housekeeping?: Housekeeping
}

/** The only door to pg-boss. */
export interface Wakeups {
  /**
   * Sets the one waiting job of each lane to the lane's due time, in the caller's transaction. Call it
   * with the lane's row locked, or two callers may leave the later time.
   */
  nudge: (tx: Tx, wakeups: Wakeup[]) => Promise<void>
  /** Takes up to `count` jobs, at least 1, that are due, within each installation's concurrency. */
  fetch: (count: number) => Promise<LaneJob[]>
  /** Ends a job: it leaves the table, since nothing is to be learnt from a done hint. */
  done: (jobId: string) => Promise<void>
  /** Says that these jobs are still worked on. */
  touch: (jobIds: string[]) => Promise<void>
  /** Sets the listener that is called when a job may be waiting. */
  onWake: (listener: () => void) => void
  stop: () => Promise<void>
}

/** Creates or upgrades pg-boss's schema and our queue in it; safe in any number of processes at once. */
export async function migrateWakeups(serial: Sql): Promise<void> {
  const boss = new PgBoss({
    db: bossOnPool(serial, serial, () => undefined),
    schema: SCHEMA,
    supervise: false,
    schedule: false,
  })
  await boss.start()
  try {
    await boss.createQueue(LANE_QUEUE, queueOptions)
    await boss.updateQueue(LANE_QUEUE, { notify: true, retryLimit: 0, heartbeatSeconds })
    await prepareSchedule(boss)
    await indexKeys(serial)
  } finally {
    await boss.stop({ graceful: false, close: false })
  }
}

/**
 * pg-boss looks for the waiting job of a key among all that wait in the queue, and has no index for that:
 * with 10,000 lanes open, moving one lane's wake-up took 5 ms. Looked for first, since making an index that
 * is there locks the table all the same.
 */
async function indexKeys(serial: Sql): Promise<void> {
  await serial.begin(async (tx) => {
    // Processes that start together come one after the other.
    await tx`select pg_advisory_xact_lock(hashtextextended('writeback.waiting_key', 0))`
    const [found] = await tx<{ is: boolean }[]>`
      select to_regclass('pgboss.writeback_waiting_key') is not null as is`
    if (found?.is === true) return
    await tx`
      create index writeback_waiting_key on pgboss.job_common (name, singleton_key) where state < 'active'`
  })
}

/** Of a job that says nothing of its own. */
const heartbeatSeconds = patience(DEFAULT_LEASE_SECONDS).heartbeat

const queueOptions = {
  policy: 'short',
  notify: true,
  // A job is never retried: the sweeper makes a new one for a lane that is still due.
  retryLimit: 0,
  heartbeatSeconds,
  // A lane's deadline may lie a day ahead, and its job must outlive it.
  retentionSeconds: 7 * 86_400,
  deleteAfterSeconds: 60,
  expireInSeconds: 3600,
} as const

/** Starts pg-boss on our pool. The schema must be there: see {@link migrateWakeups}. */
export async function startWakeups(options: WakeupOptions): Promise<Wakeups> {
  let listener: () => void = () => undefined
  const { heartbeat, look } = patience(options.leaseSeconds ?? DEFAULT_LEASE_SECONDS)
  const housekeeping = options.worker ? options.housekeeping : undefined
  const boss = new PgBoss({
    db: bossOnPool(options.sql, options.serial, () => listener()),
    schema: SCHEMA,
    migrate: false,
    createSchema: false,
    schedule: housekeeping !== undefined,
    supervise: options.worker,
    superviseIntervalSeconds: look,
    monitorIntervalSeconds: look,
    useListenNotify: options.worker,
  })
  boss.on('error', (error) => options.logger.warn({ err: error }, 'pg-boss reported an error'))
  boss.on('warning', (warning) => options.logger.debug({ warning }, 'pg-boss warned'))
  await boss.start()
  const schedule = housekeeping === undefined ? null : await startSchedule(boss, housekeeping, options.logger)
  return {
    nudge: (tx, wakeups) => nudge(boss, tx, wakeups, heartbeat),
    fetch: (count) => fetch(boss, options, count),
    done: async (jobId) => {
      await boss.deleteJob(LANE_QUEUE, jobId)
    },
    touch: async (jobIds) => {
      if (jobIds.length > 0) await boss.touch(LANE_QUEUE, jobIds)
    },
    onWake: (fn) => {
      listener = fn
    },
    stop: async () => {
      listener = () => undefined
      await schedule?.stop()
      await boss.stop({ graceful: false, close: false }).catch((error: unknown) => {
        options.logger.warn({ error: messageOf(error) }, 'pg-boss did not stop cleanly')
      })
    },
  }
}

/** pg-boss writes the number into the statement's text: few numbers make few statements to prepare. */
const fetchSize = (count: number): number => 2 ** Math.floor(Math.log2(count))

async function fetch(boss: PgBoss, options: WakeupOptions, count: number): Promise<LaneJob[]> {
  const jobs = await options.serial.begin(async (tx) => {
    await takeTurn(tx)
    return boss.fetch<{ laneId: string }>(LANE_QUEUE, {
      batchSize: fetchSize(count),
      groupConcurrency: options.groupConcurrency,
      db: bossInTransaction(tx),
    })
  })
  return jobs.map((job) => ({ jobId: job.id, laneId: job.data.laneId }))
}

async function nudge(boss: PgBoss, tx: Tx, wakeups: Wakeup[], heartbeatSeconds: number): Promise<void> {
  if (wakeups.length === 0) return
  const db = bossInTransaction(tx)
  // In one order everywhere, so that two transactions that set the same lanes' jobs cannot deadlock.
  const ordered = wakeups.toSorted((a, b) => (a.laneId < b.laneId ? -1 : 1))
  const jobs = ordered.map((wakeup) => ({
    id: newId(),
    data: { laneId: wakeup.laneId },
    singletonKey: wakeup.laneId,
    startAfter: wakeup.at.toISOString(),
    group: { id: wakeup.installationId },
    heartbeatSeconds,
  }))
  // Sent together: whoever sets wake-ups holds their lanes, and others wait for those.
  const [inserted, moved] = await Promise.all([
    boss.insert(LANE_QUEUE, jobs, { db, returnId: true }).then((ids) => new Set(ids)),
    findMoved(tx, ordered),
  ])
  const updates = jobs.filter((job) => !inserted.has(job.id) && moved.has(job.singletonKey))
  // The lane has a waiting job already, for another time: it takes the lane's new one.
  await Promise.all(
    updates.map(({ singletonKey, startAfter }) =>
      boss.update(LANE_QUEUE, undefined, { singletonKey, startAfter, db }),
    ),
  )
}

/**
 * The lanes whose waiting job is for another time than wanted. One that is due needs no telling that it is:
 * with a backlog that is every one, after each claim.
 */
async function findMoved(tx: Tx, wakeups: Wakeup[]): Promise<Set<string>> {
  const rows = await tx<{ laneId: string }[]>`
    select j.singleton_key as "laneId"
    from (
      select lane_id, at::timestamptz as at
      from unnest(${wakeups.map((w) => w.laneId)}::text[], ${wakeups.map((w) => w.at.toISOString())}::text[]) as t (lane_id, at)
    ) wanted
    join pgboss.job_common j on j.name = ${LANE_QUEUE} and j.singleton_key = wanted.lane_id and j.state < 'active'
    where j.start_after <> wanted.at and greatest(j.start_after, wanted.at) > statement_timestamp()`
  return new Set(rows.map((row) => row.laneId))
}
