import type { Tx } from '../db/connect.ts'

/*
 * Order per record (contract section 6.4). The writes that name one record form a chain by their
 * numbers, of which only the first is free: the others are blocked until the one before them has
 * ended. Two facts make the chain hold however many processes work on it:
 *
 * - Whoever adds to a chain or takes its first write off holds the installation's order lock until the
 *   commit. So an addition sees every unfinished write of its record, and an end sees every write
 *   that waits for it.
 * - The order lock is taken before any lane's row, everywhere.
 *
 * A write that waits for another try has not ended: it keeps its place at the head.
 */

/** Takes the order locks of installations, in one order everywhere, until the transaction ends. */
export async function lockOrder(tx: Tx, installationIds: string[]): Promise<void> {
  await tx`
    select pg_advisory_xact_lock(key) from (
      select distinct hashtextextended('writeback.order.' || id, 0) as key
      from unnest(${installationIds}::text[]) as t (id) order by 1
    ) keys`
}

/** What names a record of an installation. */
export interface RecordName {
  installationId: string
  recordKey: string
}

/** Which of these records have an unfinished write. Call it with the order locks held. */
export async function findBusyRecords(tx: Tx, names: RecordName[]): Promise<Set<string>> {
  const rows = await tx<RecordName[]>`
    select n.installation_id as "installationId", n.record_key as "recordKey"
    from unnest(${names.map((name) => name.installationId)}::uuid[], ${names.map((name) => name.recordKey)}::uuid[])
      as n (installation_id, record_key)
    where exists (
      select from write w
      where w.installation_id = n.installation_id and w.record_key = n.record_key and w.state in ('queued', 'sending')
    )`
  return new Set(rows.map(recordText))
}

/** One text for one record of one installation. */
export const recordText = (name: RecordName): string => `${name.installationId} ${name.recordKey}`

/** A lane that must be looked at sooner than before. */
export interface WokenLane {
  laneId: string
  installationId: string
  at: Date
}

/** The next write of a record's chain. */
export interface NextWrite {
  id: string
  laneId: string
}

/** The first unfinished write of each of these records. Call it with the order lock held, after the ends. */
export function findNextWrites(tx: Tx, installationId: string, recordKeys: string[]): Promise<NextWrite[]> {
  return tx<NextWrite[]>`
    select distinct on (record_key) id, lane_id as "laneId"
    from write
    where installation_id = ${installationId} and record_key = any (${recordKeys}::uuid[])
      and state in ('queued', 'sending')
    order by record_key, seq`
}

/**
 * Frees writes whose turn has come, and counts them in their lanes, whose rows are locked. One that is
 * not blocked, the head of a chain that has not ended, stays as it is.
 *
 * @returns the lanes that are due sooner now
 */
export function freeWrites(tx: Tx, next: NextWrite[]): Promise<WokenLane[]> {
  return tx<WokenLane[]>`
    with freed as (
      update write set blocked = false, available_at = now(), updated_at = now()
      where id = any (${next.map((write) => write.id)}::uuid[]) and state = 'queued' and blocked
      returning id, lane_id, due_at, max_records, attempts
    ), arriving as (
      select lane_id, count(*) filter (where attempts = 0) as count, min(due_at) as due_at,
        min(max_records) as max_records, min(id::text)::uuid as first_id
      from freed group by lane_id
    ), before as materialized (
      select id, due_at from lane where id = any (${next.map((write) => write.laneId)}::uuid[])
    ), counted as (
      update lane l set
        waiting = l.waiting + a.count,
        max_records = least(l.max_records, a.max_records),
        from_id = least(l.from_id, a.first_id),
        due_at = case when l.held_by is not null and l.due_at > now() then l.due_at
                      when l.waiting + a.count >= least(l.max_records, a.max_records) then least(l.due_at, now())
                      else least(l.due_at, greatest(a.due_at, now())) end
      from arriving a where l.id = a.lane_id
      returning l.id, l.installation_id, l.due_at
    )
    select c.id as "laneId", c.installation_id as "installationId", c.due_at as at
    from counted c join before b on b.id = c.id
    where b.due_at is null or c.due_at < b.due_at`
}
