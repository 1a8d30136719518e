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
}

/** One member of a claimed batch, in the order of the request. */
export interface ClaimedWrite {
  id: string
  record: string
  /** Provider calls made before this one. */
  attempts: number
  /** Rounds in which it was undone with its group and sent again. */
  rollbacks: number
  /** Seconds until retries end; negative when they have. */
  deadlineSeconds: number
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
  headers: { key: string; value: string }[]
  /** Milliseconds that the earliest member is past its deadline; 0 or less when the lane was full first. */
  lateMs: number
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

interface Row {
  id: string | null
  record: string
  attempts: number
  rollbacks: number
  deadline_seconds: number
  available_at: Date
  seq: number
  installation_id: string
  project_id: string
  object_name: string
  type: WriteType
  external_id_field: string | null
  all_or_none: boolean
  on_rollback: 'fail' | 'resend'
  headers: { key: string; value: string }[]
  due_at: Date | null
  ready_again: boolean
  late_ms: number
}

/**
 * Claims the next group of a lane in one statement, if it is ready: as many members as its smallest
 * `maxRecords` waiting, or the earliest deadline passed. Oldest first, at most {@link MAX_GROUP}, at
 * most `maxBytes`.
 *
 * The lane's row is locked for the length of the transaction, by a statement of its own: the claim that
 * follows must see every row that was committed before the lock was had, and a statement sees only what
 * was committed before it began. So claims of one lane come one after the other, none of them can set
 * the lane's due time from rows that are out of date, and they need not skip each other's rows.
 *
 * Times are compared with the statement's own, not the transaction's: that one may lie before the times
 * of writes that were committed while the lane's lock was waited for.
 *
 * The claim looks at two groups' worth of rows, however long the lane is: the first is claimed, the
 * rest says when the lane is due next. The oldest rows are enough for that: if more than a group is
 * left, the lane is ready at once, whatever the deadlines.
 */
export async function claimBatch(tx: Tx, request: ClaimRequest): Promise<ClaimResult> {
  // Not awaited one by one: both statements go out in one round trip.
  const [, rows] = await Promise.all([
    tx`select from lane where id = ${request.laneId} for no key update`,
    claimStatement(tx, request),
  ])
  return toResult(request, rows)
}

/** The claim itself, not sent yet: exported so that its plan can be held by a test. */
export const claimStatement = (tx: Tx, request: ClaimRequest) => tx<Row[]>`
    with lane_row as materialized (
      select * from lane where id = ${request.laneId}
    ), seen as materialized (
      select w.id, w.seq, w.available_at, w.due_at, w.max_records, w.bytes, w.attempts
      from write w
      where w.lane_id = ${request.laneId} and w.state = 'queued' and not w.blocked and w.available_at <= statement_timestamp()
        and w.id >= (select from_id from lane_row)
      order by w.available_at, w.seq
      limit ${2 * MAX_GROUP + 1}
    ), placed as materialized (
      select *, row_number() over w as place, sum(bytes) over w as bytes_to_here
      from seen window w as (order by available_at, seq)
    ), first_group as materialized (
      select count(*) as size, min(max_records) as max_records, min(due_at) as due_at
      from placed where place <= ${MAX_GROUP}
    ), picked as materialized (
      select p.* from placed p, first_group g
      where (g.size >= g.max_records or g.due_at <= statement_timestamp())
        and p.place <= g.max_records and (p.bytes_to_here <= ${request.maxBytes} or p.place = 1)
    ), rest as materialized (
      select * from placed p where not exists (select from picked where picked.id = p.id)
    ), rest_group as materialized (
      select count(*) as size, min(max_records) as max_records, min(due_at) as due_at
      from (select * from rest order by place limit ${MAX_GROUP}) r
    ), later as materialized (
      -- rows that wait for another try: the first to come is the lane's next one
      select w.available_at, w.id from write w
      where w.lane_id = ${request.laneId} and w.state = 'queued' and not w.blocked and w.available_at > statement_timestamp()
        and w.id >= (select from_id from lane_row)
      order by w.available_at limit 1
    ), after as materialized (
      select
        case when g.size > 0 and (g.size >= g.max_records or g.due_at <= statement_timestamp()) then statement_timestamp()
             else least(g.due_at, (select available_at from later)) end as due_at,
        g.size > 0 and (g.size >= g.max_records or g.due_at <= statement_timestamp()) as ready_again,
        coalesce(g.max_records, ${MAX_GROUP}) as max_records,
        (select count(*) from seen) > ${2 * MAX_GROUP} as more
      from rest_group g
    ), made as (
      insert into batch (id, lane_id, installation_id, project_id, call_id, object_name, type, all_or_none, members,
                         attempt, worker, lease_until)
      select ${request.batchId}, l.id, l.installation_id, l.project_id, ${request.callId}, l.object_name, l.type,
             l.all_or_none, array(select id from picked order by place),
             (select max(attempts) + 1 from picked), ${request.worker},
             statement_timestamp() + make_interval(secs => ${request.leaseSeconds})
      from lane_row l where exists (select from picked)
    ), lane_after as (
      update lane set
        due_at = a.due_at,
        max_records = a.max_records,
        waiting = case when a.more then lane.waiting - (select count(*) from picked where attempts = 0)
                       else (select count(*) from rest where attempts = 0) end,
        from_id = case when a.due_at is null then null else lane.from_id end
      from after a where lane.id = ${request.laneId}
    ), claimed as (
      update write w set state = 'sending', batch_id = ${request.batchId}, updated_at = statement_timestamp()
      where w.id = any (array(select id from picked)) and w.state = 'queued'
      returning w.id, w.record, w.attempts, w.rollbacks, w.available_at, w.seq,
                extract(epoch from w.deadline_at - statement_timestamp())::float8 as deadline_seconds
    )
    select c.*, l.installation_id, l.project_id, l.object_name, l.type, l.external_id_field, l.all_or_none, l.on_rollback, l.headers,
           a.due_at, a.ready_again,
           coalesce(extract(epoch from statement_timestamp() - (select due_at from first_group))::float8 * 1000, 0) as late_ms
    from lane_row l cross join after a left join claimed c on true
    order by c.available_at, c.seq`

function toResult(request: ClaimRequest, rows: Row[]): ClaimResult {
  const [head] = rows
  if (head === undefined) return { batch: null, nextDueAt: null, readyAgain: false, installationId: null }
  const members: ClaimedWrite[] = []
  for (const row of rows) {
    if (row.id === null) continue
    members.push({
      id: row.id,
      record: row.record,
      attempts: row.attempts,
      rollbacks: row.rollbacks,
      deadlineSeconds: row.deadline_seconds,
    })
  }
  const batch: ClaimedBatch | null =
    members.length === 0
      ? null
      : {
          batchId: request.batchId,
          laneId: request.laneId,
          installationId: head.installation_id,
          projectId: head.project_id,
          objectName: head.object_name,
          type: head.type,
          externalIdField: head.external_id_field,
          allOrNone: head.all_or_none,
          onRollback: head.on_rollback,
          headers: head.headers,
          lateMs: head.late_ms,
          members,
        }
  return { batch, nextDueAt: head.due_at, readyAgain: head.ready_again, installationId: head.installation_id }
}
