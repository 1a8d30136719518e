import type { Sql } from '../db/connect.ts'
import type { Clock } from '../kernel/clock.ts'
import { messageOf } from '../kernel/errors.ts'
import type { Logger } from '../kernel/log.ts'
import type { CallAnswer, ProviderError } from '../model/outcome.ts'
import {
  failBatch,
  recordBatch,
  releaseBatch,
  type NudgeInTransaction,
  type Recorded,
} from '../outcomes/record-batch.ts'
import { findDueLanes, findExpiredBatches, type ExpiredBatch } from '../queue/sweep.ts'

/** Lanes and batches that one sweep takes care of; the next sweep goes on. */
const SWEEP_LIMIT = 500

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
  let current: Promise<void> = Promise.resolve()

  const round = async (): Promise<void> => {
    try {
      await sweepOnce(options)
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
  const { batchId, started } = batch
  const { retried, inDoubt, failed } = recorded
  options.logger.warn({ batchId, started, retried, inDoubt, failed }, 'a batch was taken from a lost worker')
}

function settleLost({ sql, nudge, random }: SweeperOptions, batch: ExpiredBatch): Promise<Recorded> {
  const { batchId, laneId, installationId, type } = batch
  const facts = { batchId, laneId, installationId, keyed: type !== 'create', onlyExpired: true }
  const ids = batch.members.map((member) => member.id)
  const idempotent = batch.externalIdField !== null
  if (batch.started) {
    const members = batch.members.map((member) => ({ ...member, type, idempotent }))
    // Nothing was answered, so there is nothing to tell apart.
    const rules = { allOrNone: false, onRollback: 'fail' } as const
    return recordBatch(sql, nudge, { ...facts, called: true }, rules, members, workerGone, random)
  }
  // Whoever made the call had no answer and will have made it again: sent now, it would be there twice.
  if (batch.synchronous && type === 'create' && !idempotent)
    return failBatch(sql, nudge, facts, ids, neverSent)
  return releaseBatch(sql, nudge, facts, ids)
}
