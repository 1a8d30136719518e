import type { Sql } from '../db/connect.ts'
import type { Clock } from '../kernel/clock.ts'
import { messageOf } from '../kernel/errors.ts'
import type { Logger } from '../kernel/log.ts'
import type { CallAnswer } from '../model/outcome.ts'
import { recordBatch, releaseBatch, type NudgeInTransaction } from '../outcomes/record-batch.ts'
import { findDueLanes, findExpiredBatches, makePartitions, type ExpiredBatch } from '../queue/sweep.ts'

/** Lanes and batches that one sweep takes care of; the next sweep goes on. */
const SWEEP_LIMIT = 500
/** Days ahead for which partitions are kept made, and how often that is looked after. */
const PARTITION_DAYS = 7
const PARTITION_INTERVAL_MS = 3_600_000

/** What the sweeper needs. */
export interface SweeperOptions {
  sql: Sql
  nudge: NudgeInTransaction
  clock: Clock
  logger: Logger
  intervalMs: number
  random: () => number
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
 */
export function startSweeper(options: SweeperOptions): Sweeper {
  let stopped = false
  let cancel: () => void = () => undefined
  let partitionsAt = -Infinity
  let current: Promise<void> = Promise.resolve()

  const round = async (): Promise<void> => {
    try {
      await sweepOnce(options)
      if (options.clock.monotonic() - partitionsAt >= PARTITION_INTERVAL_MS) {
        await makePartitions(options.sql, PARTITION_DAYS)
        partitionsAt = options.clock.monotonic()
      }
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
    sweep: () => sweepOnce(options),
    stop: async () => {
      stopped = true
      cancel()
      await current
    },
  }
}

async function sweepOnce(options: SweeperOptions): Promise<void> {
  const lanes = await findDueLanes(options.sql, SWEEP_LIMIT)
  if (lanes.length > 0) {
    await options.sql.begin((tx) =>
      options.nudge(
        tx,
        lanes.map((lane) => ({ laneId: lane.laneId, installationId: lane.installationId, at: lane.dueAt })),
      ),
    )
  }
  for (const batch of await findExpiredBatches(options.sql, SWEEP_LIMIT)) {
    // One that cannot be settled must not keep the others from it.
    await rescue(options, batch).catch((error: unknown) => {
      options.logger.warn(
        { batchId: batch.batchId, error: messageOf(error) },
        'a batch could not be taken from a lost worker',
      )
    })
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

/** Settles a batch whose worker is gone: unsent ones go back, started ones count as sent without an answer. */
async function rescue(options: SweeperOptions, batch: ExpiredBatch): Promise<void> {
  const { batchId, laneId, installationId } = batch
  const facts = { batchId, laneId, installationId, keyed: batch.type !== 'create', onlyExpired: true }
  const recorded = batch.started
    ? await recordBatch(
        options.sql,
        options.nudge,
        { ...facts, called: true },
        // Nothing was answered, so there is nothing to tell apart.
        { allOrNone: false, onRollback: 'fail' },
        batch.members.map((member) => ({
          ...member,
          type: batch.type,
          idempotent: batch.externalIdField !== null,
        })),
        workerGone,
        options.random,
      )
    : await releaseBatch(
        options.sql,
        options.nudge,
        facts,
        batch.members.map((member) => member.id),
      )
  if (recorded.applied) {
    options.logger.warn(
      {
        batchId: batch.batchId,
        started: batch.started,
        retried: recorded.retried,
        inDoubt: recorded.inDoubt,
      },
      'a batch was taken from a lost worker',
    )
  }
}
