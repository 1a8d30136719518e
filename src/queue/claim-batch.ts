import type { Tx } from '../db/connect.ts'
import type { WriteType } from '../model/write.ts'
import { MAX_GROUP } from '../model/write.ts'

/** What a claim takes and for whom. */
export interface ClaimRequest {
  laneId: string
  /** Id of the batch to be: the fence of everything that is done to its members. */
  batchId: string
  callId: string
  /** Name of the claiming process, for operators. */
  worker: string
  leaseSeconds: number
  /** Bytes of records that a group may hold; a single bigger one goes alone. */
  maxBytes: number
  /** Takes what waits even if the lane is not ready: a rider in a call that is made anyway. */
  rides: boolean
  /** For a synchronous call, which waits for it. */
  synchronous: boolean
  /** What other calls in flight lock at the provider: writes that lock the same are left for later. */
  heldParents: string[]
}

/** One member of a claimed batch. */
export interface ClaimedWrite {
  id: string
  /** Place of the record in the request; writes that are sent as one record share it. */
  position: number
  record: string
  /** Provider calls made before this one that count as attempts. */
  attempts: number
  /** Rounds in which it was undone with its group and sent again. */
  rollbacks: number
  /** The batches in which it was sent and whose answers were lost: each may have written it. */
  lostIn: string[]
  /** Seconds until retries end; negative when they have. */
  deadlineSeconds: number
  /** Fields that are sent only where the provider's record has no value yet. */
  ifEmpty: string[] | null
}

/** A claimed batch: what is needed to send it. */
export interface ClaimedBatch {
  batchId: string
  laneId: string
  installationId: string
  projectId: string
  objectName: string
  type: WriteType
  externalIdField: string | null
  allOrNone: boolean
  onRollback: 'fail' | 'resend'
  merge: boolean
  headers: { key: string; value: string }[]
  options: Record<string, boolean>
  /** Whether it is of a caller-built batch. */
  isCallersBatch: boolean
  /** Milliseconds that the earliest member is past its deadline; 0 when it was flushed, less when the lane was full first. */
  lateMs: number
  /** Set when it left for another's sake: in a free place of a call, or because a synchronous call waits behind it. */
  leftAs?: 'rider' | 'ahead'
  /** In the order of the request. */
  members: ClaimedWrite[]
}

/** What became of a claim. */
export interface ClaimResult {
  /** Null when the lane was not ready. */
  batch: ClaimedBatch | null
  /** When the lane must be looked at next; null when nothing waits in it. */
  nextDueAt: Date | null
  /** Whether another group of it is ready at once. */
  readyAgain: boolean
  installationId: string | null
}

/** A member that a claim moved, with what its lane says of the batch. */
export interface ClaimedRow {
  id: string
  record: string
  attempts: number
  rollbacks: number
  lost_in: string[] | null
  deadline_seconds: number
  if_empty: string[] | null
  installation_id: string
  project_id: string
  object_name: string
  type: WriteType
  external_id_field: string | null
  all_or_none: boolean
  on_rollback: 'fail' | 'resend'
  merge: boolean
  headers: { key: string; value: string }[]
  options: Record<string, boolean>
  operation_id: string | null
}

/** The id is null in the one row of a claim that moved nothing. */
interface Row extends Omit<ClaimedRow, 'id'> {
  id: string | null
  due_at: Date | null
  ready_again: boolean
  late_ms: number
}

/** Rows that a claim reads: two groups and one, and more where it may have to step over some. */
const WINDOW = 2 * MAX_GROUP + 1
const WIDE_WINDOW = 1_000
/** Seconds until a lane is looked at again whose due writes wait for another call's parents, or for members of their batch. */
const LOOK_AGAIN = { parents: 0.25, members: 1 }

/** Locks lanes for the length of a transaction, in the one order in which lanes are locked everywhere. */
export async function lockForClaim(tx: Tx, laneIds: string[]): Promise<void> {
  await tx`select from lane where id = any (${laneIds}::uuid[]) order by id for no key update`
}

