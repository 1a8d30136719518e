import { WritebackError, type Issue } from '../kernel/errors.ts'
import { pointerTo } from '../kernel/json-pointer.ts'
import type { JsonObject } from './rules/json-values.ts'
import { findBatchIssues } from './rules/batch-limits.ts'
import { readHeaders, type ProviderHeader } from './rules/provider-headers.ts'
import { expandVariables, MAX_INSERTED, readVariables } from './rules/variables.ts'
import { readOptions, toProviderHeaders, type WriteOptions } from './rules/write-options.ts'
import { checkRecord, recordKeyOf } from './provider-record.ts'
import { isSynchronous, type WriteBody } from './write-body.ts'

/** The most issues that one answer lists: a batch can have more than anybody reads. */
const MAX_ISSUES = 1_000

/** A record of a body, and where it stands there. */
export interface PlacedRecord {
  record: JsonObject
  /** JSON pointer of the record. */
  path: string
}

/** What a body comes to before anything is known of its installation. */
export interface Examined {
  /** The records in the caller's order, their variables' values in place. */
  records: PlacedRecord[]
  /** The provider's headers that the body's own and its options come to. */
  headers: ProviderHeader[]
  options: WriteOptions
  /** What is wrong with the body beyond its shape: every issue at once. */
  issues: Issue[]
}

/** Where a record stands in a body: by its place in the batch, null for a single one. */
export type RecordPath = (index: number | null) => string

const recordPathOf: RecordPath = (index) => (index === null ? '/record' : `/batch/${index}/record`)

/**
 * Looks a body through; what has issues is to be refused with them.
 *
 * @param pathOf where its records stand in what the caller sent
 */
export function examine(body: Partial<WriteBody>, pathOf: RecordPath = recordPathOf): Examined {
  const treatment = readTreatment(body)
  const { records, issues } = readRecords(body, pathOf)
  return {
    records,
    headers: treatment.headers,
    options: treatment.options,
    issues: [
      ...findShapeIssues(body),
      ...treatment.issues,
      ...findModeIssues(body),
      ...findPolicyIssues(body),
      ...findCollisionIssues(body, treatment.options),
      ...issues,
    ],
  }
}

/** Refuses a write with all its issues. */
export function refuse(issues: Issue[]): never {
  throw new WritebackError('INVALID_REQUEST', 'The write has issues; nothing was written.', {
    issues: issues.slice(0, MAX_ISSUES),
    remedy: 'Correct what the issues name and send the write again.',
  })
}

function findShapeIssues(body: Partial<WriteBody>): Issue[] {
  const issues: Issue[] = []
  const add = (path: string, message: string): void => void issues.push({ path, message })
  if (body.record === undefined && body.batch === undefined) add('/record', 'is required, or batch')
  if (body.record !== undefined && body.batch !== undefined) {
    add('/batch', 'cannot be given together with record')
  }
  if (body.batchPolicy !== undefined && body.batch === undefined) add('/batchPolicy', 'is for a batch only')
  if (body.associations !== undefined) add('/associations', NO_ASSOCIATIONS)
  if (body.batch !== undefined) {
    const allOrNone = body.batchPolicy?.allOrNone === true
    issues.push(...findBatchIssues({ count: body.batch.length, allOrNone }))
  }
  body.batch?.forEach((entry, index) => {
    if (entry?.associations !== undefined) add(`/batch/${index}/associations`, NO_ASSOCIATIONS)
  })
  if (body.type === 'upsert' && body.externalIdField === undefined) {
    add('/externalIdField', 'is required for an upsert')
  }
  if (body.type !== undefined && body.type !== 'upsert' && body.externalIdField !== undefined) {
    add('/externalIdField', 'is for an upsert only')
  }
  return issues
}

const NO_ASSOCIATIONS = 'is for HubSpot only; this provider takes none'

