import type { Tx } from '../db/connect.ts'
import type { LaneKey } from '../model/lane.ts'
import type { WriteType } from '../model/write.ts'
import type { CallKey } from './idempotency-keys.ts'

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
  /** Fields of the record that are sent only where the provider's record has no value yet; null for none. */
  ifEmpty: string[] | null
  /** Hashes, in the form of UUIDs, of the records that the provider locks with this one; null for none known. */
  parents: string[] | null
  /** The caller-built batch that it is a record of, and its place there; null for a write of its own. */
  operationId: string | null
  operationIndex: number | null
}

/** A caller-built batch as it is kept beside its writes. */
export interface NewOperation {
  id: string
  projectId: string
  integrationId: string
  installationId: string
  configId: string
  /** The object as the caller named it. */
  objectName: string
  type: WriteType
  allOrNone: boolean
  reference: string | null
}

/** What one call brings: a write, or the writes of a caller-built batch in the caller's order. */
export interface Submission {
  lane: LaneKey
  /** Null for a write of its own, which is its own operation. */
  operation: NewOperation | null
  writes: Omit<NewWrite, 'laneId' | 'blocked'>[]
  /** The call's idempotency key, where it has one. */
  key?: CallKey
}

/** The id by which a submission is followed. */
export const operationIdOf = ({ operation, writes }: Submission): string => {
  const id = operation?.id ?? writes[0]?.id
  if (id === undefined) throw new TypeError('A submission without writes.')
  return id
}

/** What a group of new writes that are not blocked does to one lane. */
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
      select id, due_at, waiting, max_records, from_id, held_by from lane
      where id = any(${arrivals.map((a) => a.laneId)}::uuid[])
      order by id for no key update
    ), after as (
      select l.id, l.due_at as due_before,
        l.waiting + a.count as waiting,
        least(l.max_records, a.max_records) as max_records,
        least(l.from_id, a.first_id) as from_id,
        -- What holds the lane holds the newcomers too: no need to look again for each of them.
        case when l.held_by is not null and l.due_at > now() then l.due_at
             when l.waiting + a.count >= least(l.max_records, a.max_records) then least(l.due_at, now())
             else least(l.due_at, now() + make_interval(secs => a.delay_seconds)) end as due_at
      from locked l join arriving a using (id)
    )
    update lane set waiting = after.waiting, max_records = after.max_records, from_id = after.from_id,
      due_at = after.due_at, used_at = now()
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

/** A list of UUIDs as PostgreSQL reads an array. */
const uuidList = (ids: string[] | null): string | null => (ids === null ? null : `{${ids.join(',')}}`)

/**
 * Inserts the writes in the order given; within a lane that is also the order of their numbers. Lists
 * within a row do not fit the flat arrays, so they go as one text for each row.
 */
export async function insertWrites(tx: Tx, writes: NewWrite[]): Promise<void> {
  await tx`
    insert into write (id, lane_id, installation_id, project_id, config_id, object_name, record, bytes, reference,
                       record_key, blocked, max_records, available_at, due_at, deadline_at, accepted_at, updated_at,
                       if_empty, parents, operation_id, operation_index)
    select t.id, t.lane_id, t.installation_id, t.project_id, t.config_id, t.object_name, t.record, t.bytes, t.reference,
           t.record_key, t.blocked::boolean, t.max_records, now(), now() + make_interval(secs => t.delay_seconds),
           now() + make_interval(secs => t.deadline_seconds), now(), now(),
           case when t.if_empty is not null then array(select json_array_elements_text(t.if_empty::json)) end,
           t.parents::uuid[], t.operation_id, t.operation_index
    from unnest(
      ${writes.map((w) => w.id)}::uuid[], ${writes.map((w) => w.laneId)}::uuid[],
      ${writes.map((w) => w.installationId)}::uuid[], ${writes.map((w) => w.projectId)}::uuid[],
      ${writes.map((w) => w.configId)}::uuid[], ${writes.map((w) => w.objectName)}::text[],
      ${writes.map((w) => w.record)}::text[], ${writes.map((w) => w.bytes)}::int[],
      ${writes.map((w) => w.reference)}::text[], ${writes.map((w) => w.recordKey)}::uuid[],
      ${writes.map((w) => String(w.blocked))}::text[], ${writes.map((w) => w.maxRecords)}::smallint[],
      ${writes.map((w) => w.delaySeconds)}::float8[], ${writes.map((w) => w.deadlineSeconds)}::float8[],
      ${writes.map((w) => (w.ifEmpty === null ? null : JSON.stringify(w.ifEmpty)))}::text[],
      ${writes.map((w) => uuidList(w.parents))}::text[], ${writes.map((w) => w.operationId)}::uuid[],
      ${writes.map((w) => w.operationIndex)}::smallint[]
    ) with ordinality as t (id, lane_id, installation_id, project_id, config_id, object_name, record, bytes,
                            reference, record_key, blocked, max_records, delay_seconds, deadline_seconds, if_empty,
                            parents, operation_id, operation_index, place)
    order by t.place`
}
