import type { Sql } from '../db/connect.ts'
import { isDatabaseUnavailable } from '../db/pg-errors.ts'
import type { Clock } from '../kernel/clock.ts'
import { messageOf } from '../kernel/errors.ts'
import type { Logger } from '../kernel/log.ts'
import type { Telemetry } from '../kernel/telemetry.ts'
import { isLookedUp } from '../model/engagement.ts'
import { DEFAULT_LEASE_SECONDS, graceSeconds } from '../model/lease.ts'
import type { CallAnswer, ProviderError } from '../model/outcome.ts'
import {
  failBatch,
  recordBatch,
  releaseBatch,
  type NudgeInTransaction,
  type Recorded,
} from '../outcomes/record-batch.ts'
import { endDeleted, findDeletedWaiting } from '../queue/end-deleted.ts'
import { findDueLanes, findExpiredBatches, type ExpiredBatch } from '../queue/sweep.ts'
import { forgetWorker, noteWorker } from '../queue/worker-seen.ts'
import { reportSettled } from './log-batch.ts'

/** Lanes and batches that one sweep takes care of; the next sweep goes on. */
const SWEEP_LIMIT = 500

/** What the sweeper needs. */
export interface SweeperOptions {
  sql: Sql
  nudge: NudgeInTransaction
  clock: Clock
  logger: Logger
  intervalMs: number
  /** Seconds without a sign of life after which a batch is taken from its process. Default 30. */
  leaseSeconds?: number
  random: () => number
  /** Name of this process, by which it is seen to live; without it nobody is told. */
  worker?: string
  telemetry?: Telemetry
}

/** A running sweeper. */
export interface Sweeper {
  /** One sweep now; resolves when it is done. */
  sweep: () => Promise<void>
  stop: () => Promise<void>
}

/**
 * Finds by the tables alone what the wake-ups should have found: lanes that are due and batches whose
 * worker is gone. Any number of processes may sweep at once: a wake-up that is there already is only
 * set to the same time again, and only one settlement of a batch applies.
 *
 * A lease that ran out says that its worker is gone only if the worker could have kept it. So after a time
 * in which this process was out of touch with the database, or the database was restarted, no batch is taken
 * from anybody for half a lease: those who live say so first.
 */
export function startSweeper(options: SweeperOptions): Sweeper {
  let stopped = false
  let cancel: () => void = () => undefined
  let current: Promise<void> = Promise.resolve()
  const contact = keepContact(options)
  const sweep = (): Promise<void> => contact.note(() => sweepOnce(options, contact))

  const round = async (): Promise<void> => {
    try {
      await sweep()
    } catch (error) {
      options.logger.warn({ error: messageOf(error) }, 'a sweep failed')
    }
  }
  const schedule = (): void => {
    if (stopped) return
    cancel = options.clock.after(options.intervalMs, () => {
      current = round().then(schedule)
    })
  }
  current = round().then(schedule)

  return {
    sweep,
    stop: async () => {
      stopped = true
      cancel()
      await current
      await leave(options)
    },
  }
}

/** A worker that ends by itself is not missed for a minute first. */
async function leave({ sql, worker, logger }: SweeperOptions): Promise<void> {
  if (worker === undefined) return
  await forgetWorker(sql, worker).catch((error: unknown) => {
    logger.debug({ error: messageOf(error) }, 'the database was not told that a worker ends')
  })
}

/** Whether this process has been in touch with the database for long enough to judge others by their silence. */
interface Contact {
  readonly graceSeconds: number
  isLong: () => boolean
  /** Runs something that needs the database, and learns from how it ends. */
  note: (run: () => Promise<void>) => Promise<void>
}

function keepContact({ clock, intervalMs, leaseSeconds = DEFAULT_LEASE_SECONDS }: SweeperOptions): Contact {
  const grace = graceSeconds(leaseSeconds)
  /** A process that was held up for this long has missed what was said meanwhile. */
  const longestGapMs = Math.max(grace * 1000, 3 * intervalMs)
  let since = -Infinity
  let last = clock.monotonic()
  const touch = (): void => {
    const now = clock.monotonic()
    if (now - last > longestGapMs) since = now
    last = now
  }
  return {
    graceSeconds: grace,
    isLong: () => {
      touch()
      return clock.monotonic() - since >= grace * 1000
    },
    note: async (run) => {
      try {
        await run()
      } catch (error) {
        // For as long as it lasts, and then from the first time that it is there again.
        if (isDatabaseUnavailable(error)) last = -Infinity
        throw error
      }
    },
  }
}

