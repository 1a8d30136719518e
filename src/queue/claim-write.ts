import type { Tx } from '../db/connect.ts'
import { MAX_GROUP } from '../model/write.ts'
import { toClaimedBatch, type ClaimedBatch, type ClaimedRow } from './claim-batch.ts'

/** Which writes of a lane are claimed by their ids, and for whom. */
export interface WriteClaim {
  laneId: string
  /** In the order of the request. */
  writeIds: string[]
  /** Id of the batch to be: the fence of everything that is done to its members. */
  batchId: string
  /** Name of the claiming process, for operators. */
  worker: string
  leaseSeconds: number
  /** Bytes of records that a group may hold; a single bigger one goes alone. */
  maxBytes: number
  /**
   * True claims all of them or none, those that are blocked too: a call's own writes, whose turn it waits
   * for with the batch in hand. False claims those whose turn has come, as many as one group may hold.
   */
  whole: boolean
  /** Whether the writes came with the call: their caller waits for them, and nobody else has heard of them. */
  own: boolean
}

/**
 * Claims writes by their ids for a synchronous call, whatever their time: the same guarded move from
 * `queued` to `sending` that a group of the lane makes, so that no write can be in two calls. Those that
 * were counted in the lane are counted out.
 *
 * Call it with the lane locked by a statement of its own (`lockForClaim`), as for a group, unless the
 * writes were inserted in this transaction: those are nobody else's yet.
 *
 * @returns the batch of those that were claimed, null when none was
 */
export async function claimWrites(tx: Tx, claim: WriteClaim): Promise<ClaimedBatch | null> {
  const rows = await tx<ClaimedRow[]>`
    with lane_row as materialized (
      select * from lane where id = ${claim.laneId}
    ), found as materialized (
      select w.id, w.attempts, w.blocked, w.bytes, w.max_records, w.parents,
             array_position(${claim.writeIds}::uuid[], w.id) as place
      from write w
      where w.id = any (${claim.writeIds}::uuid[]) and w.lane_id = ${claim.laneId} and w.state = 'queued'
        and (${claim.whole} or not w.blocked)
    ), placed as materialized (
      select *, row_number() over w as turn, sum(bytes) over w as bytes_to_here, min(max_records) over () as most
      from found window w as (order by place)
    ), picked as materialized (
      select * from placed
      where case when ${claim.whole} then (select count(*) from placed) = ${claim.writeIds.length}
                 else turn <= least(most, ${MAX_GROUP}) and (bytes_to_here <= ${claim.maxBytes} or turn = 1) end
    ), counted as materialized (
      select count(*) as size, count(*) filter (where attempts = 0) as never_sent from picked where not blocked
    ), left_over as materialized (
      select exists (
        select from write w
        where w.lane_id = ${claim.laneId} and w.state = 'queued' and not w.blocked
          and w.id >= (select from_id from lane_row) and w.id <> all (array(select id from picked))
      ) as any_left
    ), made as (
      insert into batch (id, lane_id, installation_id, project_id, call_id, object_name, type, all_or_none, members,
                         attempt, worker, lease_until, synchronous, parents)
      select ${claim.batchId}, l.id, l.installation_id, l.project_id, ${claim.batchId}, l.object_name, l.type,
             l.all_or_none, array(select id from picked order by turn),
             (select max(attempts) + 1 from picked), ${claim.worker},
             statement_timestamp() + make_interval(secs => ${claim.leaseSeconds}), ${claim.own},
             array(select distinct parent from picked, unnest(picked.parents) as parent)
      from lane_row l where exists (select from picked)
    ), lane_after as (
      update lane set waiting = lane.waiting - c.never_sent,
        due_at = case when o.any_left then lane.due_at end,
        from_id = case when o.any_left then lane.from_id end
      from counted c, left_over o where lane.id = ${claim.laneId} and c.size > 0
    ), claimed as (
      update write w set state = 'sending', blocked = false, batch_id = ${claim.batchId},
        updated_at = statement_timestamp()
      where w.id = any (array(select id from picked)) and w.state = 'queued'
      returning w.id, w.record, w.attempts, w.rollbacks, w.lost_in, w.if_empty,
                extract(epoch from w.deadline_at - statement_timestamp())::float8 as deadline_seconds
    )
    select c.*, l.installation_id, l.project_id, l.object_name, l.type, l.external_id_field, l.all_or_none,
           l.on_rollback, l.merge, l.headers, l.options, l.operation_id
    from lane_row l, claimed c join picked p using (id)
    order by p.turn`
  return toClaimedBatch(claim, rows, 0)
}
