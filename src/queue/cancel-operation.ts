import type { Tx } from '../db/connect.ts'
import { MAX_GROUP } from '../model/write.ts'
import { maybeWritten } from './maybe-written.ts'
import { freeWrites, type NextWrite, type WokenLane } from './record-order.ts'

/**
 * The writes whose turn comes when these are no more: of each of their records, the first unfinished one
 * beside them. Call it with the order lock held; the lanes of these writes are to be locked then.
 */
export const findBehind = (tx: Tx, installationId: string, writeIds: string[]): Promise<NextWrite[]> =>
  tx<NextWrite[]>`
    select distinct on (w.record_key) w.id, w.lane_id as "laneId"
    from write own join write w on w.installation_id = ${installationId} and w.record_key = own.record_key
      and w.state in ('queued', 'sending') and w.id <> all (${writeIds}::uuid[])
    where own.id = any (${writeIds}::uuid[]) and own.record_key is not null
    order by w.record_key, w.seq`

/**
 * Cancels queued writes of one lane, counts them out of it and frees what waited behind them. What an
 * earlier try may have written is not sent again either, but in doubt: "cancelled" says not written. Call it
 * with the order lock held and the lanes locked: the writes' own, and those of {@link findBehind}.
 *
 * @returns how many were cancelled, how many of them are in doubt, and the lanes that are due sooner now
 */
export async function cancelWrites(
  tx: Tx,
  laneId: string,
  writeIds: string[],
  behind: NextWrite[],
): Promise<{ moved: number; inDoubt: number; wake: WokenLane[] }> {
  const cancelled = await tx<{ state: 'cancelled' | 'in_doubt' }[]>`
    with counted as materialized (
      select count(*) as never_sent from write
      where id = any (${writeIds}::uuid[]) and state = 'queued' and not blocked and attempts = 0
    ), left_over as materialized (
      select exists (
        select from write w
        where w.lane_id = ${laneId} and w.state = 'queued' and not w.blocked
          and w.id >= (select from_id from lane where id = ${laneId}) and w.id <> all (${writeIds}::uuid[])
      ) as any_left
    ), lane_after as (
      update lane set waiting = lane.waiting - c.never_sent,
        due_at = case when o.any_left then lane.due_at end,
        from_id = case when o.any_left then lane.from_id end,
        held_by = case when o.any_left then lane.held_by end,
        max_records = case when o.any_left then lane.max_records else ${MAX_GROUP} end
      from counted c, left_over o where lane.id = ${laneId}
    )
    update write set
      state = case when lost_in is null then 'cancelled' else 'in_doubt' end,
      errors = case when lost_in is null or errors -> 0 ->> 'code' = ${maybeWritten.code} then errors
                    else ${tx.json([{ ...maybeWritten }])} || coalesce(errors, '[]') end,
      blocked = false, ended_at = statement_timestamp(), updated_at = statement_timestamp()
    where id = any (${writeIds}::uuid[]) and lane_id = ${laneId} and state = 'queued'
    returning state`
  const inDoubt = cancelled.filter((row) => row.state === 'in_doubt').length
  return { moved: cancelled.length, inDoubt, wake: behind.length > 0 ? await freeWrites(tx, behind) : [] }
}
