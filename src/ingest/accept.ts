import { WritebackError, type Issue } from '../kernel/errors.ts'
import { pointerTo } from '../kernel/json-pointer.ts'
import { newId } from '../kernel/ids.ts'
import type { LaneKey } from '../model/lane.ts'
import { MAX_GROUP } from '../model/write.ts'
import type { ConfiguredObject } from '../model/object-entry.ts'
import { applyFieldRules } from './rules/field-rules.ts'
import { readHeaders } from './rules/provider-headers.ts'
import { expandVariables, readVariables } from './rules/variables.ts'
import { dropEmptyValues, laneOptions, readOptions, toProviderHeaders } from './rules/write-options.ts'
import { checkRecord, recordKeyOf, toProviderRecord, type RecordType } from './provider-record.ts'
import type { IncomingWrite } from './group-commit.ts'

/** The write call's body, as far as its schema vouches for it. */
export interface WriteBody {
  type: RecordType
  mode?: 'synchronous' | 'asynchronous'
  record?: Record<string, unknown>
  batch?: unknown[]
  autoBatchPolicy?: {
    maxDelayMinutes?: number
    maxDelaySeconds?: number
    retryDeadlineHours?: number
    maxRecords?: number
    allOrNone?: boolean
    onRollback?: 'fail' | 'resend'
    merge?: boolean
  }
  retryPolicy?: { deadlineHours?: number }
  externalIdField?: string
  headers?: unknown
  associations?: unknown
  options?: unknown
  variables?: unknown
  reference?: string
}

/** The installation that a write is for. */
export interface TargetInstallation {
  id: string
  projectId: string
  integrationId: string
  configId: string
  /** Objects that may be written, by name, with the provider's name; null when every one may. */
  objects: ReadonlyMap<string, ConfiguredObject> | null
}

const NOT_YET = 'is not supported yet'

/**
 * What is wrong with a write beyond the shape of its body: every issue at once. Parts of the interface
 * that this version does not serve are among them, so that none is ever ignored.
 */
export function findIssues(body: Partial<WriteBody>): { issues: Issue[]; unsupported: Issue[] } {
  const unsupported = findUnsupported(body)
  const issues: Issue[] = []
  if (body.record === undefined && body.batch === undefined) {
    issues.push({ path: '/record', message: 'is required' })
  }
  if (body.record !== undefined && body.batch !== undefined) {
    issues.push({ path: '/batch', message: 'cannot be given together with record' })
  }
  if (body.associations !== undefined) {
    issues.push({ path: '/associations', message: 'is for HubSpot only; this provider takes none' })
  }
  issues.push(...readTreatment(body).issues, ...findPolicyIssues(body), ...findKeyIssues(body))
  return { issues, unsupported }
}

function findUnsupported(body: Partial<WriteBody>): Issue[] {
  const unsupported: Issue[] = []
  const add = (path: string, what: string): void =>
    void unsupported.push({ path, message: `${what} ${NOT_YET}` })
  if (body.mode !== 'asynchronous') add('/mode', 'a synchronous write')
  if (body.batch !== undefined) add('/batch', 'a batch')
  if (body.autoBatchPolicy?.merge === true) add('/autoBatchPolicy/merge', 'merge')
  if (readOptions(body.options).options.forceUpdateOnCollision === true) {
    add('/options/forceUpdateOnCollision', 'forceUpdateOnCollision')
  }
  return unsupported
}

function findPolicyIssues(body: Partial<WriteBody>): Issue[] {
  const policy = body.autoBatchPolicy
  if (policy === undefined) return []
  const both = policy.maxDelayMinutes !== undefined && policy.maxDelaySeconds !== undefined
  const none = policy.maxDelayMinutes === undefined && policy.maxDelaySeconds === undefined
  if (both)
    return [{ path: '/autoBatchPolicy', message: 'takes maxDelayMinutes or maxDelaySeconds, not both' }]
  return none ? [{ path: '/autoBatchPolicy', message: 'needs maxDelayMinutes or maxDelaySeconds' }] : []
}

function findKeyIssues(body: Partial<WriteBody>): Issue[] {
  const issues: Issue[] = []
  if (body.type === 'upsert' && body.externalIdField === undefined) {
    issues.push({ path: '/externalIdField', message: 'is required for an upsert' })
  }
  if (body.type !== undefined && body.type !== 'upsert' && body.externalIdField !== undefined) {
    issues.push({ path: '/externalIdField', message: 'is for an upsert only' })
  }
  if (body.record !== undefined) {
    const { record, issues: unresolved } = expand(body.record, body.variables)
    issues.push(...unresolved)
    if (body.type !== undefined) issues.push(...checkRecord(record, body.type, body.externalIdField ?? null))
  }
  return issues
}

/** Refuses a write with all its issues: as not supported yet when nothing else is wrong with it. */
export function refuse(issues: Issue[], unsupported: Issue[]): never {
  if (issues.length === 0) {
    throw new WritebackError(
      'NOT_SUPPORTED_YET',
      'The write asks for what this version does not support yet.',
      {
        issues: unsupported,
        remedy:
          'Leave out what the issues name, or wait for a version that supports it: it is not supported yet.',
      },
    )
  }
  throw new WritebackError('INVALID_REQUEST', 'The write has issues; nothing was written.', {
    issues: [...issues, ...unsupported],
    remedy: 'Correct what the issues name and send the write again.',
  })
}

