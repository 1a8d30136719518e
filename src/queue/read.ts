import type { Sql } from '../db/connect.ts'
import { createSharedReads } from '../kernel/shared-reads.ts'
import type { ProviderError } from '../model/outcome.ts'
import type { WriteState, WriteType } from '../model/write.ts'

/** One record of an operation. */
export interface RecordView {
  /** Id of its write. */
  id: string
  state: WriteState
  /** Provider calls made for it; those that a limit turned away are not counted. */
  attempts: number
  lastAttemptAt: Date | null
  /** When it leaves next at the latest, while queued. */
  nextAttemptAt: Date | null
  batchId: string | null
  recordId: string | null
  created: boolean | null
  errors: ProviderError[] | null
  /** Whether it was sent as one with other writes to its record. */
  merged: boolean
  updatedAt: Date
}

/** An operation as it is shown (contract section 7): a write of its own, or a caller-built batch. */
export interface OperationView {
  id: string
  projectId: string
  integrationId: string
  installationId: string
  configId: string
  objectName: string
  type: WriteType
  allOrNone: boolean
  reference: string | null
  acceptedAt: Date
  /** A caller-built batch, of however many records. */
  isBatch: boolean
  /** One record, or those of a batch in the caller's order. */
  records: RecordView[]
}

type Row = Omit<OperationView, 'records'> & Omit<RecordView, 'id'> & { writeId: string }

/**
 * An operation of a project by id, with its records; null when the project has none of that id. The
 * writes of a caller-built batch are no operations by themselves.
 */
export async function readOperation(sql: Sql, projectId: string, id: string): Promise<OperationView | null> {
  const [operation] = await readOperations(sql, projectId, [id])
  return operation ?? null
}

/** Operations that one statement reads: nearly all are of one record, and none is of more than 2,000. */
const READ_TOGETHER = 50
/** Statements of one project that read at once: one is under way while the next one's questions come in. */
const READS_AT_ONCE = 2

/** {@link readOperation} for many callers at once, who share statements. */
export function createOperationReads(
  sql: Sql,
): (projectId: string, id: string) => Promise<OperationView | null> {
  const read = createSharedReads<OperationView>({
    readMany: async (projectId, ids) => {
      const operations = await readOperations(sql, projectId, ids)
      return new Map(operations.map((operation) => [operation.id, operation]))
    },
    max: READ_TOGETHER,
    flights: READS_AT_ONCE,
  })
  return (projectId, id) => read(projectId, id.toLowerCase())
}

/** Operations of a project in the order of these ids, each once; those that the project does not have are left out. */
export async function readOperations(sql: Sql, projectId: string, ids: string[]): Promise<OperationView[]> {
  const asked = [...new Set(ids.map((id) => id.toLowerCase()))]
  const operations = new Map<string, OperationView>()
  for (const row of await readStatement(sql, projectId, asked)) {
    const operation = operations.get(row.id)
    const record = toRecord(row.writeId, row)
    if (operation === undefined) operations.set(row.id, toView(row, record))
    else operation.records.push(record)
  }
  return asked.flatMap((id) => operations.get(id) ?? [])
}

/** Records of the caller-built batches among these operations of a project. Each is looked up in one partition. */
export async function countRecords(sql: Sql, projectId: string, ids: string[]): Promise<number> {
  const [row] = await sql<{ count: number }[]>`
    select coalesce(sum(cardinality(o.members)), 0)::int as count
    from unnest(${ids}::uuid[]) as asked (id)
      cross join lateral (select members, project_id from operation where id = asked.id limit 1) o
    where o.project_id = ${projectId}`
  return row?.count ?? 0
}

/**
 * The reading itself, not sent yet: exported so that its plan can be held by a test. The limits keep every
 * look-up by itself, in one partition: joined as a whole, a table would be read whole while it is small.
 */
