import type { Tx } from '../db/connect.ts'
import { laneKeyHash, laneKeyText } from '../model/lane.ts'
import type { Submission } from './insert-writes.ts'

/** A caller-built batch and the id of the lane to be made for it. */
export interface ArrivingOperation {
  laneId: string
  submission: Submission
}

interface OperationRow {
  id: string
  members: string[]
  installationId: string
  projectId: string
  integrationId: string
  configId: string
  objectName: string
  type: string
  allOrNone: boolean
  reference: string | null
}

function toRow({ operation, writes }: Submission): OperationRow {
  if (operation === null) throw new TypeError('A write of its own has no operation row.')
  return { ...operation, members: writes.map((write) => write.id) }
}

/**
 * Makes the rows of caller-built batches and the lane of each, in one statement. A new lane holds
 * nothing and is due at no time: its writes are counted into it as into any other.
 */
export async function insertOperations(tx: Tx, arriving: ArrivingOperation[]): Promise<void> {
  const keys = arriving.map(({ submission }) => submission.lane)
  const rows = arriving.map(({ submission }) => toRow(submission))
  await tx`
    with arriving as (
      select * from unnest(
        ${arriving.map(({ laneId }) => laneId)}::uuid[], ${rows.map((row) => row.id)}::uuid[],
        ${rows.map((row) => row.projectId)}::uuid[], ${rows.map((row) => row.integrationId)}::uuid[],
        ${rows.map((row) => row.installationId)}::uuid[], ${rows.map((row) => row.configId)}::uuid[],
        ${rows.map((row) => row.objectName)}::text[], ${rows.map((row) => row.type)}::text[],
        ${rows.map((row) => String(row.allOrNone))}::text[], ${rows.map((row) => row.reference)}::text[],
        ${rows.map((row) => `{${row.members.join(',')}}`)}::text[],
        ${keys.map((key) => key.objectName)}::text[], ${keys.map((key) => key.externalIdField)}::text[],
        ${keys.map((key) => key.onRollback)}::text[], ${keys.map((key) => String(key.merge))}::text[],
        ${keys.map((key) => JSON.stringify(key.headers))}::text[],
        ${keys.map((key) => JSON.stringify(key.options))}::text[],
        ${keys.map((key) => laneKeyHash(laneKeyText(key)).toString('hex'))}::text[]
      ) as t (lane_id, id, project_id, integration_id, installation_id, config_id, object_name, type, all_or_none,
              reference, members, provider_name, external_id_field, on_rollback, merge, headers, options, key_hash)
    ), made as (
      insert into lane (id, project_id, integration_id, installation_id, object_name, type, external_id_field,
                        all_or_none, on_rollback, merge, headers, options, key_hash, operation_id)
      select lane_id, project_id, integration_id, installation_id, provider_name, type, external_id_field,
             all_or_none::boolean, on_rollback, merge::boolean, headers::jsonb, options::jsonb,
             decode(key_hash, 'hex'), id
      from arriving
    )
    insert into operation (id, project_id, integration_id, installation_id, config_id, object_name, type, all_or_none,
                           reference, members, accepted_at)
    select id, project_id, integration_id, installation_id, config_id, object_name, type, all_or_none::boolean,
           reference, members::uuid[], now()
    from arriving`
}
