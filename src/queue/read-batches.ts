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
/** Members of one page: what a call of a caller-built batch carried has up to 1,000 each. */
const MAX_MEMBERS = 20_000

/** What a page holds of a group, and how many rows there were to choose from. */
type Row = BatchView & { found: number }

/**
 * A page of an installation's groups, newest first; not sent yet, so that its plan can be held by a test.
 *
 * @param maxMembers what the groups of a page hold together at the most, the last of them aside
 */
export const listBatchesStatement = (
  sql: Sql,
  installationId: string,
  { size, after }: ListPage,
  maxMembers = MAX_MEMBERS,
) =>
  sql<Row[]>`
    select ${columns(sql)}, b.found::int from (
      select *, count(*) over () as found,
        sum(cardinality(members)) over (order by id desc) - cardinality(members) as members_before
      from (
        select * from batch where installation_id = ${installationId} and id < ${after ?? LAST_ID}
        order by id desc limit ${size + 1}
      ) p
    ) b
    where b.members_before < ${maxMembers}
    order by b.id desc`

/** Groups of a page, newest first. */
export interface FoundBatches {
  batches: BatchView[]
  /** The id to go on after; null when nothing follows. */
  next: string | null
}

/** At most `size` of an installation's groups, newest first; fewer where they are large. */
export async function listBatches(
  sql: Sql,
  installationId: string,
  page: ListPage,
  maxMembers?: number,
): Promise<FoundBatches> {
  const rows = await listBatchesStatement(sql, installationId, page, maxMembers)
  const batches = rows.slice(0, page.size)
  const isLast = batches.length === (rows[0]?.found ?? 0)
  return { batches, next: isLast ? null : (batches.at(-1)?.id ?? null) }
}
