import type { Tx } from '../db/connect.ts'
import type { WokenLane } from './record-order.ts'

/** A new write that waits behind another one to its record, which can be sent as one with it. */
export interface HasteningWrite {
  laneId: string
  installationId: string
  recordKey: string
  /** Seconds from acceptance until it must leave. */
  delaySeconds: number
}

/** Locks the rows of lanes in the order of their ids; sent at once, as a bare statement would not be. */
export async function lockLanes(tx: Tx, laneIds: string[]): Promise<void> {
  await tx`select from lane where id = any (${laneIds}::uuid[]) order by id for no key update`
}

/**
 * Lets writes of `merge` lanes hasten the first that waits for their record in the same lane: they will
 * be sent as one with it, and a group leaves at the earliest deadline among its members (contract section
 * 6.3). Call it with the order lock held, the lanes locked and the writes inserted.
 *
 * @returns the lanes that are due sooner now
 */
export const hastenHeads = (tx: Tx, writes: HasteningWrite[]): Promise<WokenLane[]> => tx<WokenLane[]>`
  with hastening as (
    select installation_id, lane_id, record_key, min(delay_seconds) as delay_seconds
    from unnest(
      ${writes.map((w) => w.installationId)}::uuid[], ${writes.map((w) => w.laneId)}::uuid[],
      ${writes.map((w) => w.recordKey)}::uuid[], ${writes.map((w) => w.delaySeconds)}::float8[]
    ) as t (installation_id, lane_id, record_key, delay_seconds)
    group by 1, 2, 3
  ), heads as materialized (
    select head.id, now() + make_interval(secs => h.delay_seconds) as due_at
    from hastening h cross join lateral (
      select w.id from write w
      where w.installation_id = h.installation_id and w.record_key = h.record_key and w.lane_id = h.lane_id
        and w.state = 'queued'
      order by w.seq limit 1
    ) head
  ), hastened as (
    update write w set due_at = h.due_at
    from heads h where w.id = h.id and w.state = 'queued' and h.due_at < w.due_at
    returning w.lane_id, w.blocked, greatest(w.due_at, w.available_at) as due_at
  ), sooner as (
    select lane_id, min(due_at) as due_at from hastened where not blocked group by lane_id
  )
  update lane l set due_at = s.due_at
  from sooner s where l.id = s.lane_id and (l.due_at is null or s.due_at < l.due_at)
    and (l.held_by is null or l.due_at <= now())
  returning l.id as "laneId", l.installation_id as "installationId", l.due_at as at`