/**
 * Claims the next group of a lane in one statement, if it is ready: as many members as its smallest
 * `maxRecords` waiting, or the earliest deadline passed. At most {@link MAX_GROUP}, at most `maxBytes`.
 *
 * Call it with the lane locked by a statement of its own ({@link lockForClaim}): the claim must see
 * every row that was committed before the lock was had, and a statement sees only what was committed
 * before it began. So claims of one lane come one after the other, none of them can set the lane's due
 * time from rows that are out of date, and they need not skip each other's rows.
 *
 * Times are compared with the statement's own, not the transaction's: that one may lie before the times
 * of writes that were committed while the lane's lock was waited for.
 *
 * The claim looks at two groups' worth of the oldest rows, however long the lane is: the first is
 * claimed, the rest says when the lane is due next. If more than a group is left, the lane is ready at
 * once, whatever the deadlines.
 *
 * Who goes first: those whose deadline has passed, then the oldest; and with each those of the next rows
 * that lock the same parent at the provider, so that children of one parent share a request instead of
 * meeting at its lock (facts 8). Writes whose parent another call in flight holds are stepped over. Within
 * the request they stand in the order of their acceptance.
 *
 * A caller-built batch with allOrNone leaves whole or not at all.
 */
export async function claimBatch(tx: Tx, request: ClaimRequest): Promise<ClaimResult> {
  return toResult(request, await claimStatement(tx, request))
}

/** The claim itself, not sent yet: exported so that its plan can be held by a test. */
export const claimStatement = (tx: Tx, request: ClaimRequest) => tx<Row[]>`
    with lane_row as materialized (
      select * from lane where id = ${request.laneId}
    ), near as materialized (
      select w.id, w.seq, w.available_at, w.max_records, w.bytes, w.attempts, w.parents,
        -- what was there when the lane was flushed is due
        case when w.seq <= (select flushed_seq from lane_row) then least(w.due_at, statement_timestamp()) else w.due_at end as due_at,
        coalesce(w.parents && ${request.heldParents}::uuid[], false) as shut
      from write w
      where w.lane_id = ${request.laneId} and w.state = 'queued' and not w.blocked and w.available_at <= statement_timestamp()
        and w.id >= (select from_id from lane_row)
      order by w.available_at, w.seq
      limit ${request.heldParents.length === 0 ? WINDOW : WIDE_WINDOW}
    ), shut as materialized (
      select count(*) as size, coalesce(bool_or(due_at <= statement_timestamp()), false) as due, min(due_at) as due_at
      from near where shut
    ), seen as materialized (
      select *, row_number() over (order by available_at, seq) as place
      from near where not shut order by available_at, seq limit ${WINDOW}
    ), clustered as materialized (
      select *, min(place) over cluster as lead, bool_or(due_at <= statement_timestamp()) over cluster as due
      from seen window cluster as (partition by coalesce(parents[1], id))
    ), placed as materialized (
      select *, row_number() over w as turn, sum(bytes) over w as bytes_to_here
      from clustered window w as (order by due desc, lead, place)
    ), first_group as materialized (
      select count(*) as size, min(max_records) as max_records, min(due_at) as due_at
      from placed where turn <= ${MAX_GROUP}
    ), whole as materialized (
      -- a caller-built batch: all of its members, or not yet
      select l.operation_id is null or not l.all_or_none or
        (select count(*) from seen) = (select cardinality(o.members) from operation o where o.id = l.operation_id) as ok
      from lane_row l
    ), judged as materialized (
      select p.*, coalesce((select ok from whole)
        and (${request.rides} or g.size >= g.max_records or g.due_at <= statement_timestamp())
        and (p.turn <= g.max_records and (p.bytes_to_here <= ${request.maxBytes} or p.turn = 1)
             or (l.operation_id is not null and l.all_or_none)), false) as taken
      from placed p, first_group g, lane_row l
    ), picked as materialized (
      select * from judged where taken
    ), rest as materialized (
      select * from judged where not taken
    ), rest_group as materialized (
      select count(*) as size, min(max_records) as max_records, min(due_at) as due_at
      from (select * from rest order by turn limit ${MAX_GROUP}) r
    ), later as materialized (
      -- rows that wait for another try: the first to come is the lane's next one
      select w.available_at, w.id from write w
      where w.lane_id = ${request.laneId} and w.state = 'queued' and not w.blocked and w.available_at > statement_timestamp()
        and w.id >= (select from_id from lane_row)
      order by w.available_at limit 1
    ), readiness as materialized (
      select g.*, (select ok from whole) and g.size > 0
        and (g.size >= g.max_records or g.due_at <= statement_timestamp()) as ready
      from rest_group g
    ), after as materialized (
      select
        case when g.ready then statement_timestamp()
             else least(
               case when (select ok from whole) then g.due_at
                    when g.size > 0 then statement_timestamp() + make_interval(secs => ${LOOK_AGAIN.members}) end,
               case when s.due or s.size >= ${MAX_GROUP} then statement_timestamp() + make_interval(secs => ${LOOK_AGAIN.parents})
                    else s.due_at end,
               (select available_at from later)) end as due_at,
        g.ready as ready_again,
        coalesce(g.max_records, ${MAX_GROUP}) as max_records,
        (select count(*) from seen) >= ${WINDOW} or s.size > 0 as more,
        not g.ready and s.size > 0 as shut
      from readiness g, shut s
    ), made as (
      insert into batch (id, lane_id, installation_id, project_id, call_id, object_name, type, all_or_none, members,
                         attempt, worker, lease_until, synchronous, parents)
      select ${request.batchId}, l.id, l.installation_id, l.project_id, ${request.callId}, l.object_name, l.type,
             l.all_or_none, array(select id from picked order by place),
             (select max(attempts) + 1 from picked), ${request.worker},
             statement_timestamp() + make_interval(secs => ${request.leaseSeconds}), ${request.synchronous},
             array(select distinct parent from picked, unnest(picked.parents) as parent)
      from lane_row l where exists (select from picked)
    ), lane_after as (
      update lane set
        due_at = a.due_at,
        held_by = case when a.shut then 'parent' end,
        max_records = a.max_records,
        waiting = case when a.more then lane.waiting - (select count(*) from picked where attempts = 0)
                       else (select count(*) from rest where attempts = 0) end,
        from_id = case when a.due_at is null then null else lane.from_id end
      from after a where lane.id = ${request.laneId}
    ), claimed as (
      update write w set state = 'sending', batch_id = ${request.batchId}, updated_at = statement_timestamp()
      where w.id = any (array(select id from picked)) and w.state = 'queued'
      returning w.id, w.record, w.attempts, w.rollbacks, w.lost_in, w.if_empty,
                extract(epoch from w.deadline_at - statement_timestamp())::float8 as deadline_seconds
    )
    select c.*, l.installation_id, l.project_id, l.object_name, l.type, l.external_id_field, l.all_or_none,
           l.on_rollback, l.merge, l.headers, l.options, l.operation_id, a.due_at, a.ready_again,
           coalesce(extract(epoch from statement_timestamp() - (select due_at from first_group))::float8 * 1000, 0) as late_ms
    from lane_row l cross join after a left join (claimed c join picked p using (id)) on true
    order by p.place`

