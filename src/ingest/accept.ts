import { WritebackError, type Issue } from '../kernel/errors.ts'
import { newId } from '../kernel/ids.ts'
import { pointerTo } from '../kernel/json-pointer.ts'
import type { LaneKey } from '../model/lane.ts'
import type { ConfiguredObject } from '../model/object-entry.ts'
import { MAX_GROUP } from '../model/write.ts'
import type { NewOperation, Submission } from '../queue/insert-writes.ts'
import { refuse, type Examined, type PlacedRecord } from './examine.ts'
import { checkRecord, recordKeyOf, toProviderRecord, type RecordType } from './provider-record.ts'
import { applyFieldRules, providerFieldName } from './rules/field-rules.ts'
import { foldCase, type JsonObject } from './rules/json-values.ts'
import { parentKeysOf } from './rules/parent-keys.ts'
import { dropEmptyValues, laneOptions } from './rules/write-options.ts'
import type { TargetInstallation, WriteBody } from './write-body.ts'

export { operationIdOf, type Submission } from '../queue/insert-writes.ts'

/** A record as the installation's configuration makes it. */
interface ConfiguredRecord {
  id: string
  record: JsonObject
  /** Fields that are sent only where the provider's record has no value yet; null for none. */
  ifEmpty: string[] | null
}

/**
 * Turns a write without issues, single or a caller-built batch, into what is queued or sent of it
 * (contract section 5): one row for each record, and the lane that they go through.
 *
 * @param examined what {@link examine} made of the body
 * @param objectName the object as the caller names it
 * @param objectPath where the caller names it
 * @throws {WritebackError} FORBIDDEN for an object that the installation's configuration does not list,
 *   INVALID_REQUEST for what its configuration cannot make of the records
 */
export function acceptWrite(
  body: WriteBody,
  examined: Examined,
  objectName: string,
  installation: TargetInstallation,
  objectPath = '/path/object',
): Submission {
  const entry = findObject(objectName, body.type, installation, objectPath)
  const operationId = body.batch === undefined ? null : newId()
  const lane = laneOf(body, examined, entry, installation, operationId)
  const records = configure(body, examined, entry)
  const operation: NewOperation | null =
    operationId === null
      ? null
      : {
          id: operationId,
          projectId: installation.projectId,
          integrationId: installation.integrationId,
          installationId: installation.id,
          configId: installation.configId,
          objectName,
          type: body.type,
          allOrNone: lane.allOrNone,
          reference: body.reference ?? null,
        }
  const writes = records.map(({ id, record, ifEmpty }, index) => {
    const text = toProviderRecord(record, body.type)
    return {
      id,
      installationId: installation.id,
      projectId: installation.projectId,
      configId: installation.configId,
      objectName,
      record: text,
      bytes: Buffer.byteLength(text),
      reference: body.reference ?? null,
      recordKey: recordKeyOf(record, body.type, entry.objectName, lane.externalIdField),
      ...timesOf(body),
      ifEmpty,
      parents: parentKeysOf(record, body.type, entry, lane.externalIdField),
      operationId,
      operationIndex: operationId === null ? null : index,
    }
  })
  return { lane, operation, writes }
}

/** What the writes travel with (contract section 6.3). */
function laneOf(
  body: WriteBody,
  examined: Examined,
  entry: ConfiguredObject,
  installation: TargetInstallation,
  operationId: string | null,
): LaneKey {
  const policy = body.autoBatchPolicy
  const allOrNone = (operationId === null ? policy?.allOrNone : body.batchPolicy?.allOrNone) ?? false
  return {
    projectId: installation.projectId,
    integrationId: installation.integrationId,
    installationId: installation.id,
    objectName: entry.objectName,
    type: body.type,
    externalIdField: externalIdFieldOf(body, entry) ?? keyFieldOf(body, entry),
    allOrNone,
    // Without allOrNone nothing is rolled back: one lane, whatever was said.
    onRollback: allOrNone ? (policy?.onRollback ?? 'fail') : 'fail',
    merge: policy?.merge ?? false,
    headers: examined.headers,
    options: laneOptions(examined.options),
    operationId,
  }
}

