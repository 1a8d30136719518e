import type { Tx } from '../db/connect.ts'
import { endOperations } from './end-operations.ts'
import { findNextWrites, freeWrites, lockOrder, type WokenLane } from './record-order.ts'
import { UNKNOWN_COMPANY, type LostTry } from '../model/lost-try.ts'
import type { ApiUsage, ProviderError } from '../model/outcome.ts'

/** What was decided for one member: where it moves, and what is recorded of it. */
export interface Settlement {
  writeId: string
  /** `sending`: kept for another try at once, in the batch that {@link BatchRecord.next} names. */
  state: 'succeeded' | 'failed' | 'queued' | 'in_doubt' | 'sending'
  recordId: string | null
  created: boolean | null
  /** The provider's errors; null when there were none. */
  errors: ProviderError[] | null
  /** For `queued` after a call: seconds until it may be sent again. Without a spent attempt it keeps its place. */
  delaySeconds: number
  /** Whether the call counts as an attempt of this write; one that a limit of the org turned away does not. */
  spent: boolean
  /** For `queued`: the size of the groups that it may be sent in from now on; null leaves it. */
  maxRecords: number | null
  /** For `queued`: not to be sent as one with other writes to its record again. */
  alone: boolean
  /** For `queued`: whether it was undone with its group by another's error. */
  rolledBack: boolean
  /** How it was in this try, if the answer was lost so that it may have been written; null when it was not. */
  lost: LostTry | null
  /** For `queued`: its tries whose answers were lost are known to have written nothing. */
  unwritten: boolean
}

/** What is recorded of the batch as a whole. */
export interface BatchRecord {
  batchId: string
  laneId: string
  installationId: string
  /** Whether its members name records, so that later writes may wait for them. */
  keyed: boolean
  providerStatus: number | null
  /** What came of the call: see {@link CallAnswer}'s kinds. */
  answer: string
  usage: ApiUsage | null
  /** Whether a provider call was made, and is to be logged with each member. */
  called: boolean
  /** Settle only if the lease has run out: set by a rescue, which must not touch a live worker's batch. */
  onlyExpired: boolean
  /** The batch, made by this settlement, of the members that are kept for another try; null when none is. */
  next: { batchId: string; leaseSeconds: number } | null
}

/** What a settlement moved. */
export interface Settled {
  /** False when the batch was not open any more: somebody else settled it, and nothing was changed. */
  applied: boolean
  /** Operations that ended: members that are one by themselves, and caller-built batches without an open member. */
  ended: string[]
  /** Lanes that must be looked at sooner now: members went back, or a later write to a member's record is free. */
  wake: WokenLane[]
  /** Set when a synchronous call made the writes and is there to hear of their end. */
  isAwaited?: true
}

const notApplied: Settled = { applied: false, ended: [], wake: [] }

/**
 * Ends a batch and moves its members, in the caller's transaction. The batch row is the fence: only one
 * caller can end it, and only members that this batch still holds are moved. A stale worker's
 * settlement changes nothing.
 */
export async function settleBatch(tx: Tx, batch: BatchRecord, settlements: Settlement[]): Promise<Settled> {
  // Order before lanes, everywhere. Members are sending, and nobody but their batch touches those.
  if (batch.keyed) await lockOrder(tx, [batch.installationId])
  const [open] = await endBatch(tx, batch, settlements)
  if (open === undefined) return notApplied
  if (batch.next !== null) await makeNextBatch(tx, batch.batchId, batch.next, settlements)
  const moved = await moveMembers(tx, batch, settlements)
  const ended = moved.filter((row) => row.state !== 'queued' && row.state !== 'sending')
  const back = moved.filter((row) => row.state === 'queued')
  const keys = ended.flatMap((row) => row.record_key ?? [])
  const next = keys.length > 0 ? await findNextWrites(tx, batch.installationId, keys) : []
  const isCallersBatch = moved.some((row) => row.operation_id !== null)
  const own = back.length > 0 || isCallersBatch ? [batch.laneId] : []
  const lanes = [...own, ...next.map((write) => write.laneId)]
  if (lanes.length > 0) await lockLanes(tx, lanes)
  const wake = back.length > 0 ? await returnToLane(tx, batch.laneId, back) : []
  if (next.length > 0) wake.push(...(await freeWrites(tx, next)))
  return {
    applied: true,
    ended: await endOperations(tx, ended),
    wake: latestOfEach(wake),
    // A rescue finds the call's process gone.
    ...(open.synchronous && !batch.onlyExpired && { isAwaited: true }),
  }
}

