import type { Sql } from '../db/connect.ts'
import type { BatchView, ListPage } from '../model/following.ts'

/** A record of a caller-built batch belongs to that batch's operation; any other write is an operation by itself. */
const columns = (sql: Sql) => sql`
  b.id, b.call_id as "callId", b.all_or_none as "allOrNone", b.attempt, b.started_at as "startedAt",
  b.ended_at as "endedAt", b.provider_status as "providerStatus", b.success_count as "successCount",
  b.failure_count as "failureCount",
  array(
    select coalesce((select operation_id from write where id = m.id), m.id)
    from unnest(b.members) with ordinality as m (id, place) order by m.place
  ) as "operationIds"`

/** A group of a project by id; null when the project has none of that id. */
export async function readBatch(sql: Sql, projectId: string, id: string): Promise<BatchView | null> {
  const [batch] = await sql<BatchView[]>`
    select ${columns(sql)} from batch b where b.id = ${id} and b.project_id = ${projectId}`
  return batch ?? null
}

const LAST_ID = 'ffffffff-ffff-ffff-ffff-ffffffffffff'

/** A page of an installation's groups, newest first; not sent yet, so that its plan can be held by a test. */
export const listBatchesStatement = (sql: Sql, installationId: string, { size, after }: ListPage) =>
  sql<BatchView[]>`
    select ${columns(sql)} from (
      select * from batch where installation_id = ${installationId} and id < ${after ?? LAST_ID}
      order by id desc limit ${size}
    ) b
    order by b.id desc`

/** At most `size` of an installation's groups, newest first. */
export const listBatches = async (sql: Sql, installationId: string, page: ListPage): Promise<BatchView[]> =>
  listBatchesStatement(sql, installationId, page)
