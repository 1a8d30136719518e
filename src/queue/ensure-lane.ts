import type { Sql } from '../db/connect.ts'
import { newId } from '../kernel/ids.ts'
import { laneKeyHash, laneKeyText, type LaneKey } from '../model/lane.ts'

/** The lane of a key; made when it is not there yet. Two processes that make it at once get the same one. */
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
  if (found === undefined) throw new Error('a lane was removed while it was being looked up')
  return found.id
}
