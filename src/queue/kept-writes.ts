import type { Sql, Tx } from '../db/connect.ts'
import type { KeptRows, PartitionedDay } from './partitions.ts'

/*
 * What of a day must outlive its partitions: writes that have not ended or ended within the retention,
 * and with any record of a caller-built batch the whole batch.
 *
 * A day is looked through once without locks, part by part. With the tables in hand there is no time for
 * that; but what has ended is only ever begun again by hand (a retry), and then it is queued or in a
 * batch, and both are found by an index.
 */

/** Parts of a day, each short enough for one statement, the last first: what ended last was mostly accepted last. */
const PART_MINUTES = 10
const PART_STARTS = Array.from(
  { length: (24 * 60) / PART_MINUTES },
  (_, index) => index * PART_MINUTES,
).reverse()
/** The ids of a caller-built batch are made at once, so they lie in one day or close to midnight. */
const MIDNIGHT_SECONDS = 60

/**
 * The writes of a day that have not ended, or ended within the retention; those just after its end too,
 * where they are of a caller-built batch. Stops looking once there are more than `limit`.
 */
export async function findLiving(
  sql: Sql,
  { day }: PartitionedDay,
  retentionDays: number,
  limit: number,
  signal: AbortSignal,
): Promise<string[]> {
  const after = await sql<{ id: string }[]>`
    select id from write
    where id >= uuid_at((${day}::date::timestamp at time zone 'UTC') + interval '1 day')
      and id < uuid_at((${day}::date::timestamp at time zone 'UTC') + interval '1 day' + make_interval(secs => ${MIDNIGHT_SECONDS}))
      and operation_id is not null and (ended_at is null or ended_at > now() - make_interval(days => ${retentionDays}))
    limit ${limit + 1}`
  const ids = after.map((row) => row.id)
  for (const minute of PART_STARTS) {
    if (ids.length > limit || signal.aborted) break
    const rows = await sql<{ id: string }[]>`
      select id from write
      where id >= uuid_at((${day}::date::timestamp at time zone 'UTC') + make_interval(mins => ${minute}))
        and id < uuid_at((${day}::date::timestamp at time zone 'UTC') + make_interval(mins => ${minute + PART_MINUTES}))
        and (ended_at is null or ended_at > now() - make_interval(days => ${retentionDays}))
      limit ${limit + 1}`
    ids.push(...rows.map((row) => row.id))
  }
  return ids
}

/** Writes of a day that are queued, or were in a batch that was made since a time. */
async function findBegunAgain(tx: Tx, writePartition: string, since: Date): Promise<string[]> {
  const rows = await tx<{ id: string }[]>`
    select id from ${tx(writePartition)} where state = 'queued' and not blocked
    union
    select id from ${tx(writePartition)} where state in ('queued', 'sending') and record_key is not null
    union
    select w.id from batch b cross join lateral unnest(b.members) as m (id) join ${tx(writePartition)} w on w.id = m.id
    where b.state <> 'ended'
    union
    select w.id from batch b cross join lateral unnest(b.members) as m (id) join ${tx(writePartition)} w on w.id = m.id
    where b.id >= uuid_at(${since}::timestamptz - interval '1 minute')`
  return rows.map((row) => row.id)
}

/** With each write the caller-built batch that it is of, and all of that batch's writes. */
export async function withWholeBatches(sql: Sql | Tx, writeIds: string[]): Promise<KeptRows> {
  if (writeIds.length === 0) return { writeIds: [], operationIds: [] }
  const rows = await sql<{ id: string; members: string[] }[]>`
    select id, members from operation
    where id = any (array(select operation_id from write where id = any (${writeIds}::uuid[]) and operation_id is not null))`
  return {
    writeIds: [...new Set([...writeIds, ...rows.flatMap((row) => row.members)])],
    operationIds: rows.map((row) => row.id),
  }
}

/** What outlives the partitions of a day: call it with the tables locked. */
export async function findKept(
  tx: Tx,
  { partitions }: PartitionedDay,
  living: string[],
  lookedAt: Date,
): Promise<KeptRows> {
  const write = partitions.find(({ parent }) => parent === 'write')
  const again = write === undefined ? [] : await findBegunAgain(tx, write.name, lookedAt)
  return withWholeBatches(tx, [...new Set([...living, ...again])])
}
