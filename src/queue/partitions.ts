import { setTimeout as pause } from 'node:timers/promises'
import type { Sql, Tx } from '../db/connect.ts'
import { databaseErrorKind } from '../db/pg-errors.ts'

/*
 * The partitions of a day: one of each table that grows with the writes. Making and dropping them needs
 * the tables for itself, for milliseconds. Waiting for that is what could hurt: everyone who comes later
 * queues behind the one who waits. So nobody waits long here, and what was not had is tried again.
 */

/** The tables that have a partition for each day. */
const PARENTS = ['write', 'attempt', 'operation'] as const
type Parent = (typeof PARENTS)[number]

/** Milliseconds that one try may keep others waiting; each try after a pause. */
const LOCK_WAITS_MS = [50, 100, 200, 400]
const PAUSE_MS = 1_000

/** A day that has partitions. */
export interface PartitionedDay {
  /** As the database writes it: `2026-08-01`. */
  day: string
  /** Which tables have one of it, and its name. */
  partitions: { parent: Parent; name: string }[]
}

/**
 * Runs a transaction that needs whole tables, without keeping anybody waiting for long.
 *
 * @returns null when others did not let go of them in any of the tries
 */
async function withShortWaits(
  sql: Sql,
  signal: AbortSignal,
  run: (tx: Tx) => Promise<number>,
): Promise<number | null> {
  for (const waitMs of LOCK_WAITS_MS) {
    try {
      return await sql.begin(async (tx) => {
        await tx`select set_config('lock_timeout', ${`${waitMs}ms`}, true)`
        return run(tx)
      })
    } catch (error) {
      if (databaseErrorKind(error) !== 'retry') throw error
    }
    if (signal.aborted) return null
    await pause(PAUSE_MS, undefined, { signal }).catch(() => undefined)
  }
  return null
}

/** What came of making partitions. */
export interface MadePartitions {
  made: number
  /** Days that have none yet, and why; their rows go to the default partitions meanwhile. */
  failed: { day: string; error: unknown }[]
}

/** Makes the partitions of today and the days to come that are not there yet, one day at a time. */
export async function makePartitionsAhead(
  sql: Sql,
  daysAhead: number,
  signal: AbortSignal,
): Promise<MadePartitions> {
  const days = await sql<{ day: string }[]>`
    select to_char(day, 'YYYY-MM-DD') as day
    from generate_series((now() at time zone 'UTC')::date, (now() at time zone 'UTC')::date + ${daysAhead}::int, interval '1 day') as day
    where exists (
      select from unnest(${[...PARENTS]}::text[]) as parent
      where to_regclass(parent || '_' || to_char(day, 'YYYYMMDD')) is null
    )
    order by day`
  const result: MadePartitions = { made: 0, failed: [] }
  for (const { day } of days) {
    if (signal.aborted) break
    try {
      const made = await withShortWaits(sql, signal, async (tx) => {
        const [row] = await tx<{ made: number }[]>`select make_partitions(${day}::date, ${day}::date) as made`
        return row?.made ?? 0
      })
      if (made === null) result.failed.push({ day, error: new Error('the tables were in use') })
      else result.made += made
    } catch (error) {
      // For example a row of that day in the default partition, from a host whose clock was ahead.
      result.failed.push({ day, error })
    }
  }
  return result
}

/** The days that have partitions and ended at least that many days ago, the oldest first; and the oldest that did not. */
export async function listDays(
  sql: Sql,
  retentionDays: number,
): Promise<{ past: PartitionedDay[]; oldestKept: string | null }> {
  const rows = await sql<{ day: string; parent: Parent; name: string; past: boolean }[]>`
    with partition as (
      select p.relname as parent, c.relname as name, to_date(right(c.relname, 8), 'YYYYMMDD') as day
      from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_class p on p.oid = i.inhparent
      where i.inhparent = any (array['write'::regclass, 'attempt'::regclass, 'operation'::regclass])
        and c.relname ~ ('^' || p.relname || '_[0-9]{8}$')
    )
    select to_char(day, 'YYYY-MM-DD') as day, parent, name,
      ((day + 1)::timestamp at time zone 'UTC') + make_interval(days => ${retentionDays}) <= now() as past
    from partition order by day, parent`
  const past = new Map<string, PartitionedDay>()
  for (const { day, parent, name } of rows.filter((row) => row.past)) {
    const found = past.get(day) ?? { day, partitions: [] }
    found.partitions.push({ parent, name })
    past.set(day, found)
  }
  return { past: [...past.values()], oldestKept: rows.find((row) => !row.past)?.day ?? null }
}

/** The rows of a day that outlive its partitions. */
export interface KeptRows {
  writeIds: string[]
  operationIds: string[]
}

/**
 * Drops the partitions of a day, all in one transaction. What is kept moves to the default partitions with
 * its ids, and with its attempts; whoever waited meanwhile finds it there.
 *
 * @param findKept called with the tables in hand: nobody reads or changes any of them until the end
 * @returns the number of writes that were moved; null when the tables were in use, and nothing was changed
 */
export function dropDay(
  sql: Sql,
  { partitions }: PartitionedDay,
  findKept: (tx: Tx) => Promise<KeptRows>,
  signal: AbortSignal,
): Promise<number | null> {
  return withShortWaits(sql, signal, async (tx) => {
    // In the order in which a statement comes to them: parents before partitions.
    for (const parent of PARENTS) await tx`lock table only ${tx(parent)} in access exclusive mode`
    for (const { parent, name } of partitions)
      await tx`lock table ${tx(`${parent}_default`)}, ${tx(name)} in access exclusive mode`
    const kept = await findKept(tx)
    let moved = 0
    for (const { parent, name } of partitions) {
      await tx`alter table ${tx(parent)} detach partition ${tx(name)}`
      const { count } = await moveKept(tx, parent, name, kept)
      if (parent === 'write') moved = count
      await tx`drop table ${tx(name)}`
    }
    return moved
  })
}

function moveKept(tx: Tx, parent: Parent, name: string, { writeIds, operationIds }: KeptRows) {
  const source = tx`insert into ${tx(parent)} select * from ${tx(name)}`
  if (parent === 'operation') return tx`${source} where id = any (${operationIds}::uuid[])`
  if (parent === 'attempt') return tx`${source} where write_id = any (${writeIds}::uuid[])`
  return tx`${source} where id = any (${writeIds}::uuid[])`
}