export const readStatement = (sql: Sql, projectId: string, ids: string[]) => sql<Row[]>`
    with found as (
      select w.id, w.project_id, l.integration_id, w.installation_id, w.config_id, w.object_name, l.type,
        l.all_or_none, w.reference, w.accepted_at, false as is_batch, w.id as write_id, 1::bigint as place
      from unnest(${ids}::uuid[]) as asked (id)
        cross join lateral (select * from write where id = asked.id limit 1) w join lane l on l.id = w.lane_id
      where w.project_id = ${projectId} and w.operation_id is null
      union all
      select o.id, o.project_id, o.integration_id, o.installation_id, o.config_id, o.object_name, o.type,
        o.all_or_none, o.reference, o.accepted_at, true, m.id, m.place
      from unnest(${ids}::uuid[]) as asked (id)
        cross join lateral (select * from operation where id = asked.id limit 1) o
        cross join lateral unnest(o.members) with ordinality as m (id, place)
      where o.project_id = ${projectId}
    )
    select f.id, f.project_id as "projectId", f.integration_id as "integrationId",
      f.installation_id as "installationId", f.config_id as "configId", f.object_name as "objectName", f.type,
      f.all_or_none as "allOrNone", f.reference, f.accepted_at as "acceptedAt", f.is_batch as "isBatch",
      w.id as "writeId", w.state, w.attempts, w.last_attempt_at as "lastAttemptAt",
      case when w.state = 'queued' then greatest(w.due_at, w.available_at) end as "nextAttemptAt",
      w.batch_id as "batchId", w.record_id as "recordId", w.created, w.errors, w.merged, w.updated_at as "updatedAt"
    from found f cross join lateral (select * from write where id = f.write_id limit 1) w
    order by f.id, f.place`

const toView = (row: Row, record: RecordView): OperationView => ({
  id: row.id,
  projectId: row.projectId,
  integrationId: row.integrationId,
  installationId: row.installationId,
  configId: row.configId,
  objectName: row.objectName,
  type: row.type,
  allOrNone: row.allOrNone,
  reference: row.reference,
  acceptedAt: row.acceptedAt,
  isBatch: row.isBatch,
  records: [record],
})

const toRecord = (id: string, row: Omit<Row, 'writeId'>): RecordView => ({
  id,
  state: row.state,
  attempts: row.attempts,
  lastAttemptAt: row.lastAttemptAt,
  nextAttemptAt: row.nextAttemptAt,
  batchId: row.batchId,
  recordId: row.recordId,
  created: row.created,
  errors: row.errors,
  merged: row.merged,
  updatedAt: row.updatedAt,
})

/** Which of these operations have ended. For those who wait, when a notification may have been missed. */
export async function readEnded(sql: Sql, ids: string[]): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select id from write where id = any (${ids}::uuid[]) and state not in ('queued', 'sending')
    union all
    select o.id from operation o where o.id = any (${ids}::uuid[]) and not exists (
      select from unnest(o.members) as m (id) join write w on w.id = m.id where w.state in ('queued', 'sending')
    )`
  return rows.map((row) => row.id)
}

/** One line of a write's history, as kept. */
export interface AttemptView {
  writeId: string
  /** The how-manieth call this was for the write, those that a limit turned away included. */
  number: number
  batchId: string
  callId: string
  batchSize: number
  position: number
  decision: string
  status: number | null
  errors: ProviderError[] | null
  nextAt: Date | null
  startedAt: Date | null
  endedAt: Date
  answer: string | null
}

/** The provider calls that carried these writes, in order. */
export async function readAttempts(sql: Sql, writeIds: string[]): Promise<AttemptView[]> {
  return sql<AttemptView[]>`
    select a.write_id as "writeId", a.number, a.batch_id as "batchId", b.call_id as "callId",
      cardinality(b.members) as "batchSize", a.position, a.decision, a.status, a.errors, a.next_at as "nextAt",
      a.started_at as "startedAt", a.ended_at as "endedAt", b.answer
    from attempt a join batch b on b.id = a.batch_id
    where a.write_id = any (${writeIds}::uuid[]) order by a.ended_at, a.batch_id, a.number, a.position`
}

/** A batch that is being sent. */
export interface OpenBatch {
  batchId: string
  size: number
  claimedAt: Date
}

/** Which of these batches are being sent, in the order in which they were claimed. */
export async function readOpenBatches(sql: Sql, batchIds: string[]): Promise<OpenBatch[]> {
  return sql<OpenBatch[]>`
    select id as "batchId", cardinality(members) as size, claimed_at as "claimedAt"
    from batch where id = any (${batchIds}::uuid[]) and state <> 'ended' order by claimed_at, id`
}
