import type { Sql } from '../db/connect.ts'
import type { ProviderError } from '../model/outcome.ts'
import type { WriteState, WriteType } from '../model/write.ts'

/** A write as it is shown (contract section 7). */
export interface WriteView {
  id: string
  projectId: string
  integrationId: string
  installationId: string
  configId: string
  objectName: string
  type: WriteType
  state: WriteState
  reference: string | null
  attempts: number
  lastAttemptAt: Date | null
  /** When it leaves next at the latest, while queued. */
  nextAttemptAt: Date | null
  batchId: string | null
  recordId: string | null
  created: boolean | null
  errors: ProviderError[] | null
  acceptedAt: Date
  updatedAt: Date
}

/** A write of a project by id; null when the project has none of that id. */
export async function readWrite(sql: Sql, projectId: string, id: string): Promise<WriteView | null> {
  const [row] = await sql<WriteView[]>`
    select w.id, w.project_id as "projectId", l.integration_id as "integrationId",
      w.installation_id as "installationId", w.config_id as "configId", w.object_name as "objectName", l.type,
      w.state, w.reference, w.attempts, w.last_attempt_at as "lastAttemptAt",
      case when w.state = 'queued' then greatest(w.due_at, w.available_at) end as "nextAttemptAt",
      w.batch_id as "batchId", w.record_id as "recordId", w.created, w.errors,
      w.accepted_at as "acceptedAt", w.updated_at as "updatedAt"
    from write w join lane l on l.id = w.lane_id
    where w.id = ${id} and w.project_id = ${projectId}`
  return row ?? null
}

/** Which of these writes have ended. For those who wait, when a notification may have been missed. */
export async function readEnded(sql: Sql, ids: string[]): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select id from write where id = any (${ids}::uuid[]) and state not in ('queued', 'sending')`
  return rows.map((row) => row.id)
}

/** One line of a write's history, as kept. */
export interface AttemptView {
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

/** The provider calls that carried a write, in order. */
export async function readAttempts(sql: Sql, writeId: string): Promise<AttemptView[]> {
  return sql<AttemptView[]>`
    select a.number, a.batch_id as "batchId", b.call_id as "callId", cardinality(b.members) as "batchSize", a.position,
      a.decision, a.status, a.errors, a.next_at as "nextAt", a.started_at as "startedAt", a.ended_at as "endedAt", b.answer
    from attempt a join batch b on b.id = a.batch_id
    where a.write_id = ${writeId} order by a.number`
}

/** The batch that holds a write that is being sent. */
export async function readOpenBatch(
  sql: Sql,
  batchId: string,
): Promise<{ batchId: string; size: number; claimedAt: Date } | null> {
  const [row] = await sql<{ batchId: string; size: number; claimedAt: Date }[]>`
    select id as "batchId", cardinality(members) as size, claimed_at as "claimedAt"
    from batch where id = ${batchId} and state <> 'ended'`
  return row ?? null
}
