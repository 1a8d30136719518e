import type { RecordError } from './api-error.ts'
import { assign } from './assignment-rules.ts'
import { duplicateError } from './duplicate-rules.ts'
import { normaliseId } from './ids.ts'
import type { Org } from './org.ts'
import { findField } from './schema.ts'
import type { FieldDefinition, FieldValue, FieldValues } from './schema.ts'
import type { StoredRecord, Table, Transaction } from './table.ts'
import { missingRequired, readRecord, ruleErrors } from './validate-record.ts'
import type { RecordInput } from './validate-record.ts'
import { defaultWriteHeaders } from './write-headers.ts'
import type { WriteHeaders } from './write-headers.ts'

/** What became of one record, in the shape of a collections item (facts 3.1). */
export type WriteResult =
  | { id: string; success: true; errors: []; created?: boolean }
  | { id?: string; success: false; errors: RecordError[] }

/** A failure item. */
export const failed = (errors: RecordError[], id?: string): WriteResult => ({
  ...(id === undefined ? {} : { id }),
  success: false,
  errors,
})

/** A failure item with one error. */
export const failedWith = (
  statusCode: string,
  message: string,
  fields: string[] = [],
  id?: string,
): WriteResult => failed([{ statusCode, message, fields }], id)

/** The value of a record's `Id`, in any spelling, or undefined when there is none. */
export function idOf(input: RecordInput): unknown {
  if (input.id !== undefined) return input.id
  if (input.Id !== undefined) return input.Id
  const key = Object.keys(input).find((name) => name.toLowerCase() === 'id')
  return key === undefined ? undefined : input[key]
}

/** Creates a record. */
export function insertRecord(
  org: Org,
  tx: Transaction,
  table: Table,
  input: RecordInput,
  headers: WriteHeaders = defaultWriteHeaders,
): WriteResult {
  const { object } = table
  if (!object.writable) return notAllowed(object.name)
  if ((idOf(input) ?? null) !== null) {
    return failedWith('INVALID_FIELD_FOR_INSERT_UPDATE', 'cannot specify Id in an insert call', ['Id'])
  }
  const read = readRecord(org, object, input, 'insert')
  const { values } = read
  // A null does not take a default away.
  for (const field of object.defaultedFields) values[field.name] ??= field.defaultValue
  const errors = checkSave({ table, given: values, values, headers, record: undefined }, read.errors)
  if (errors.length > 0) return failed(errors)
  if (org.settings.storageFullFor.includes(object.name)) {
    return failedWith('STORAGE_LIMIT_EXCEEDED', 'storage limit exceeded')
  }

  const id = org.ids.next(object.keyPrefix)
  fillIn(org, table, values, id)
  if (table.assignmentRules.length > 0) assign(table, headers, 'insert', values)
  const now = org.now()
  tx.insert(table, { id, object, values, createdAt: now, modifiedAt: now })
  return { id, success: true, errors: [] }
}

/** Values that the org itself gives: auto numbers, the owner, the name of an unnamed custom record. */
function fillIn(org: Org, table: Table, values: FieldValues, id: string): void {
  for (const field of table.object.fields) {
    if (field.autoNumber) values[field.name] = table.nextAutoNumber()
    else if (field.name === 'OwnerId') values.OwnerId ??= org.defaultOwnerId
    else if (field.name === 'Name' && field.defaultedOnCreate) values.Name ??= id
  }
}

/** Changes the fields that are given; others stay. `idText` may have 15 or 18 characters. */
export function updateRecord(
  org: Org,
  tx: Transaction,
  table: Table,
  idText: unknown,
  input: RecordInput,
  headers: WriteHeaders = defaultWriteHeaders,
): WriteResult {
  const found = findLive(table, idText)
  return 'record' in found ? updateFound(org, tx, table, found.record, input, headers) : found.failure
}

function updateFound(
  org: Org,
  tx: Transaction,
  table: Table,
  record: StoredRecord,
  input: RecordInput,
  headers: WriteHeaders,
): WriteResult {
  const { object } = table
  if (!object.writable) return notAllowed(object.name)
  const read = readRecord(org, object, input, 'update')
  const values = { ...record.values, ...read.values }
  const errors = checkSave({ table, given: read.values, values, headers, record }, read.errors)
  if (errors.length > 0) return failed(errors, record.id)
  if (table.assignmentRules.length > 0) assign(table, headers, 'update', values)
  tx.update(table, record, values, org.now())
  return { id: record.id, success: true, errors: [] }
}

/**
 * Updates the record whose external-id field has the value, or creates one (facts 2, 3). The field
 * may be `Id`: then a record with an id is updated and one without is created.
 */
export function upsertRecord(
  org: Org,
  tx: Transaction,
  table: Table,
  field: FieldDefinition,
  input: RecordInput,
  headers: WriteHeaders = defaultWriteHeaders,
): WriteResult {
  if (field.type === 'id') {
    const id = idOf(input)
    const isNew = id === undefined || id === null || id === ''
    const result = isNew
      ? insertRecord(org, tx, table, withoutId(input), headers)
      : updateRecord(org, tx, table, id, input, headers)
    return withCreated(result, isNew)
  }
  if (idOf(input) !== undefined) {
    return failedWith(
      'INVALID_FIELD',
      `cannot specify both an external ID reference and a salesforce id, ${field.name}`,
      [],
    )
  }
  const value = valueOf(input, field)
  if (value === undefined || value === null || value === '') {
    return failedWith('MISSING_ARGUMENT', `${field.name} not specified`, [])
  }
  const [match, ...others] = matchesOf(table, field, value)
  if (!match) return withCreated(insertRecord(org, tx, table, input, headers), true)
  if (others.length > 0) {
    const ids = [match, ...others].map((record) => record.id).join(', ')
    return failedWith(
      'DUPLICATE_EXTERNAL_ID',
      `${field.name}: more than one record found for external id field: [${ids}]`,
      [field.name],
    )
  }
  // The key is how the record was found, so its value need not be writable nor change: `ABC` finds `abc`.
  return withCreated(updateFound(org, tx, table, match, withoutField(input, field), headers), false)
}

