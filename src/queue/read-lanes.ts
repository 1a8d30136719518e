import type { Queryable, Sql } from '../db/connect.ts'
import type { LaneView, ListPage } from '../model/following.ts'

/** Waiting writes of a lane that are looked at: beyond that, its own count of those never sent is given. */
const LOOKED_AT = 1_000
const LAST_ID = 'ffffffff-ffff-ffff-ffff-ffffffffffff'

const columns = (sql: Queryable) => sql`
  l.id, l.object_name as "objectName", l.type, l.external_id_field as "externalIdField",
  l.all_or_none as "allOrNone", greatest(l.waiting, w.count) as waiting, w.oldest_at as "oldestAt",
  l.due_at as "dueAt", case when l.due_at is not null then l.held_by end as "heldBy"`

/** What waits in a lane, those that wait for another try included. */
const waiting = (sql: Queryable) => sql`
  select count(*)::int as count, min(accepted_at) as oldest_at from (
    select accepted_at from write
    where lane_id = l.id and state = 'queued' and not blocked and id >= l.from_id
    order by available_at, seq limit ${LOOKED_AT}
  ) near`

/** A lane of a project by id; null when the project has none of that id. */
export async function readLane(sql: Queryable, projectId: string, id: string): Promise<LaneView | null> {
  const [lane] = await sql<LaneView[]>`
    select ${columns(sql)} from lane l cross join lateral (${waiting(sql)}) w
    where l.id = ${id} and l.project_id = ${projectId}`
  return lane ?? null
}

/**
 * A page of the lanes of an installation in which something waits, newest first; not sent yet, so that its plan
 * can be held by a test. The index on lanes that are due holds no others: each caller-built batch has had a lane.
 */
export const listLanesStatement = (sql: Sql, installationId: string, { size, after }: ListPage) =>
  sql<LaneView[]>`
    with due as materialized (
      select id, due_at from lane where installation_id = ${installationId} and due_at is not null
      order by due_at
    )
    select ${columns(sql)}
    from (
      select * from due where id < ${after ?? LAST_ID} order by id desc limit ${size}
    ) near
    cross join lateral (select * from lane where id = near.id limit 1) l
    cross join lateral (${waiting(sql)}) w
    order by l.id desc`

/** At most `size` lanes of an installation in which something waits, newest first. */
export const listLanes = async (sql: Sql, installationId: string, page: ListPage): Promise<LaneView[]> =>
  listLanesStatement(sql, installationId, page)
