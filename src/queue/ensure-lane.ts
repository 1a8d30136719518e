import type { Sql, Tx } from '../db/connect.ts'
import { WritebackError } from '../kernel/errors.ts'
import { newId } from '../kernel/ids.ts'
import { laneKeyHash, laneKeyText, type LaneKey } from '../model/lane.ts'

/** Lanes are removed that had no arrival for weeks: it is enough to note one a day. */
const NOTED_HOURS = 24

/** A lane was removed while writes were added to it. Trying again makes a new one. */
export class LaneGone extends WritebackError {
  constructor() {
    super('INTERNAL', 'A lane was removed while writes were added to it.')
  }
}

/**
 * Keeps lanes from being removed before this transaction's writes are in them. For writes that are counted
 * in no lane yet: `arriveInLanes` does it for the others.
 *
 * @throws {LaneGone} when one is gone already
 */
export async function keepLanes(tx: Tx, laneIds: string[]): Promise<void> {
  const found = await tx<{ id: string; isNoted: boolean }[]>`
    select id, used_at > now() - make_interval(hours => ${NOTED_HOURS}) as "isNoted"
    from lane where id = any (${laneIds}::uuid[])`
  const unnoted = found.filter((lane) => !lane.isNoted).map((lane) => lane.id)
  const noted =
    unnoted.length === 0
      ? []
      : await tx`
          with locked as materialized (
            select id from lane where id = any (${unnoted}::uuid[]) order by id for no key update
          )
          update lane set used_at = now() from locked where lane.id = locked.id returning lane.id`
  if (found.length < new Set(laneIds).size || noted.length < unnoted.length) throw new LaneGone()
}

/**
 * The lane of a key; made when it is not there yet. Two processes that make it at once get the same one.
 *
 * @throws {LaneGone} when it was removed between two looks
 */
export async function ensureLane(sql: Sql, key: LaneKey): Promise<string> {
  const hash = laneKeyHash(laneKeyText(key))
  const [made] = await sql<{ id: string }[]>`
    insert into lane (id, project_id, integration_id, installation_id, object_name, type, external_id_field,
                      all_or_none, on_rollback, merge, headers, options, key_hash, operation_id)
    values (${newId()}, ${key.projectId}, ${key.integrationId}, ${key.installationId}, ${key.objectName},
            ${key.type}, ${key.externalIdField}, ${key.allOrNone}, ${key.onRollback}, ${key.merge},
            ${sql.json(key.headers)}, ${sql.json(key.options)}, ${hash}, ${key.operationId})
    on conflict (installation_id, key_hash) do nothing
    returning id`
  if (made !== undefined) return made.id
  const [found] = await sql<{ id: string }[]>`
    select id from lane where installation_id = ${key.installationId} and key_hash = ${hash}`
  if (found === undefined) throw new LaneGone()
  return found.id
}
