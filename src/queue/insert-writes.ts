import type { Tx } from '../db/connect.ts'

/** One write as it enters the queue. Times are given as spans, counted from the transaction's own time. */
export interface NewWrite {
  id: string
  laneId: string
  installationId: string
  projectId: string
  configId: string
  objectName: string
  /** The record as the provider takes it: a JSON object text. */
  record: string
  /** Bytes of `record` in UTF-8. */
  bytes: number
  reference: string | null
  /** What names the record, hashed into the form of a UUID; null for a create. */
  recordKey: string | null
  /** Whether an earlier write to its record has not ended. */
  blocked: boolean
  /** Seconds from acceptance until the write must leave. */
  delaySeconds: number
  /** Seconds from acceptance until retries end. */
  deadlineSeconds: number
  maxRecords: number
}

/** What a group of new writes does to one lane. */
export interface LaneArrival {
  laneId: string
  count: number
  minDelaySeconds: number
  minMaxRecords: number
  /** The smallest of the new ids: where the lane's waiting rows begin, when it was empty. */
  firstId: string
}

/** A lane after an arrival. */
export interface LaneAfterArrival {
  laneId: string
  installationId: string
  dueAt: Date
  /** Whether the lane must now be looked at earlier than before: its wake-up has to be set. */
  dueSooner: boolean
}

/**
 * Locks the lanes in the order of their ids, so that no two commits can deadlock, and counts the
 * arrivals in: one update per lane and commit, however many writes it brings. A lane that is full is
 * due now. A lane that is not in the answer is not there any more.
 */
export async function arriveInLanes(tx: Tx, arrivals: LaneArrival[]): Promise<LaneAfterArrival[]> {
  const rows = await tx<{ id: string; installation_id: string; due_at: Date; due_sooner: boolean }[]>`
    with arriving as (
      select * from unnest(
        ${arrivals.map((a) => a.laneId)}::uuid[], ${arrivals.map((a) => a.count)}::int[],
        ${arrivals.map((a) => a.minDelaySeconds)}::float8[], ${arrivals.map((a) => a.minMaxRecords)}::smallint[],
        ${arrivals.map((a) => a.firstId)}::uuid[]
      ) as t (id, count, delay_seconds, max_records, first_id)
    ), locked as materialized (
      select id, due_at, waiting, max_records, from_id from lane
      where id = any(${arrivals.map((a) => a.laneId)}::uuid[])
      order by id for no key update
    ), after as (
      select l.id, l.due_at as due_before,
        l.waiting + a.count as waiting,
        least(l.max_records, a.max_records) as max_records,
        least(l.from_id, a.first_id) as from_id,
        case when l.waiting + a.count >= least(l.max_records, a.max_records) then least(l.due_at, now())
             else least(l.due_at, now() + make_interval(secs => a.delay_seconds)) end as due_at
      from locked l join arriving a using (id)
    )
    update lane set waiting = after.waiting, max_records = after.max_records, from_id = after.from_id,
      due_at = after.due_at
    from after where lane.id = after.id
    returning lane.id, lane.installation_id, lane.due_at,
      (after.due_before is null or lane.due_at < after.due_before) as due_sooner`
  return rows.map((row) => ({
    laneId: row.id,
    installationId: row.installation_id,
    dueAt: row.due_at,
    dueSooner: row.due_sooner,
  }))
}

/** Inserts the writes in the order given; within a lane that is also the order of their numbers. */
export async function insertWrites(tx: Tx, writes: NewWrite[]): Promise<void> {
  await tx`
    insert into write (id, lane_id, installation_id, project_id, config_id, object_name, record, bytes, reference,
                       record_key, blocked, max_records, available_at, due_at, deadline_at, accepted_at, updated_at)
    select t.id, t.lane_id, t.installation_id, t.project_id, t.config_id, t.object_name, t.record, t.bytes, t.reference,
           t.record_key, t.blocked::boolean, t.max_records, now(), now() + make_interval(secs => t.delay_seconds),
           now() + make_interval(secs => t.deadline_seconds), now(), now()
    from unnest(
      ${writes.map((w) => w.id)}::uuid[], ${writes.map((w) => w.laneId)}::uuid[],
      ${writes.map((w) => w.installationId)}::uuid[], ${writes.map((w) => w.projectId)}::uuid[],
      ${writes.map((w) => w.configId)}::uuid[], ${writes.map((w) => w.objectName)}::text[],
      ${writes.map((w) => w.record)}::text[], ${writes.map((w) => w.bytes)}::int[],
      ${writes.map((w) => w.reference)}::text[], ${writes.map((w) => w.recordKey)}::uuid[],
      ${writes.map((w) => String(w.blocked))}::text[], ${writes.map((w) => w.maxRecords)}::smallint[],
      ${writes.map((w) => w.delaySeconds)}::float8[], ${writes.map((w) => w.deadlineSeconds)}::float8[]
    ) with ordinality as t (id, lane_id, installation_id, project_id, config_id, object_name, record, bytes,
                            reference, record_key, blocked, max_records, delay_seconds, deadline_seconds, place)
    order by t.place`
}
