import type { Sql } from '../db/connect.ts'
import type { WriteType } from '../model/write.ts'

/** A lane that is due and has no say in whether a wake-up for it exists. */
export interface DueLane {
  laneId: string
  installationId: string
  dueAt: Date
}

/** Lanes that are due, the longest overdue first. */
export async function findDueLanes(sql: Sql, limit: number): Promise<DueLane[]> {
  return sql<DueLane[]>`
    select id as "laneId", installation_id as "installationId", due_at as "dueAt"
    from lane where due_at <= now() order by due_at limit ${limit}`
}

/** Milliseconds until the next lane falls due that is not due yet; null when there is none. */
export async function nextDueMs(sql: Sql): Promise<number | null> {
  const [row] = await sql<{ ms: number | null }[]>`
    select extract(epoch from min(due_at) - now())::float8 * 1000 as ms from lane where due_at > now()`
  return row?.ms ?? null
}

/** A batch whose worker gave no sign of life for the length of its lease. */
export interface ExpiredBatch {
  batchId: string
  laneId: string
  installationId: string
  /** Whether its call may have gone out. */
  started: boolean
  /** Whether it was made by a synchronous call. */
  synchronous: boolean
  /** The provider's name of the object. */
  objectName: string
  type: WriteType
  externalIdField: string | null
  members: { id: string; position: number; attempts: number; rollbacks: number; deadlineSeconds: number }[]
}

/**
 * Batches whose lease has run out, with the members that they still hold.
 *
 * @param graceSeconds how long a server that was started after a batch was claimed must have been up for:
 *   until then the batch's worker may live, and only not have had the time to say so
 */
export async function findExpiredBatches(
  sql: Sql,
  graceSeconds: number,
  limit: number,
): Promise<ExpiredBatch[]> {
  return sql<ExpiredBatch[]>`
    select b.id as "batchId", b.lane_id as "laneId", b.installation_id as "installationId", b.state = 'started' as started, b.synchronous, b.object_name as "objectName", b.type,
      (select external_id_field from lane where id = b.lane_id) as "externalIdField",
      coalesce((
        select json_agg(json_build_object('id', w.id, 'position', array_position(b.members, coalesce(w.merged_into, w.id)) - 1, 'attempts', w.attempts, 'rollbacks', w.rollbacks,
                 'deadlineSeconds', extract(epoch from w.deadline_at - now())) order by array_position(b.members, w.id))
        from write w where w.id = any (b.members) and w.batch_id = b.id and w.state = 'sending'), '[]') as members
    from batch b
    where b.state <> 'ended' and b.lease_until <= now()
      and (b.claimed_at > pg_postmaster_start_time()
           or pg_postmaster_start_time() < now() - make_interval(secs => ${graceSeconds}))
    order by b.lease_until limit ${limit}`
}
