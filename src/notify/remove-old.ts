import type { Sql } from '../db/connect.ts'

/** Days that the log of a delivery is kept. */
export const LOG_DAYS = 7
/** Rows that one statement looks at. */
const CHUNK = 1_000

const FIRST_ID = '00000000-0000-0000-0000-000000000000'

/**
 * Removes events that are {@link LOG_DAYS} old: those that were delivered or given up, and those that wait for
 * a destination that is switched off or gone. One that waits for a destination that is on stays until it has
 * ended. Every statement takes a bounded number of rows and waits for none.
 *
 * @returns how many it removed
 */
export async function removeOldNotifications(sql: Sql, signal: AbortSignal): Promise<number> {
  let removed = 0
  let after: string | null = FIRST_ID
  while (after !== null && !signal.aborted) {
    const [chunk]: { last: string | null; gone: number }[] = await sql`
      with chunk as materialized (
        select id, destination_id, head_id, state from notification
        where id > ${after} and id < uuid_at(now() - make_interval(days => ${LOG_DAYS}))
        order by id limit ${CHUNK}
      ), old as materialized (
        select c.id from chunk c
        where c.state in ('delivered', 'failed')
          or not exists (select from destination d where d.id = c.destination_id and d.enabled)
          or (c.state = 'packed' and not exists (select from notification h where h.id = c.head_id and h.state = 'waiting'))
      ), held as materialized (
        select id from notification where id = any (array(select id from old)) order by id for update skip locked
      ), gone as (
        delete from notification where id = any (array(select id from held)) returning id
      )
      select (select max(id::text)::uuid from chunk having count(*) = ${CHUNK}) as last,
        (select count(*) from gone) as gone`
    removed += chunk?.gone ?? 0
    after = chunk?.last ?? null
  }
  return removed
}
