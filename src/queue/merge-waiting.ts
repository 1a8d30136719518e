import type { Tx } from '../db/connect.ts'
import type { ClaimedBatch, ClaimedWrite } from './claim-batch.ts'

/** Writes that one claim takes in beside its heads: a bound on its memory. */
const MAX_JOINED = 1_000

interface Joined {
  id: string
  head: string
  record: string
  attempts: number
  rollbacks: number
  lost_in: string[] | null
  deadline_seconds: number
  if_empty: string[] | null
}

/**
 * Takes into a claimed batch of a lane with `merge` what waits directly behind its members: writes to
 * the same record, of the same lane, with nothing of another lane in between (contract section 6.4). They
 * take the position of their head and are sent as one record with it; all of them are marked so.
 *
 * What is tried again after a lost answer goes with the same company as then, and none that came later: if
 * it is refused then, so was the lost try (outcomes/earlier-tries.ts).
 *
 * Each is behind a write that this claim holds, so nobody else frees it meanwhile, and the lane's lock
 * keeps those out that end what waits too long.
 */
export async function joinMerged(tx: Tx, batch: ClaimedBatch): Promise<void> {
  const heads = batch.members.map((member) => member.id)
  const rows = await tx<Joined[]>`
    with heads as materialized (
      select id, record_key, seq, lost_in from write where id = any (${heads}::uuid[]) and not alone and record_key is not null
    ), chain as materialized (
      select f.id, h.id as head, f.seq,
        bool_and(f.lane_id = ${batch.laneId} and f.state = 'queued' and f.blocked and not f.alone
          and f.lost_in is not distinct from h.lost_in)
          over (partition by h.id order by f.seq) as joins
      from heads h join write f on f.installation_id = ${batch.installationId} and f.record_key = h.record_key
        and f.state in ('queued', 'sending') and f.seq > h.seq
    ), joining as materialized (
      select * from chain where joins order by seq limit ${MAX_JOINED}
    ), joined as (
      update write w set state = 'sending', batch_id = ${batch.batchId}, blocked = false, merged = true,
        merged_into = j.head, updated_at = statement_timestamp()
      from joining j
      where w.id = any (array(select id from joining)) and w.id = j.id and w.state = 'queued'
      returning w.id, j.head, j.seq, w.record, w.attempts, w.rollbacks, w.lost_in, w.if_empty,
        extract(epoch from w.deadline_at - statement_timestamp())::float8 as deadline_seconds
    ), marked as (
      update write set merged = true where id in (select head from joining)
    ), counted as (
      update batch set members = members || array(select id from joining order by seq)
      where id = ${batch.batchId} and exists (select from joining)
    )
    select * from joined order by seq`
  const positions = new Map(batch.members.map((member) => [member.id, member.position]))
  batch.members.push(
    ...rows.map((row): ClaimedWrite => ({
      id: row.id,
      position: positions.get(row.head) ?? 0,
      record: row.record,
      attempts: row.attempts,
      rollbacks: row.rollbacks,
      lostIn: row.lost_in ?? [],
      deadlineSeconds: row.deadline_seconds,
      ifEmpty: row.if_empty,
    })),
  )
}
