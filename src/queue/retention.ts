import type { Sql } from '../db/connect.ts'
import { messageOf } from '../kernel/errors.ts'
import type { Logger } from '../kernel/log.ts'
import { pruneKeys } from './idempotency-keys.ts'
import { findKept, findLiving, withWholeBatches } from './kept-writes.ts'
import { dropDay, listDays, makePartitionsAhead, type PartitionedDay } from './partitions.ts'
import {
  pruneBatches,
  pruneDeleted,
  pruneHands,
  pruneLanes,
  pruneOperations,
  prunePace,
  pruneWrites,
} from './prune.ts'

/** Days ahead for which partitions are kept made: as long as a service may be down and find them. */
export const DAYS_AHEAD = 7
/**
 * Writes that are moved when a day is dropped, at the most: moving them keeps everybody waiting (with this
 * many of a day of 300,000, commits on a host of two cores waited 160 ms at the most). A day with more
 * stays for now: deadlines end what waits, and what has ended grows old.
 */
const MAX_MOVED = 2_000

/** What is kept, and for how long. */
export interface RetentionOptions {
  sql: Sql
  logger: Logger
  /** Days that a write is kept after its end, and after its acceptance. */
  days: number
  /** Writes that are moved when a day is dropped, at the most (default 2,000). */
  maxMoved?: number
}

/** What one run did. */
export interface RetentionReport {
  partitionsMade: number
  /** Days whose partitions were dropped, as `2026-08-01`. */
  daysDropped: string[]
  /** Writes that outlived their day and moved to the default partition. */
  writesMoved: number
  writesRemoved: number
  batchesRemoved: number
  lanesRemoved: number
}

/**
 * Keeps the tables to their days: makes partitions ahead, drops those of days that are over, and removes
 * what belonged to writes that are gone. Nothing that has not ended is ever removed. Each step is a
 * transaction by itself and may be the last one: the next run goes on from what it finds.
 *
 * @throws the database's error, when it is away
 */
export async function keepRetention(
  options: RetentionOptions,
  signal: AbortSignal,
): Promise<RetentionReport> {
  const { sql, logger, days } = options
  const { made, failed } = await makePartitionsAhead(sql, DAYS_AHEAD, signal)
  for (const { day, error } of failed)
    logger.warn({ day, error: messageOf(error) }, 'the partitions of a day could not be made')
  await pruneKeys(sql, signal)
  const { daysDropped, writesMoved } = await dropPastDays(options, signal)
  const { past, oldestKept } = await listDays(sql, days)
  const before = past[0]?.day ?? oldestKept
  const report = { partitionsMade: made, daysDropped, writesMoved }
  if (before === null || signal.aborted)
    return { ...report, writesRemoved: 0, batchesRemoved: 0, lanesRemoved: 0 }
  const writesRemoved = await pruneWrites(sql, before, days, signal)
  await pruneOperations(sql, before, signal)
  const batchesRemoved = await pruneBatches(sql, before, signal)
  const lanesRemoved = await pruneLanes(sql, before, signal)
  await pruneHands(sql, before, signal)
  await pruneDeleted(sql, signal)
  await prunePace(sql, days)
  const done = { ...report, writesRemoved, batchesRemoved, lanesRemoved }
  if (Object.values(done).some((value) => (Array.isArray(value) ? value.length > 0 : value > 0)))
    logger.info({ ...done }, 'what was past its time is gone')
  return done
}

/** Drops days in their order and stops at the first that cannot go yet: a batch of a later one may lie in it too. */
async function dropPastDays(
  options: RetentionOptions,
  signal: AbortSignal,
): Promise<Pick<RetentionReport, 'daysDropped' | 'writesMoved'>> {
  const done = { daysDropped: [] as string[], writesMoved: 0 }
  const { past } = await listDays(options.sql, options.days)
  for (const day of past) {
    if (signal.aborted) break
    const moved = await dropPastDay(options, day, signal)
    if (moved === null) break
    done.daysDropped.push(day.day)
    done.writesMoved += moved
  }
  return done
}

async function dropPastDay(
  { sql, logger, days, maxMoved = MAX_MOVED }: RetentionOptions,
  day: PartitionedDay,
  signal: AbortSignal,
): Promise<number | null> {
  const [clock] = await sql<[{ now: Date }]>`select now() as now`
  const living = await findLiving(sql, day, days, maxMoved, signal)
  if (signal.aborted) return null
  if (living.length > maxMoved || (await withWholeBatches(sql, living)).writeIds.length > maxMoved) {
    logger.info({ day: day.day }, 'a day stays beyond its time: too many of its writes are still needed')
    return null
  }
  const moved = await dropDay(sql, day, (tx) => findKept(tx, day, living, clock.now), signal)
  if (moved === null) logger.warn({ day: day.day }, 'a day could not be dropped: its tables are in use')
  return moved
}
