import type { Sql } from '../db/connect.ts'

/*
 * What goes once the writes it belonged to are gone. Every statement takes a bounded number of rows, and
 * none waits for a row that somebody else holds.
 */

/** Rows that one statement looks at. */
const CHUNK = { writes: 500, batches: 200, lanes: 1_000, small: 1_000 }

/** What one statement looked at and removed; `last` is the id to go on from, null at the end. */
interface Removed {
  last: string | null
  gone: number
}

const FIRST_ID = '00000000-0000-0000-0000-000000000000'

/** Runs a statement from id to id until nothing is left or the work is to stop. */
async function overIds(signal: AbortSignal, remove: (after: string) => Promise<Removed[]>): Promise<number> {
  let gone = 0
  let after: string | null = FIRST_ID
  while (after !== null && !signal.aborted) {
    const [removed]: Removed[] = await remove(after)
    gone += removed?.gone ?? 0
    after = removed?.last ?? null
  }
  return gone
}

/**
 * Removes writes of the default partition that ended before the retention, with their attempts. Those of a
 * caller-built batch go when all of it has.
 *
 * @param before a day as `2026-08-01`: rows of that day or later stay
 */
export const pruneWrites = (sql: Sql, before: string, retentionDays: number, signal: AbortSignal) =>
  overIds(
    signal,
    (after) => sql<Removed[]>`
      with chunk as materialized (
        select id, ended_at, operation_id from write_default
        where id > ${after} and id < uuid_at(${before}::date::timestamp at time zone 'UTC')
        order by id limit ${CHUNK.writes}
      ), old as materialized (
        select id from chunk c
        where ended_at < now() - make_interval(days => ${retentionDays}) and not exists (
          select from operation o cross join lateral unnest(o.members) as m (id) join write w on w.id = m.id
          where o.id = c.operation_id
            and (w.ended_at is null or w.ended_at >= now() - make_interval(days => ${retentionDays}))
        )
      ), held as materialized (
        -- locked and looked at again: it may have been begun again by hand
        select id from write_default
        where id = any (array(select id from old)) and ended_at < now() - make_interval(days => ${retentionDays})
        order by id for update skip locked
      ), gone as (
        delete from write_default where id = any (array(select id from held)) returning id
      ), attempts as (
        delete from attempt where write_id = any (array(select id from held))
      )
      select (select max(id::text)::uuid from chunk having count(*) = ${CHUNK.writes}) as last,
        (select count(*) from gone) as gone`,
  )

/** Removes caller-built batches of the default partition that have no write any more. */
export const pruneOperations = (sql: Sql, before: string, signal: AbortSignal) =>
  overIds(
    signal,
    (after) => sql<Removed[]>`
      with chunk as materialized (
        select id, members from operation_default
        where id > ${after} and id < uuid_at(${before}::date::timestamp at time zone 'UTC')
        order by id limit ${CHUNK.batches}
      ), gone as (
        delete from operation_default where id = any (array(
          select id from chunk c
          where not exists (select from unnest(c.members) as m (id) join write w on w.id = m.id)
        )) returning id
      )
      select (select max(id::text)::uuid from chunk having count(*) = ${CHUNK.batches}) as last,
        (select count(*) from gone) as gone`,
  )

/**
 * Removes ended batches none of whose writes is there any more. A batch is younger than its writes, so
 * those of a day before the oldest partition belong to writes that are gone or in the default one.
 */
export const pruneBatches = (sql: Sql, before: string, signal: AbortSignal) =>
  overIds(
    signal,
    (after) => sql<Removed[]>`
      with chunk as materialized (
        select id, members, state from batch
        where id > ${after} and id < uuid_at(${before}::date::timestamp at time zone 'UTC')
        order by id limit ${CHUNK.batches}
      ), gone as (
        delete from batch where state = 'ended' and id = any (array(
          select id from chunk c
          where c.state = 'ended' and not exists (
            select from unnest(c.members) as m (id) join write w on w.id = m.id
            -- a clock that is not quite right may have put a batch before its writes
            where w.id < uuid_at((${before}::date + 1)::timestamp at time zone 'UTC')
          )
        )) returning id
      )
      select (select max(id::text)::uuid from chunk having count(*) = ${CHUNK.batches}) as last,
        (select count(*) from gone) as gone`,
  )

