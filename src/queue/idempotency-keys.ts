import type { Sql, Tx } from '../db/connect.ts'
import type { NowOutcome } from '../model/now-outcome.ts'
import type { ProviderError } from '../model/outcome.ts'
import type { WriteState } from '../model/write.ts'
import { operationIdOf, type Submission } from './insert-writes.ts'

/*
 * Idempotency keys (contract section 5). A key is inserted in the transaction that records its call's
 * writes, before anything else in it is locked, and several are inserted in the order of their bytes. So
 * nobody waits for a key while holding what others wait for, and no two transactions wait for each other.
 */

/** An answer as it was given. */
export interface KeptAnswer {
  status: number
  /** JSON. */
  body: string
}

/** An idempotency key as a request brings it; it belongs to the request's project. */
export interface RequestKey {
  text: string
  /** Of all that makes the request what it is; a repeated key must come with the same. */
  requestHash: Buffer
}

/** The idempotency key of a call that is made. */
export interface CallKey extends RequestKey {
  /** What a synchronous call answers to an outcome, and what is kept of it; null for an asynchronous call. */
  answerTo: ((outcome: NowOutcome) => KeptAnswer) | null
}

/** Thrown when a call's key was taken by an earlier one: nothing of this one is recorded. */
export class KeyTaken extends Error {
  constructor() {
    super('The idempotency key belongs to an earlier call.')
    this.name = 'KeyTaken'
  }
}

/**
 * Takes the keys of submissions for them; waits for whoever is taking one of them right now. Of several
 * submissions with one key the first gets it. Call it before anything else is locked.
 *
 * @returns the submissions that lost their keys to an earlier call; those without a key never do
 */
export async function takeKeys(tx: Tx, submissions: readonly Submission[]): Promise<Set<Submission>> {
  const keyed = submissions.flatMap((submission) =>
    submission.key === undefined ? [] : { submission, key: submission.key },
  )
  if (keyed.length === 0) return new Set()
  const taken = await tx<{ id: string }[]>`
    insert into idempotency_key (project_id, key, request_hash, operation_id)
    select project_id, key, decode(request_hash, 'hex'), operation_id
    from unnest(
      ${keyed.map(({ submission }) => submission.lane.projectId)}::uuid[], ${keyed.map(({ key }) => key.text)}::text[],
      ${keyed.map(({ key }) => key.requestHash.toString('hex'))}::text[],
      ${keyed.map(({ submission }) => operationIdOf(submission))}::uuid[]
    ) with ordinality as t (project_id, key, request_hash, operation_id, place)
    order by project_id, key collate "C", place
    on conflict do nothing
    returning operation_id as id`
  const won = new Set(taken.map((row) => row.id))
  return new Set(keyed.flatMap(({ submission }) => (won.has(operationIdOf(submission)) ? [] : submission)))
}

/** Keeps what a submission's call answers, unless something is kept already. */
export async function keepAnswer(sql: Sql | Tx, submission: Submission, answer: KeptAnswer): Promise<void> {
  if (submission.key === undefined) return
  await sql`
    update idempotency_key set status = ${answer.status}, answer = ${answer.body}
    where project_id = ${submission.lane.projectId} and key = ${submission.key.text}
      and operation_id = ${operationIdOf(submission)} and status is null`
}

/** Which call has a key. */
export interface KeyOwner {
  projectId: string
  text: string
  operationId: string
}

/** Gives the key of a submission's call back, see {@link freeKey}. */
export async function releaseKey(sql: Sql, submission: Submission): Promise<void> {
  const { lane, key } = submission
  if (key === undefined) return
  await freeKey(sql, { projectId: lane.projectId, text: key.text, operationId: operationIdOf(submission) })
}

/**
 * Gives a key back whose call failed without an outcome: it may be used again when none of the call's
 * writes was made, nor ever will be. When that is not so, the key stays, and with it what is recorded.
 */
export async function freeKey(sql: Sql, { projectId, text, operationId }: KeyOwner): Promise<void> {
  await sql`
    delete from idempotency_key
    where project_id = ${projectId} and key = ${text} and operation_id = ${operationId} and status is null
      and not exists (
        select from write
        where id = any (coalesce((select members from operation where id = ${operationId}), array[${operationId}::uuid]))
          and state <> 'failed'
      )`
}

/** A record of the call that took a key, as it is recorded now. */
export interface TriedRecord {
  state: WriteState
  /** Provider calls made for it. */
  attempts: number
  recordId: string | null
  created: boolean | null
  errors: ProviderError[] | null
  /** The record's id as an update or a delete named it; null for others. */
  namedId: string | null
}

/** A key that was taken. */
export interface TakenKey {
  requestHash: Buffer
  operationId: string
  /** Null while there is none, and for an asynchronous call. */
  answer: KeptAnswer | null
  /** Whether the call brought a caller-built batch. */
  isBatch: boolean
  /** By the caller's positions; left out when an answer is kept, and those that are not kept any more. */
  records: TriedRecord[]
}

type KeyRow = Omit<TakenKey, 'answer' | 'records'> &
  Omit<TriedRecord, 'state'> & { status: number | null; answer: string | null; state: WriteState | null }

/**
 * Who took a key of a project; null when nobody did. One look at key and writes: an answer is kept in the
 * transaction that settles them, so where they have ended without one, none will come.
 */
export async function readKey(sql: Sql, projectId: string, text: string): Promise<TakenKey | null> {
  const rows = await sql<KeyRow[]>`
    select k.request_hash as "requestHash", k.operation_id as "operationId", k.status, k.answer,
      o.id is not null as "isBatch", w.state, w.attempts, w.record_id as "recordId", w.created, w.errors,
      case when l.type in ('update', 'delete') then w.record::json ->> 'id' end as "namedId"
    from idempotency_key k
    left join operation o on o.id = k.operation_id
    left join lateral unnest(coalesce(o.members, array[k.operation_id])) with ordinality as m (id, place)
      on k.status is null
    left join write w on w.id = m.id
    left join lane l on l.id = w.lane_id
    where k.project_id = ${projectId} and k.key = ${text}
    order by m.place`
  const [first] = rows
  if (first === undefined) return null
  const { requestHash, operationId, isBatch, status, answer } = first
  return {
    requestHash,
    operationId,
    isBatch,
    answer: status === null || answer === null ? null : { status, body: answer },
    records: rows.flatMap(({ state, attempts, recordId, created, errors, namedId }) =>
      state === null ? [] : { state, attempts, recordId, created, errors, namedId },
    ),
  }
}

/** Keys that one statement removes. */
const CHUNK = 1_000

/** Removes all keys that are past their time, until the work is to stop; returns how many. */
export async function pruneKeys(sql: Sql, signal: AbortSignal): Promise<number> {
  let gone = 0
  while (!signal.aborted) {
    const some = await deleteOldKeys(sql, CHUNK)
    gone += some
    if (some < CHUNK) break
  }
  return gone
}

/** Hours that a key is kept: a day (contract section 5), counted from the end of the longest call. */
const KEPT_HOURS = 25

/** Removes keys that are past their time, the oldest first; returns how many, at most `limit`. */
export async function deleteOldKeys(sql: Sql, limit: number): Promise<number> {
  const gone = await sql`
    with old as materialized (
      select project_id, key from idempotency_key
      where created_at < now() - make_interval(hours => ${KEPT_HOURS})
      order by created_at limit ${limit} for update skip locked
    )
    delete from idempotency_key k using old where k.project_id = old.project_id and k.key = old.key`
  return gone.count
}