const lockLanes = (tx: Tx, laneIds: string[]) =>
  tx`select from lane where id = any (${laneIds}::uuid[]) order by id for no key update`

/** A lane that was woken twice has its time from the later statement. */
const latestOfEach = (wake: WokenLane[]): WokenLane[] => [
  ...new Map(wake.map((lane) => [lane.laneId, lane])).values(),
]

/** The batch of the next try: as the one that ended, for the members that are kept. */
const makeNextBatch = (
  tx: Tx,
  batchId: string,
  next: { batchId: string; leaseSeconds: number },
  settlements: Settlement[],
) => tx`
  insert into batch (id, lane_id, installation_id, project_id, call_id, object_name, type, all_or_none, members,
                     attempt, worker, lease_until, synchronous, parents)
  select ${next.batchId}, lane_id, installation_id, project_id, ${next.batchId}, object_name, type, all_or_none,
         ${settlements.filter((s) => s.state === 'sending').map((s) => s.writeId)}::uuid[], attempt + 1, worker,
         now() + make_interval(secs => ${next.leaseSeconds}), synchronous, parents
  from batch where id = ${batchId}`

const endBatch = (tx: Tx, batch: BatchRecord, settlements: Settlement[]) => {
  const succeeded = settlements.filter((s) => s.state === 'succeeded').length
  return tx<{ synchronous: boolean }[]>`
    update batch set state = 'ended', ended_at = now(), provider_status = ${batch.providerStatus},
      answer = ${batch.answer}, api_used = ${batch.usage?.used ?? null}, api_limit = ${batch.usage?.limit ?? null},
      success_count = ${succeeded}, failure_count = ${settlements.length - succeeded}
    where id = ${batch.batchId} and state <> 'ended' and (not ${batch.onlyExpired} or lease_until <= now())
    returning synchronous`
}

interface MovedRow {
  id: string
  state: string
  record_key: string | null
  operation_id: string | null
}

/** Lost tries that are told apart of one write. */
const MAX_LOST_IN = 32

