import { expect } from 'vitest'
import type { Sql } from '../../src/db/connect.ts'
import { newId } from '../../src/kernel/ids.ts'
import { createGroupCommit } from '../../src/ingest/group-commit.ts'
import type { LaneKey } from '../../src/model/lane.ts'
import { moves } from '../../src/model/write.ts'
import type { Submission } from '../../src/queue/insert-writes.ts'
import { claimBatch, lockForClaim, type ClaimRequest, type ClaimResult } from '../../src/queue/claim-batch.ts'
import { readOperation, type RecordView } from '../../src/queue/read.ts'
import { settleBatch, type BatchRecord, type Settlement } from '../../src/queue/settle-batch.ts'

/** A lane's key with everything filled in. */
export const laneKey = (part: Partial<LaneKey> = {}): LaneKey => ({
  projectId: newId(),
  integrationId: newId(),
  installationId: newId(),
  objectName: 'Contact',
  type: 'create',
  externalIdField: null,
  allOrNone: false,
  onRollback: 'fail',
  merge: false,
  headers: [],
  options: {},
  operationId: null,
  ...part,
})

type SubmittedWrite = Submission['writes'][number]

const submittedWrite = (lane: LaneKey, part: Partial<SubmittedWrite>): SubmittedWrite => {
  const record = part.record ?? '{"LastName":"Test"}'
  return {
    id: newId(),
    installationId: lane.installationId,
    projectId: lane.projectId,
    configId: newId(),
    objectName: lane.objectName,
    record,
    bytes: Buffer.byteLength(record),
    reference: null,
    recordKey: null,
    delaySeconds: 3600,
    deadlineSeconds: 7200,
    maxRecords: 100,
    ifEmpty: null,
    parents: null,
    operationId: null,
    operationIndex: null,
    ...part,
  }
}

/** A write on its way into a lane; `writes[0]` is the write. */
export const incoming = (lane: LaneKey, part: Partial<SubmittedWrite> = {}) => ({
  lane,
  operation: null,
  writes: [submittedWrite(lane, part)] as [SubmittedWrite],
})

/** A caller-built batch on its way in, one part for each record; its lane is the key's, made its own. */
export function incomingBatch(key: LaneKey, parts: Partial<SubmittedWrite>[]) {
  const operationId = newId()
  const lane: LaneKey = { ...key, operationId }
  const writes = parts.map((part, operationIndex) =>
    submittedWrite(lane, { delaySeconds: 0, operationId, operationIndex, ...part }),
  )
  const { projectId, integrationId, installationId, objectName, type, allOrNone } = lane
  const operation = {
    id: operationId,
    projectId,
    integrationId,
    installationId,
    configId: newId(),
    objectName,
    type,
    allOrNone,
    reference: null,
  }
  return { lane, operation, writes } satisfies Submission
}

/** Adds submissions in one commit after the other's order, without wake-ups; returns their writes' ids. */
export async function addWrites(sql: Sql, submissions: Submission[]): Promise<string[]> {
  const commits = createGroupCommit({ sql, nudge: () => Promise.resolve() })
  await Promise.all(submissions.map((submission) => commits.add(submission)))
  return submissions.flatMap(({ writes }) => writes.map((write) => write.id))
}

/** The one record of a write's operation; null when there is none. */
export const readWrite = async (sql: Sql, projectId: string, id: string): Promise<RecordView | null> =>
  (await readOperation(sql, projectId, id))?.records[0] ?? null

/** The id of the only lane of an installation. */
export async function laneIdOf(sql: Sql, key: LaneKey): Promise<string> {
  const rows = await sql<{ id: string }[]>`select id from lane where installation_id = ${key.installationId}`
  expect(rows).toHaveLength(1)
  return rows[0]!.id
}

/** Claims the lane's next group, if it is ready. */
export const claim = (
  sql: Sql,
  laneId: string,
  maxBytes = 1_000_000,
  part: Partial<ClaimRequest> = {},
): Promise<ClaimResult> =>
  sql.begin(async (tx) => {
    const id = newId()
    await lockForClaim(tx, [laneId])
    return claimBatch(tx, {
      laneId,
      batchId: id,
      callId: id,
      worker: 'test',
      leaseSeconds: 60,
      maxBytes,
      rides: false,
      synchronous: false,
      heldParents: [],
      ...part,
    })
  })

/** Settles a batch with one decision for each member. */
export const settle = (
  sql: Sql,
  batch: NonNullable<ClaimResult['batch']>,
  decide: (index: number) => Partial<Settlement>,
  part: Partial<BatchRecord> = {},
) =>
  sql.begin((tx) =>
    settleBatch(
      tx,
      {
        batchId: batch.batchId,
        laneId: batch.laneId,
        installationId: batch.installationId,
        keyed: batch.type !== 'create',
        providerStatus: 200,
        answer: 'answered',
        usage: null,
        called: true,
        onlyExpired: false,
        next: null,
        ...part,
      },
      batch.members.map((member, index) => ({
        writeId: member.id,
        state: 'succeeded',
        recordId: null,
        created: null,
        errors: null,
        delaySeconds: 0,
        rolledBack: false,
        spent: true,
        maxRecords: null,
        alone: false,
        lost: null,
        unwritten: false,
        ...decide(index),
      })),
    ),
  )

/** Makes the database refuse every move of a write that the model does not list. */
export async function refuseIllegalMoves(sql: Sql): Promise<void> {
  const legal = Object.entries(moves).flatMap(([from, targets]) => targets.map((to) => `${from}>${to}`))
  await sql`create table legal_move (move text primary key)`
  await sql`insert into legal_move select unnest(${legal}::text[])`
  await sql`
    create function refuse_illegal_move() returns trigger language plpgsql as $$
    begin
      if old.state <> new.state and not exists (select from legal_move where move = old.state || '>' || new.state) then
        raise exception 'illegal move from % to %', old.state, new.state;
      end if;
      return new;
    end $$`
  await sql`create trigger refuse_illegal_move before update on write for each row execute function refuse_illegal_move()`
}

/** Checks that every lane's summary is what its rows say: a lane that errs here could sleep with work in it. */
export async function expectLanesTrue(sql: Sql): Promise<void> {
  const wrong = await sql`
    select l.id, l.waiting, l.due_at, l.from_id, w.waiting as rows_waiting, w.due_at as rows_due_at, w.first_id
    from lane l
    left join (
      select lane_id, count(*) filter (where attempts = 0)::int as waiting, min(greatest(due_at, available_at)) as due_at,
        min(id::text)::uuid as first_id, count(*) as queued
      from write where state = 'queued' and not blocked group by lane_id
    ) w on w.lane_id = l.id
    where l.waiting <> coalesce(w.waiting, 0)
      or (w.queued > 0 and (l.due_at is null or (l.held_by is null and l.due_at > greatest(w.due_at, now())) or l.from_id is null or l.from_id > w.first_id))
      or (w.queued is null and l.due_at is not null)`
  expect([...wrong]).toEqual([])
}