const externalIdFieldOf = ({ externalIdField }: WriteBody, entry: ConfiguredObject): string | null =>
  externalIdField === undefined ? null : providerFieldName(externalIdField, entry)

/** The field that carries the id of a create, where the object has one. */
const keyFieldOf = ({ type }: WriteBody, entry: ConfiguredObject): string | null =>
  type === 'create' ? (entry.idempotencyField ?? null) : null

/** Without a policy a write has no delay: it leaves at once, with whatever else waits in its lane. */
export function timesOf({
  autoBatchPolicy: policy,
  retryPolicy,
}: Pick<WriteBody, 'autoBatchPolicy' | 'retryPolicy'>) {
  const delaySeconds = policy?.maxDelaySeconds ?? (policy?.maxDelayMinutes ?? 0) * 60
  const hours = (policy ? policy.retryDeadlineHours : retryPolicy?.deadlineHours) ?? 1
  return { delaySeconds, deadlineSeconds: 3600 * hours, maxRecords: policy?.maxRecords ?? MAX_GROUP }
}

/** The records as the installation's configuration makes them: names, defaults, fields that are not written. */
function configure(body: WriteBody, examined: Examined, entry: ConfiguredObject): ConfiguredRecord[] {
  const issues: Issue[] = []
  const records = examined.records.map((placed) => {
    const one = configureOne(body, examined, entry, placed)
    issues.push(...one.issues)
    return one
  })
  if (issues.length > 0) refuse(issues)
  return records
}

function configureOne(
  body: WriteBody,
  { options }: Examined,
  entry: ConfiguredObject,
  { record: given, path }: PlacedRecord,
): ConfiguredRecord & { issues: Issue[] } {
  const id = newId()
  const key = body.externalIdField ?? null
  const meant = options.ignoreEmptyValues === true ? dropEmptyValues(given, key) : given
  if (body.type === 'delete') return { id, record: meant, ifEmpty: null, issues: [] }
  const ruled = applyFieldRules(meant, body.type, entry, key, path)
  const issues = [...ruled.issues, ...checkRecord(ruled.record, body.type, ruled.externalIdField, path)]
  const ifEmpty = ruled.ifEmptyFields.length === 0 ? null : ruled.ifEmptyFields
  const keyField = keyFieldOf(body, entry)
  if (keyField === null) return { id, record: ruled.record, ifEmpty, issues }
  const taken = Object.keys(ruled.record).find((name) => foldCase(name) === foldCase(keyField))
  if (taken !== undefined) {
    const message = "is the installation's idempotencyField; the service sets it"
    issues.push({ path: pointerTo(path, taken), message })
  }
  // The id of the write itself, in a batch too: each record is found again by its own.
  return { id, record: { ...ruled.record, [keyField]: id }, ifEmpty, issues }
}

/** The object as it may be written; one that no configuration lists goes by its own name. */
function findObject(
  objectName: string,
  type: RecordType,
  installation: TargetInstallation,
  objectPath: string,
): ConfiguredObject {
  const entry = installation.objects?.get(objectName)
  if (entry === undefined && installation.objects !== null) {
    throw new WritebackError(
      'FORBIDDEN',
      `The installation's configuration does not list the object ${objectName}.`,
      { remedy: 'List the object in the installation, or write to one that it lists.' },
    )
  }
  if (type === 'delete' && entry?.deletionSettings?.enabled !== true) {
    throw new WritebackError(
      'FORBIDDEN',
      `The installation's configuration does not allow ${objectName} to be deleted.`,
      {
        remedy: "List the object in the installation with deletionSettings.enabled, or don't delete it.",
      },
    )
  }
  if (entry !== undefined) return entry
  if (!/^[A-Za-z][A-Za-z0-9_]*$/.test(objectName)) {
    const message = 'must be an object name: letters, digits and underscores, a letter first'
    refuse([{ path: objectPath, message }])
  }
  return { objectName }
}
