import type { Tx } from '../db/connect.ts'
import type { WokenLane } from './record-order.ts'

/*
 * Lanes are locked in the order of their ids, as everywhere: what lifts at once for many lanes must not
 * deadlock with the commits that add to them.
 */

/** Makes due what was put off in lanes of a connection's installations: it has new credentials. */
export const resumeLanesOfConnection = (tx: Tx, connectionId: string): Promise<WokenLane[]> =>
  tx<WokenLane[]>`
    with held as materialized (
      select id from lane
      where due_at is not null and held_by is not null
        and installation_id in (select id from installation where connection_id = ${connectionId})
      order by id for no key update
    )
    update lane set due_at = least(lane.due_at, now()), held_by = null
    from held where lane.id = held.id
    returning lane.id as "laneId", lane.installation_id as "installationId", lane.due_at as at`

/** Makes due what a limit held of the installations that send to an org: the limit has lifted. */
export const resumeLanesOfOrg = (tx: Tx, org: string): Promise<WokenLane[]> =>
  tx<WokenLane[]>`
    with held as materialized (
      select id from lane
      where due_at is not null and held_by in ('quota', 'limit')
        and installation_id in (select installation_id from pacing where org = ${org})
      order by id for no key update
    )
    update lane set due_at = least(lane.due_at, now()), held_by = null
    from held where lane.id = held.id
    returning lane.id as "laneId", lane.installation_id as "installationId", lane.due_at as at`

/** Makes a lane due that was put off for want of a working connection. */
export const resumeLane = (tx: Tx, laneId: string): Promise<WokenLane[]> => tx<WokenLane[]>`
  update lane set due_at = least(due_at, now()), held_by = null
  where id = ${laneId} and due_at is not null and held_by = 'connection'
  returning id as "laneId", installation_id as "installationId", due_at as at`