/** The headers that a write's own and its options come to, and which of its options shape the record. */
function readTreatment(body: Pick<WriteBody, 'headers' | 'options'>) {
  const own = readHeaders(body.headers)
  const chosen = readOptions(body.options)
  const merged = toProviderHeaders(own.headers, chosen.options)
  return {
    headers: merged.headers,
    options: chosen.options,
    issues: [...own.issues, ...chosen.issues, ...merged.issues],
  }
}

/** The record with its variables' values in place of their names. */
function expand(record: Record<string, unknown>, variables: unknown) {
  const read = readVariables(variables)
  const expanded = expandVariables(record, read.variables)
  return { record: expanded.record, issues: [...read.issues, ...expanded.issues] }
}

/** The record as the installation's configuration makes it: names, defaults, fields that are not written. */
function applyConfiguration(body: WriteBody, entry: ConfiguredObject, ignoreEmptyValues: boolean) {
  const { record } = expand(body.record ?? {}, body.variables)
  const key = body.externalIdField ?? null
  const given = ignoreEmptyValues ? dropEmptyValues(record, key) : record
  if (body.type === 'delete') return { record: given, externalIdField: null }
  const ruled = applyFieldRules(given, body.type, entry, key)
  const issues = [...ruled.issues, ...checkRecord(ruled.record, body.type, ruled.externalIdField)]
  if (issues.length > 0) refuse(issues, [])
  // An upsert's defaults would be for new records only, and whether it makes one is not known before.
  const unconditional = Object.entries(ruled.record).filter(([name]) => !ruled.ifEmptyFields.includes(name))
  return { record: Object.fromEntries(unconditional), externalIdField: ruled.externalIdField }
}

/**
 * Turns one asynchronous write, in which {@link findIssues} found none, into its row and lane (contract
 * section 5).
 *
 * @throws {WritebackError} FORBIDDEN for an object that the installation's configuration does not list,
 *   INVALID_REQUEST for what its configuration cannot make of the record
 */
export function acceptWrite(
  body: WriteBody,
  objectName: string,
  installation: TargetInstallation,
): IncomingWrite {
  const entry = findObject(objectName, body.type, installation)
  const { type } = body
  const id = newId()
  const treatment = readTreatment(body)
  const configured = applyConfiguration(body, entry, treatment.options.ignoreEmptyValues === true)
  const keyField = type === 'create' ? (entry.idempotencyField ?? null) : null
  const given = configured.record
  const record = toProviderRecord(keyField === null ? given : withKey(given, keyField, id), type)
  const policy = body.autoBatchPolicy
  const lane: LaneKey = {
    projectId: installation.projectId,
    integrationId: installation.integrationId,
    installationId: installation.id,
    objectName: entry.objectName,
    type,
    externalIdField: configured.externalIdField ?? keyField,
    allOrNone: policy?.allOrNone ?? false,
    // Without allOrNone nothing is rolled back: one lane, whatever was said.
    onRollback: policy?.allOrNone === true ? (policy.onRollback ?? 'fail') : 'fail',
    merge: false,
    headers: treatment.headers,
    options: laneOptions(treatment.options),
  }
  return {
    lane,
    write: {
      id,
      installationId: installation.id,
      projectId: installation.projectId,
      configId: installation.configId,
      objectName,
      record,
      bytes: Buffer.byteLength(record),
      reference: body.reference ?? null,
      recordKey: recordKeyOf(given, type, entry.objectName, lane.externalIdField),
      delaySeconds: delaySeconds(policy),
      deadlineSeconds: 3600 * ((policy ? policy.retryDeadlineHours : body.retryPolicy?.deadlineHours) ?? 1),
      maxRecords: policy?.maxRecords ?? MAX_GROUP,
    },
  }
}

/** Without a policy a write has no delay: it leaves at once, with whatever else waits in its lane. */
function delaySeconds(policy: WriteBody['autoBatchPolicy']): number {
  if (policy === undefined) return 0
  return policy.maxDelaySeconds ?? (policy.maxDelayMinutes ?? 0) * 60
}

/** A create's record with the write's id in the field that is kept for it. */
function withKey(record: Record<string, unknown>, field: string, id: string): Record<string, unknown> {
  const given = Object.keys(record).find((name) => name.toLowerCase() === field.toLowerCase())
  if (given !== undefined) {
    refuse(
      [
        {
          path: pointerTo('/record', given),
          message: "is the installation's idempotencyField; the service sets it",
        },
      ],
      [],
    )
  }
  return { ...record, [field]: id }
}

/** The object as it may be written; one that no configuration lists goes by its own name. */
function findObject(
  objectName: string,
  type: RecordType,
  installation: TargetInstallation,
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
    refuse(
      [
        {
          path: '/path/object',
          message: 'must be an object name: letters, digits and underscores, a letter first',
        },
      ],
      [],
    )
  }
  return { objectName }
}
