import { expect } from 'vitest'
import type { Sql } from '../../src/db/connect.ts'
import { newId } from '../../src/kernel/ids.ts'
import { createGroupCommit, type IncomingWrite } from '../../src/ingest/group-commit.ts'
import type { LaneKey } from '../../src/model/lane.ts'
import { moves } from '../../src/model/write.ts'
import { claimBatch, type ClaimResult } from '../../src/queue/claim-batch.ts'
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
  ...part,
})

/** A write on its way into a lane. */
export const incoming = (lane: LaneKey, part: Partial<IncomingWrite['write']> = {}): IncomingWrite => {
  const record = part.record ?? '{"LastName":"Test"}'
  return {
    lane,
    write: {
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
      ...part,
    },
  }
}

/** Adds writes in one commit after the other's order, without wake-ups; returns their ids. */
export async function addWrites(sql: Sql, writes: IncomingWrite[]): Promise<string[]> {
  const commits = createGroupCommit({ sql, nudge: () => Promise.resolve() })
  await Promise.all(writes.map((write) => commits.add(write)))
  return writes.map((write) => write.write.id)
}

/** The id of the only lane of an installation. */
export async function laneIdOf(sql: Sql, key: LaneKey): Promise<string> {
  const rows = await sql<{ id: string }[]>`select id from lane where installation_id = ${key.installationId}`
  expect(rows).toHaveLength(1)
  return rows[0]!.id
}

/** Claims the lane's next group. */
export const claim = (sql: Sql, laneId: string, maxBytes = 1_000_000): Promise<ClaimResult> =>
  sql.begin((tx) => {
    const id = newId()
    return claimBatch(tx, { laneId, batchId: id, callId: id, worker: 'test', leaseSeconds: 60, maxBytes })
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
      or (w.queued > 0 and (l.due_at is null or l.due_at > greatest(w.due_at, now()) or l.from_id is null or l.from_id > w.first_id))
      or (w.queued is null and l.due_at is not null)`
  expect([...wrong]).toEqual([])
}