/** What goes with the one mode and not with the other. */
function findModeIssues(body: Partial<WriteBody>): Issue[] {
  const issues: Issue[] = []
  const because = body.mode === undefined ? ', and synchronous is the default mode' : ''
  if (body.autoBatchPolicy !== undefined && body.batch !== undefined)
    issues.push({ path: '/autoBatchPolicy', message: 'is for a single record; a batch leaves as it is' })
  else if (body.autoBatchPolicy !== undefined && isSynchronous(body))
    issues.push({ path: '/autoBatchPolicy', message: `is for an asynchronous write only${because}` })
  if (body.retryPolicy !== undefined && isSynchronous(body))
    issues.push({ path: '/retryPolicy', message: `is for an asynchronous write only${because}` })
  return issues
}

function findPolicyIssues({ autoBatchPolicy: policy, type }: Partial<WriteBody>): Issue[] {
  if (policy === undefined) return []
  const issues: Issue[] = []
  const both = policy.maxDelayMinutes !== undefined && policy.maxDelaySeconds !== undefined
  const none = policy.maxDelayMinutes === undefined && policy.maxDelaySeconds === undefined
  const says = both
    ? 'takes maxDelayMinutes or maxDelaySeconds, not both'
    : 'needs maxDelayMinutes or maxDelaySeconds'
  if (both || none) issues.push({ path: '/autoBatchPolicy', message: says })
  if (policy.merge === true && (type === 'create' || type === 'delete')) {
    issues.push({
      path: '/autoBatchPolicy/merge',
      message: `cannot be true for a ${type}: only updates and upserts of one record become one`,
    })
  }
  return issues
}

/** A collision is known only from the answer: what follows it is a call of its own, for which a group cannot be undone. */
function findCollisionIssues(body: Partial<WriteBody>, options: WriteOptions): Issue[] {
  if (options.forceUpdateOnCollision !== true) return []
  const path = '/options/forceUpdateOnCollision'
  if (body.type === 'update' || body.type === 'delete')
    return [{ path, message: 'is for a create or an upsert only' }]
  const allOrNone = body.batchPolicy?.allOrNone === true || body.autoBatchPolicy?.allOrNone === true
  return allOrNone ? [{ path, message: 'cannot be true together with allOrNone' }] : []
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

const placesOf = ({ record, batch }: Partial<WriteBody>, pathOf: RecordPath): PlacedRecord[] => [
  ...(record === undefined ? [] : [{ record, path: pathOf(null) }]),
  ...(batch ?? []).flatMap((entry, index) =>
    entry === null ? [] : [{ record: entry.record, path: pathOf(index) }],
  ),
]

/** The records with their variables' values in place of their names, and what is wrong with each. */
function readRecords(
  body: Partial<WriteBody>,
  pathOf: RecordPath,
): { records: PlacedRecord[]; issues: Issue[] } {
  const { type, externalIdField = null } = body
  const read = readVariables(body.variables)
  const issues = [...read.issues]
  const namesOf = new Map<string, string>()
  let budget = MAX_INSERTED
  const records = placesOf(body, pathOf).map(({ record: given, path }) => {
    const { record, inserted, issues: unresolved } = expandVariables(given, read.variables, path, budget)
    budget -= inserted
    issues.push(...unresolved)
    if (type === undefined) return { record, path }
    const found = checkRecord(record, type, externalIdField, path)
    issues.push(...found)
    const keyed = found.length === 0 && (type !== 'upsert' || externalIdField !== null)
    const key = keyed ? recordKeyOf(record, type, '', externalIdField) : null
    const twin = key === null ? undefined : namesOf.get(key)
    if (twin !== undefined) issues.push(twinIssue(record, path, twin, externalIdField))
    else if (key !== null) namesOf.set(key, path)
    return { record, path }
  })
  return { records, issues }
}

/** One record named twice in a batch: in one request the provider would take either. */
function twinIssue(record: JsonObject, path: string, twin: string, externalIdField: string | null): Issue {
  const keyName = (externalIdField ?? 'id').toLowerCase()
  const key = Object.keys(record).find((name) => name.toLowerCase() === keyName)
  return {
    path: key === undefined ? path : pointerTo(path, key),
    message: `names the same record as ${twin}: a batch writes a record once`,
  }
}