/**
 * Removes the lanes none of whose writes is there any more: those of caller-built batches that are gone,
 * and others that nothing has come to since before the oldest partition, unless a write that outlived its
 * day is left. A batch's lane is made with it and found by no other; whoever adds to another one notes it
 * first (`keepLanes`, `arriveInLanes`), so that it is looked at again here, or finds it gone.
 */
export const pruneLanes = (sql: Sql, before: string, signal: AbortSignal) =>
  overIds(
    signal,
    (after) => sql<Removed[]>`
      with chunk as materialized (
        select id, operation_id, due_at, used_at from lane
        where id > ${after} and id < uuid_at(${before}::date::timestamp at time zone 'UTC')
        order by id limit ${CHUNK.lanes}
      ), past as materialized (
        -- a clock that is not quite right may have put a write into the day before its lane's use
        select (${before}::date - 1)::timestamp at time zone 'UTC' as at
      ), gone as (
        delete from lane using past
        where due_at is null and (operation_id is not null or used_at < past.at) and id = any (array(
          select c.id from chunk c
          where c.due_at is null and case when c.operation_id is null
            then c.used_at < (select at from past) and not exists (select from write_default w where w.lane_id = c.id)
            else not exists (select from operation o where o.id = c.operation_id) end
        )) returning id
      )
      select (select max(id::text)::uuid from chunk having count(*) = ${CHUNK.lanes}) as last,
        (select count(*) from gone) as gone`,
  )

/** Removes what was noted of moves by hand of operations that are gone. */
export const pruneHands = (sql: Sql, before: string, signal: AbortSignal) =>
  overIds(
    signal,
    (after) => sql<Removed[]>`
      with chunk as materialized (
        select distinct operation_id as id from hand
        where operation_id > ${after} and operation_id < uuid_at(${before}::date::timestamp at time zone 'UTC')
        order by 1 limit ${CHUNK.lanes}
      ), gone as (
        delete from hand where operation_id = any (array(
          select id from chunk c
          where not exists (select from write w where w.id = c.id)
            and not exists (select from operation o where o.id = c.id)
        )) returning operation_id
      )
      select (select max(id::text)::uuid from chunk having count(*) = ${CHUNK.lanes}) as last,
        (select count(*) from gone) as gone`,
  )

/** Forgets deleted installations that have no lane any more: nothing can come back to them. */
export const pruneDeleted = (sql: Sql, signal: AbortSignal) =>
  overIds(
    signal,
    (after) => sql<Removed[]>`
      with chunk as materialized (
        select id, deleted_at from deleted_installation where id > ${after} order by id limit ${CHUNK.small}
      ), gone as (
        delete from deleted_installation where id = any (array(
          select id from chunk c
          -- a process that has not heard of it yet may still make one
          where c.deleted_at < now() - interval '1 day'
            and not exists (select from lane l where l.installation_id = c.id)
        )) returning id
      )
      select (select max(id::text)::uuid from chunk having count(*) = ${CHUNK.small}) as last,
        (select count(*) from gone) as gone`,
  )

/** Removes the pace of installations that are gone, and then the usage of orgs that no pace names any more. */
export async function prunePace(sql: Sql, retentionDays: number): Promise<number> {
  const paces = await sql`
    delete from pacing where installation_id in (
      select installation_id from pacing p
      where not exists (select from installation i where i.id = p.installation_id)
      limit ${CHUNK.small} for update skip locked
    )`
  const orgs = await sql`
    delete from org_usage where org in (
      select org from org_usage u
      where not exists (select from pacing p where p.org = u.org)
        and (read_at is null or read_at < now() - make_interval(days => ${retentionDays}))
        and (blocked_until is null or blocked_until < now())
      limit ${CHUNK.small} for update skip locked
    )`
  return paces.count + orgs.count
}
