import type { Tx } from '../db/connect.ts'
import type { ProviderError } from '../model/outcome.ts'
import { MAX_GROUP } from '../model/write.ts'
import { endOperations, type EndedWrite } from './end-operations.ts'
import { lockLanes } from './hasten-heads.ts'
import { maybeWritten } from './maybe-written.ts'
import { announceEnded } from './outcome-channel.ts'
import { lockOrder } from './record-order.ts'

/** How many writes ended without being sent, and how many of a try that may have written them. */
export interface EndedWaiting {
  cancelled: number
  inDoubt: number
}

/** A waiting write on its way out. */
interface Waiting {
  id: string
  laneId: string
  recordKey: string | null
}

/**
 * Ends writes that wait for an installation, at most twice `limit`, those behind another write to their
 * record included; call it again until it ends none. What is being sent is left alone. One that an earlier
 * try may have written is in doubt: "cancelled" says not written.
 *
 * What waits behind a write goes before it or with it, so nothing is left to be freed and no lane has to be
 * woken.
 *
 * @returns how many it ended; none of either when nothing is left
 */
export async function endWaiting(
  tx: Tx,
  installationId: string,
  reason: ProviderError,
  limit: number,
): Promise<EndedWaiting> {
  await lockOrder(tx, [installationId])
  const heads = await findHeads(tx, installationId, limit)
  const behind = await findBehindHeads(tx, installationId, heads, limit)
  // As many as were asked for: there may be more of them, and their heads must not go first.
  const ending = behind.length === limit ? behind : [...behind, ...heads]
  if (ending.length === 0) return { cancelled: 0, inDoubt: 0 }
  await lockLanes(
    tx,
    ending.map((write) => write.laneId),
  )
  const ended = await endThem(
    tx,
    ending.map((write) => write.id),
    reason,
  )
  await announceEnded(tx, await endOperations(tx, ended))
  const inDoubt = ended.filter((row) => row.state === 'in_doubt').length
  return { cancelled: ended.length - inDoubt, inDoubt }
}

/** Waiting writes whose turn has come: a lane that has any is due at some time. */
const findHeads = (tx: Tx, installationId: string, limit: number): Promise<Waiting[]> =>
  tx<Waiting[]>`
    select w.id, w.lane_id as "laneId", w.record_key as "recordKey"
    from lane l cross join lateral (
      select id, lane_id, record_key from write
      where lane_id = l.id and state = 'queued' and not blocked and id >= l.from_id
      limit ${limit}
    ) w
    where l.installation_id = ${installationId} and l.due_at is not null
    limit ${limit}`

/** What waits behind these heads and behind what is being sent, the last ones first. */
const findBehindHeads = (
  tx: Tx,
  installationId: string,
  heads: Waiting[],
  limit: number,
): Promise<Waiting[]> =>
  tx<Waiting[]>`
    with busy as materialized (
      select unnest(${heads.flatMap((write) => write.recordKey ?? [])}::uuid[]) as record_key
      union
      select w.record_key
      from batch b cross join lateral unnest(b.members) as m (id) join write w on w.id = m.id
      where b.installation_id = ${installationId} and b.state <> 'ended' and w.record_key is not null
    )
    select w.id, w.lane_id as "laneId", w.record_key as "recordKey"
    from busy join write w on w.installation_id = ${installationId} and w.record_key = busy.record_key
    where w.state in ('queued', 'sending') and w.state = 'queued' and w.blocked
    order by w.seq desc limit ${limit}`

/** Ends those that still wait and counts them out of their lanes, whose rows are locked. */
const endThem = (tx: Tx, ids: string[], reason: ProviderError): Promise<EndedRow[]> => tx<EndedRow[]>`
  with ending as materialized (
    select id, lane_id, attempts, blocked from write where id = any (${ids}::uuid[]) and state = 'queued'
  ), counted as materialized (
    select lane_id, count(*) filter (where attempts = 0) as never_sent
    from ending where not blocked group by lane_id
  ), lane_after as (
    update lane set waiting = lane.waiting - c.never_sent,
      due_at = case when o.any_left then lane.due_at end,
      from_id = case when o.any_left then lane.from_id end,
      held_by = case when o.any_left then lane.held_by end,
      max_records = case when o.any_left then lane.max_records else ${MAX_GROUP} end
    from counted c cross join lateral (
      select exists (
        select from write w
        where w.lane_id = c.lane_id and w.state = 'queued' and not w.blocked
          and w.id >= (select from_id from lane where id = c.lane_id) and w.id <> all (${ids}::uuid[])
      ) as any_left
    ) o
    where lane.id = c.lane_id
  )
  update write set
    state = case when lost_in is null then 'cancelled' else 'in_doubt' end,
    errors = case when lost_in is null then ${tx.json([{ ...reason }])} || coalesce(errors, '[]')
                  when errors -> 0 ->> 'code' = ${maybeWritten.code} then errors || ${tx.json([{ ...reason }])}
                  else ${tx.json([{ ...maybeWritten }, { ...reason }])} || coalesce(errors, '[]') end,
    blocked = false, ended_at = statement_timestamp(), updated_at = statement_timestamp()
  where id = any (array(select id from ending)) and state = 'queued'
  returning id, operation_id, state`

interface EndedRow extends EndedWrite {
  state: 'cancelled' | 'in_doubt'
}