/** Moves the members and writes the attempt of each, in one statement. */
const moveMembers = (tx: Tx, batch: BatchRecord, settlements: Settlement[]) => tx<MovedRow[]>`
  with decided as (
    select * from unnest(
      ${settlements.map((s) => s.writeId)}::uuid[], ${settlements.map((s) => s.state)}::text[],
      ${settlements.map((s) => s.recordId)}::text[], ${settlements.map((s) => (s.created === null ? null : String(s.created)))}::text[],
      ${settlements.map((s) => (s.errors === null ? null : JSON.stringify(s.errors)))}::text[],
      ${settlements.map((s) => s.delaySeconds)}::float8[], ${settlements.map((s) => (s.rolledBack ? 1 : 0))}::int[],
      ${settlements.map((s) => (batch.called && s.spent ? 1 : 0))}::int[],
      ${settlements.map((s) => (batch.called && !s.spent ? 1 : 0))}::int[],
      ${settlements.map((s) => s.maxRecords)}::smallint[], ${settlements.map((s) => (s.alone ? 1 : 0))}::int[],
      ${settlements.map((s) => (s.lost === null ? 0 : 1))}::int[],
      ${settlements.map((s) => s.lost?.company ?? null)}::uuid[], ${settlements.map((s) => (s.unwritten ? 1 : 0))}::int[]
    ) with ordinality as t (id, state, record_id, created, errors, delay_seconds, rolled_back, spent, deferred,
                            max_records, alone, lost, company, unwritten, place)
  ), moved as (
    update write w set
      state = d.state,
      batch_id = case when d.state = 'sending' then ${batch.next?.batchId ?? null}::uuid else w.batch_id end,
      attempts = w.attempts + d.spent,
      deferrals = w.deferrals + d.deferred,
      last_attempt_at = case when ${batch.called} then now() else w.last_attempt_at end,
      rollbacks = w.rollbacks + d.rolled_back,
      record_id = coalesce(d.record_id, w.record_id),
      created = coalesce(d.created::boolean, w.created),
      errors = case when d.state = 'succeeded' then null else coalesce(d.errors::jsonb, w.errors) end,
      available_at = case when d.state = 'queued' and d.spent = 1 then now() + make_interval(secs => d.delay_seconds)
                          else w.available_at end,
      due_at = case when d.state = 'queued' and d.spent = 1 then now() + make_interval(secs => d.delay_seconds)
                    else w.due_at end,
      max_records = least(w.max_records, d.max_records),
      -- Of writes that were sent as one, the first takes its place again and the others wait behind it. A
      -- synchronous call that was given up before its turn waits behind the head of its record's chain.
      blocked = case when d.state <> 'queued' then false when w.merged_into is not null then true
        else exists (
          select from write e
          where e.installation_id = w.installation_id and e.record_key = w.record_key and e.seq < w.seq
            and e.state in ('queued', 'sending') and not e.blocked and e.id <> all (${settlements.map((s) => s.writeId)}::uuid[])
        ) end,
      merged = w.merged and d.state not in ('queued', 'sending'),
      merged_into = case when d.state = 'queued' then null else w.merged_into end,
      alone = w.alone or d.alone = 1,
      -- What has failed is known not to be written by any try. Past the bound, a mark that no other write
      -- has: from then on the company that it was in proves nothing.
      lost_in = case when d.state in ('succeeded', 'failed') or d.unwritten = 1 then null when d.lost = 0 then w.lost_in
        when cardinality(w.lost_in) >= ${MAX_LOST_IN} then array[w.id, ${UNKNOWN_COMPANY}::uuid]
        else w.lost_in || array_remove(array[${batch.batchId}::uuid, d.company], null) end,
      ended_at = case when d.state in ('queued', 'sending') then null else now() end,
      updated_at = now()
    from decided d
    where w.id = any (${settlements.map((s) => s.writeId)}::uuid[]) and w.id = d.id
      and w.batch_id = ${batch.batchId} and w.state = 'sending'
    returning w.id, w.state, w.available_at, w.attempts, w.deferrals, w.record_key, w.operation_id
  ), logged as (
    insert into attempt (write_id, number, batch_id, position, decision, status, errors, next_at, started_at)
    select m.id, m.attempts + m.deferrals, ${batch.batchId}, d.place - 1,
           case when d.deferred = 1 and m.state = 'queued' then 'deferred'
                when m.state in ('queued', 'sending') then 'retry' else m.state end,
           ${batch.providerStatus}, d.errors::jsonb,
           case when m.state = 'queued' then m.available_at end,
           (select started_at from batch where id = ${batch.batchId})
    from moved m join decided d on d.id = m.id
    where ${batch.called}
  )
  select id, state, record_key, operation_id from moved`

/** Counts members that went back into their lane; returns the lane when it is due sooner now. */
async function returnToLane(tx: Tx, laneId: string, back: MovedRow[]): Promise<WokenLane[]> {
  const ids = back.map((row) => row.id)
  const [lane] = await tx<(WokenLane & { sooner: boolean })[]>`
    with before as materialized (
      select due_at from lane where id = ${laneId}
    ), returned as materialized (
      select min(available_at) as next_at, count(*) filter (where attempts = 0) as never_sent,
             min(id::text)::uuid as first_id
      from write where id = any (${ids}::uuid[]) and not blocked
    )
    update lane set
      due_at = case when lane.held_by is not null and lane.due_at > now() then lane.due_at else least(lane.due_at, r.next_at) end,
      from_id = least(lane.from_id, r.first_id),
      waiting = lane.waiting + r.never_sent
    from before, returned r
    where lane.id = ${laneId} and r.first_id is not null
    returning lane.id as "laneId", lane.installation_id as "installationId", lane.due_at as at,
      (before.due_at is null or lane.due_at < before.due_at) as sooner`
  return lane?.sooner === true ? [lane] : []
}