async function sweepOnce(options: SweeperOptions, contact: Contact): Promise<void> {
  if (options.worker !== undefined) await noteWorker(options.sql, options.worker)
  const lanes = await findDueLanes(options.sql, SWEEP_LIMIT)
  if (lanes.length > 0) {
    await options.sql.begin((tx) =>
      options.nudge(
        tx,
        lanes.map((lane) => ({ laneId: lane.laneId, installationId: lane.installationId, at: lane.dueAt })),
      ),
    )
  }
  await endForDeleted(options)
  if (!contact.isLong()) return
  for (const batch of await findExpiredBatches(options.sql, contact.graceSeconds, SWEEP_LIMIT)) {
    // One that cannot be settled must not keep the others from it.
    await rescue(options, batch).catch((error: unknown) => {
      options.logger.warn(
        { batchId: batch.batchId, error: messageOf(error) },
        'a batch could not be taken from a lost worker',
      )
    })
  }
}

/** Deleted installations that one sweep ends writes of, and the transactions for each; the next sweep goes on. */
const END_LIMIT = { installations: 20, chunks: 5 }

/** Ends what waits for installations that were deleted: the rest of many, and what came back since. */
async function endForDeleted({ sql, logger, telemetry }: SweeperOptions): Promise<void> {
  for (const installationId of await findDeletedWaiting(sql, END_LIMIT.installations)) {
    const ended = await endDeleted(sql, installationId, END_LIMIT.chunks, telemetry).catch(
      (error: unknown) => {
        logger.warn(
          { installationId, error: messageOf(error) },
          'what waits for a deleted installation was not ended',
        )
        return 0
      },
    )
    if (ended > 0) logger.info({ installationId, ended }, 'what waited for a deleted installation was ended')
  }
}

const workerGone: CallAnswer = {
  kind: 'lost',
  status: null,
  error: {
    code: 'WORKER_LOST',
    message: 'The process that sent this group was lost before it recorded an answer.',
    fields: [],
  },
}

/** What a synchronous create is told whose process was lost before it sent it. */
const neverSent: ProviderError = {
  code: 'PROVIDER_UNREACHABLE',
  message: 'The process that took the call was lost before it sent the write.',
  fields: [],
}

/** Settles a batch whose worker is gone: unsent ones go back, started ones count as sent without an answer. */
async function rescue(options: SweeperOptions, batch: ExpiredBatch): Promise<void> {
  const recorded = await settleLost(options, batch)
  if (!recorded.applied) return
  options.telemetry?.rescued(batch.started)
  reportSettled(options.telemetry, recorded)
  const { batchId, started } = batch
  const { retried, inDoubt, failed } = recorded
  options.logger.warn({ batchId, started, retried, inDoubt, failed }, 'a batch was taken from a lost worker')
}

function settleLost({ sql, nudge, random }: SweeperOptions, batch: ExpiredBatch): Promise<Recorded> {
  const { batchId, laneId, installationId, type } = batch
  const facts = {
    batchId,
    laneId,
    installationId,
    keyed: type !== 'create' || isLookedUp(batch),
    onlyExpired: true,
  }
  const ids = batch.members.map((member) => member.id)
  const idempotent = batch.externalIdField !== null
  if (batch.started) {
    // Nothing was answered: there is nothing to tell apart, and nothing fails that an earlier try may have written.
    const members = batch.members.map((member) => ({ ...member, type, idempotent, lostIn: [] }))
    const rules = { allOrNone: false, onRollback: 'fail' } as const
    return recordBatch(sql, nudge, { ...facts, called: true }, rules, members, workerGone, random)
  }
  // Whoever made the call had no answer and will have made it again: sent now, it would be there twice. So would
  // one that is looked up: nothing of it is there to be found.
  if (batch.synchronous && type === 'create' && (!idempotent || isLookedUp(batch)))
    return failBatch(sql, nudge, facts, ids, neverSent)
  return releaseBatch(sql, nudge, facts, ids)
}
