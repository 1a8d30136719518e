import { WritebackError } from '../kernel/errors.ts'
import { newId } from '../kernel/ids.ts'
import { INTERACTION_KEY, INTERACTION_OBJECT, INTERACTIONS, MAX_INTERACTIONS } from '../model/engagement.ts'
import type { Submission } from '../queue/insert-writes.ts'
import { timesOf } from './accept.ts'
import { keyOfExternalId } from './record-key.ts'
import type { JsonObject } from './rules/json-values.ts'
import type { TargetInstallation, WriteBody } from './write-body.ts'

/** What an interaction's call says of the write beside the interaction. */
type InteractionCall = Pick<WriteBody, 'autoBatchPolicy' | 'retryPolicy' | 'reference'>

/**
 * Turns an engagement interaction without issues into what is queued or sent of it: a create of its own kind
 * (contract section 8). Interactions with the same `externalIdentifierId` are writes to one record: so they
 * are written in the order of their acceptance, and what a look-up finds after a lost answer is not another's.
 *
 * @param interaction its variables' values in place
 * @throws {WritebackError} FORBIDDEN when the installation's configuration lists objects, and not this one
 */
export function acceptInteraction(
  call: InteractionCall,
  interaction: JsonObject,
  installation: TargetInstallation,
): Submission {
  checkListed(installation)
  const key = interaction[INTERACTION_KEY]
  const isKeyed = typeof key === 'string'
  const record = JSON.stringify({ engagementInteraction: interaction })
  const { maxRecords, ...times } = timesOf(call)
  return {
    lane: {
      projectId: installation.projectId,
      integrationId: installation.integrationId,
      installationId: installation.id,
      objectName: INTERACTIONS,
      type: 'create',
      externalIdField: isKeyed ? INTERACTION_KEY : null,
      allOrNone: false,
      onRollback: 'fail',
      merge: false,
      headers: [],
      options: {},
      operationId: null,
    },
    operation: null,
    writes: [
      {
        id: newId(),
        installationId: installation.id,
        projectId: installation.projectId,
        configId: installation.configId,
        objectName: INTERACTION_OBJECT,
        record,
        bytes: Buffer.byteLength(record),
        reference: call.reference ?? null,
        recordKey: isKeyed ? keyOfExternalId(INTERACTION_OBJECT, INTERACTION_KEY, key) : null,
        ...times,
        maxRecords: Math.min(maxRecords, MAX_INTERACTIONS),
        ifEmpty: null,
        parents: null,
        operationId: null,
        operationIndex: null,
      },
    ],
  }
}

function checkListed({ objects }: TargetInstallation): void {
  if (objects === null) return
  if ([...objects.values()].some(({ objectName }) => objectName === INTERACTION_OBJECT)) return
  throw new WritebackError(
    'FORBIDDEN',
    `The installation's configuration does not list the object ${INTERACTION_OBJECT}.`,
    { remedy: 'List the object in the installation.' },
  )
}
