import type { Sql, Tx } from '../db/connect.ts'
import type { LaneView } from '../model/following.ts'
import { lockLanes } from './hasten-heads.ts'
import { readLane } from './read-lanes.ts'
import type { WokenLane } from './record-order.ts'

/** What flushing needs. */
export interface FlushOptions {
  sql: Sql
  /** Sets the wake-up of lanes in the transaction that makes them due sooner. */
  nudge: (tx: Tx, wakeups: WokenLane[]) => Promise<void>
}

/**
 * Makes all that waits in a lane due now, and looks again at once at what holds it. One mark for all of its
 * writes, however many wait: those that had their numbers before it count as due. A lane's row is locked before
 * its writes take their numbers, so with the lock held a new number is above all of them and below later ones.
 *
 * @returns the lane as it is then; null when the project has none of that id
 */
export const flushLane = (
  { sql, nudge }: FlushOptions,
  projectId: string,
  laneId: string,
): Promise<LaneView | null> =>
  sql.begin(async (tx) => {
    await lockLanes(tx, [laneId])
    const woken = await tx<WokenLane[]>`
      update lane set flushed_seq = nextval('write_seq'), held_by = null, due_at = least(due_at, statement_timestamp())
      where id = ${laneId} and project_id = ${projectId} and due_at is not null
      returning id as "laneId", installation_id as "installationId", due_at as at`
    await nudge(tx, woken)
    return readLane(tx, projectId, laneId)
  })