/** Moves a record to the recycle bin. */
export function deleteRecord(tx: Transaction, table: Table, idText: unknown): WriteResult {
  if (!table.object.writable) return notAllowed(table.object.name)
  const found = findLive(table, idText)
  if (!('record' in found)) return found.failure
  tx.delete(table, found.record)
  return { id: found.record.id, success: true, errors: [] }
}

/** The live records whose field has the value. */
export function matchesOf(table: Table, field: FieldDefinition, value: unknown): StoredRecord[] {
  if (field.type === 'id') {
    const record = table.live.get(normaliseId(value) ?? '')
    return record ? [record] : []
  }
  return table.indexes.get(field.name)?.find(value as FieldValue) ?? []
}

/** The value given for a field, whatever the spelling of its name. */
export function valueOf(input: RecordInput, field: FieldDefinition): unknown {
  if (field.name in input) return input[field.name]
  const wanted = field.name.toLowerCase()
  const key = Object.keys(input).find((name) => name.toLowerCase() === wanted)
  return key === undefined ? undefined : input[key]
}

/** The field that records can be upserted by, or undefined (facts 2: External ID or idLookup). */
export function upsertField(table: Table, name: string): FieldDefinition | undefined {
  const field = findField(table.object, name)
  return field && (field.externalId || field.idLookup) ? field : undefined
}

function findLive(table: Table, idText: unknown): { record: StoredRecord } | { failure: WriteResult } {
  if (idText === undefined || idText === null || idText === '') {
    return { failure: failedWith('MISSING_ARGUMENT', 'Id not specified in an update call') }
  }
  const id = normaliseId(idText)
  if (id === undefined) {
    return { failure: failedWith('MALFORMED_ID', `malformed id ${printable(idText)}`, ['Id']) }
  }
  if (!id.startsWith(table.object.keyPrefix)) {
    const message = `${table.object.label} ID: id value of incorrect type: ${printable(idText)}`
    return { failure: failedWith('MALFORMED_ID', message, ['Id'], id) }
  }
  const record = table.live.get(id)
  if (record) return { record }
  return table.deleted.has(id)
    ? { failure: failedWith('ENTITY_IS_DELETED', 'entity is deleted', [], id) }
    : { failure: failedWith('INVALID_CROSS_REFERENCE_KEY', 'invalid cross reference id', [], id) }
}

/** A record about to be saved. */
interface Save {
  table: Table
  /** What the caller gave. */
  given: FieldValues
  /** What would be stored. */
  values: FieldValues
  headers: WriteHeaders
  /** What is stored now; undefined for a create. */
  record: StoredRecord | undefined
}

/**
 * Everything wrong with a record in the platform's order: what cannot be read, then all bad values and
 * missing fields together, then the admin's rules together, then duplicates, then unique fields.
 */
function checkSave(
  { table, given, values, headers, record }: Save,
  readErrors: RecordError[],
): RecordError[] {
  const [first] = readErrors
  if (first?.statusCode === 'INVALID_FIELD' || first?.statusCode === 'INVALID_FIELD_FOR_INSERT_UPDATE')
    return readErrors
  // A field that was given badly is not missing as well.
  const wrong = new Set(readErrors.flatMap((error) => error.fields))
  const missing = missingRequired(table.object, given, record ? 'update' : 'insert').filter(
    (name) => !wrong.has(name),
  )
  if (missing.length > 0) return [...readErrors, requiredFieldsMissing(missing)]
  if (readErrors.length > 0) return readErrors
  const rules = ruleErrors(table.object, values)
  if (rules.length > 0) return rules
  const duplicate =
    table.duplicateRules.length > 0 ? duplicateError(table, headers, values, record) : undefined
  return duplicate ? [duplicate] : clashes(table, given, record)
}

function clashes(table: Table, given: FieldValues, record: StoredRecord | undefined): RecordError[] {
  const errors: RecordError[] = []
  for (const [name, index] of table.indexes) {
    if (!index.field.unique) continue
    const other = index.find(given[name]).find((found) => found !== record)
    if (!other) continue
    errors.push({
      statusCode: 'DUPLICATE_VALUE',
      message: `duplicate value found: ${name} duplicates value on record with id: ${other.id}`,
      fields: [name],
    })
  }
  return errors
}

const requiredFieldsMissing = (names: string[]): RecordError => ({
  statusCode: 'REQUIRED_FIELD_MISSING',
  message: `Required fields are missing: [${names.join(', ')}]`,
  fields: names,
})

const withCreated = (result: WriteResult, created: boolean): WriteResult =>
  result.success ? { ...result, created } : result

const withoutId = (input: RecordInput): RecordInput =>
  Object.fromEntries(Object.entries(input).filter(([key]) => key.toLowerCase() !== 'id'))

function withoutField(input: RecordInput, field: FieldDefinition): RecordInput {
  const wanted = field.name.toLowerCase()
  return Object.fromEntries(Object.entries(input).filter(([key]) => key.toLowerCase() !== wanted))
}

const notAllowed = (object: string): WriteResult =>
  failedWith('CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY', `entity type ${object} does not support this operation`)

const printable = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))
