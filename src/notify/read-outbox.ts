import type { Sql } from '../db/connect.ts'

/** How far is counted: what is read does not grow with what waits. */
const COUNTED = 50_000

/** What waits to be told to destinations that are switched on. */
export interface OutboxLoad {
  /** Events that were never sent, as far as {@link COUNTED}. */
  fresh: number
  /** Messages that wait for another attempt, as far as {@link COUNTED}. */
  again: number
  /** Seconds by which the oldest of the events that were never sent is late; 0 when none is, or less. */
  lateSeconds: number
  /** Destinations whose last attempt failed. */
  failing: number
}

/** Reads what waits in the outbox. */
export async function readOutbox(sql: Sql): Promise<OutboxLoad> {
  const [row] = await sql<[OutboxLoad]>`
    with d as materialized (select id, failing_since from destination where enabled)
    select
      (
        select count(*) from (
          select from d cross join lateral (
            select from notification where destination_id = d.id and state = 'new' limit ${COUNTED}
          ) n limit ${COUNTED}
        ) c
      )::int as fresh,
      (
        select count(*) from (
          select from d cross join lateral (
            select from notification where destination_id = d.id and state = 'waiting' and claim_id is null limit ${COUNTED}
          ) n limit ${COUNTED}
        ) c
      )::int as again,
      coalesce((
        select extract(epoch from now() - min(n.due_at)) from d cross join lateral (
          select due_at from notification where destination_id = d.id and state = 'new' order by seq limit 1
        ) n
      ), 0)::float8 as "lateSeconds",
      (select count(*) from d where failing_since is not null)::int as failing`
  return row
}
