import type { Tx } from '../db/connect.ts'
import { hastenHeads, type HasteningWrite } from './hasten-heads.ts'
import type { WokenLane } from './record-order.ts'

/** Ended writes of one lane that are to be sent again. */
export interface RetryRequest {
  operationId: string
  laneId: string
  installationId: string
  writeIds: string[]
}

interface AgainRow {
  id: string
  recordKey: string | null
  blocked: boolean
  alone: boolean
  merge: boolean
}

/**
 * Puts failed and in-doubt writes back into their lane, due at once: at the end of their records' orders,
 * with as much time until their new deadline as they had until their first. Attempts and errors stay;
 * rounds of a group that was undone are counted anew, and a write that failed as one with others comes
 * back as itself.
 *
 * Call it with the order lock held and the lane locked: so no other write to the records is accepted or
 * ended meanwhile, and the new numbers are those of the lane's order too. Times are the statement's own:
 * the transaction's lie before the locks were had.
 *
 * @returns how many were put back, and the lanes that are due sooner now
 */
export async function retryWrites(
  tx: Tx,
  request: RetryRequest,
): Promise<{ moved: number; wake: WokenLane[] }> {
  const again = await sendAgain(tx, request)
  const wake = await countIn(tx, request.laneId, again)
  const hastening = hasteningOf(request, again)
  if (hastening.length > 0) wake.push(...(await hastenHeads(tx, hastening)))
  // A lane that was woken twice has its time from the later statement.
  return { moved: again.length, wake: [...new Map(wake.map((lane) => [lane.laneId, lane])).values()] }
}

const sendAgain = (tx: Tx, { operationId, laneId, installationId, writeIds }: RetryRequest) => tx<AgainRow[]>`
  with coming as materialized (
    select w.id, w.operation_index,
      -- an unfinished write to the record comes first, or another one of these
      w.record_key is not null and (
        row_number() over (partition by w.record_key order by w.operation_index) > 1
        or exists (
          select from write e
          where e.installation_id = ${installationId} and e.record_key = w.record_key and e.state in ('queued', 'sending')
        )
      ) as blocked
    from write w
    where w.id = any (${writeIds}::uuid[]) and w.lane_id = ${laneId} and w.state in ('failed', 'in_doubt')
  ), numbered as materialized (
    select id, blocked, nextval('write_seq') as seq from (select * from coming order by operation_index) c
  ), last as materialized (
    select max(at) as at from hand where operation_id = ${operationId} and move = 'retry'
  )
  update write w set
    state = 'queued',
    seq = n.seq,
    blocked = n.blocked,
    available_at = statement_timestamp(),
    due_at = statement_timestamp(),
    deadline_at = statement_timestamp() + (w.deadline_at - coalesce(last.at, w.accepted_at)),
    rollbacks = 0,
    merged = false,
    merged_into = null,
    ended_at = null,
    updated_at = statement_timestamp()
  from numbered n, last, lane l
  where w.id = any (${writeIds}::uuid[]) and w.id = n.id and w.state in ('failed', 'in_doubt') and l.id = w.lane_id
  returning w.id, w.record_key as "recordKey", w.blocked, w.alone, l.merge`

/** Counts those whose turn it is into their lane; returns the lane when it is due sooner now. */
const countIn = (tx: Tx, laneId: string, again: AgainRow[]) => tx<WokenLane[]>`
  with arriving as materialized (
    select count(*) filter (where attempts = 0) as never_sent, min(max_records) as max_records,
      min(id::text)::uuid as first_id
    from write where id = any (${again.map((row) => row.id)}::uuid[]) and not blocked
  ), before as materialized (
    select due_at from lane where id = ${laneId}
  ), counted as (
    update lane set
      waiting = lane.waiting + a.never_sent,
      max_records = least(lane.max_records, a.max_records),
      from_id = least(lane.from_id, a.first_id),
      due_at = least(lane.due_at, statement_timestamp())
    from arriving a where lane.id = ${laneId} and a.first_id is not null
    returning lane.id, lane.installation_id, lane.due_at
  )
  select c.id as "laneId", c.installation_id as "installationId", c.due_at as at
  from counted c, before b where b.due_at is null or c.due_at < b.due_at`

/** Those that will be sent as one with what they wait behind: it leaves when they are due, which is now. */
const hasteningOf = ({ laneId, installationId }: RetryRequest, again: AgainRow[]): HasteningWrite[] =>
  again.flatMap(({ recordKey, blocked, alone, merge }) =>
    merge && blocked && !alone && recordKey !== null
      ? [{ laneId, installationId, recordKey, delaySeconds: 0 }]
      : [],
  )