function toResult(request: ClaimRequest, rows: Row[]): ClaimResult {
  const [head] = rows
  if (head === undefined) return { batch: null, nextDueAt: null, readyAgain: false, installationId: null }
  const claimed = rows.filter((row): row is Row & { id: string } => row.id !== null)
  return {
    batch: toClaimedBatch(request, claimed, head.late_ms),
    nextDueAt: head.due_at,
    readyAgain: head.ready_again,
    installationId: head.installation_id,
  }
}

/** The batch of the rows that a claim moved, in the order of the request; null when it moved none. */
export function toClaimedBatch(
  claim: { batchId: string; laneId: string },
  rows: ClaimedRow[],
  lateMs: number,
): ClaimedBatch | null {
  const [head] = rows
  if (head === undefined) return null
  return {
    batchId: claim.batchId,
    laneId: claim.laneId,
    installationId: head.installation_id,
    projectId: head.project_id,
    objectName: head.object_name,
    type: head.type,
    externalIdField: head.external_id_field,
    allOrNone: head.all_or_none,
    onRollback: head.on_rollback,
    merge: head.merge,
    headers: head.headers,
    options: head.options,
    isCallersBatch: head.operation_id !== null,
    lateMs,
    members: rows.map((row, position) => ({
      id: row.id,
      position,
      record: row.record,
      attempts: row.attempts,
      rollbacks: row.rollbacks,
      lostIn: row.lost_in ?? [],
      deadlineSeconds: row.deadline_seconds,
      ifEmpty: row.if_empty,
    })),
  }
}
