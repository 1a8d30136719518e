import type { RecordError } from './api-error.ts'
import { badType, coerce } from './field-values.ts'
import { normaliseId } from './ids.ts'
import type { Org } from './org.ts'
import { findField } from './schema.ts'
import type { FieldDefinition, FieldValue, FieldValues, ObjectDefinition } from './schema.ts'
import type { StoredRecord } from './table.ts'

/** A record as it came in, already known to be a JSON object. */
export type RecordInput = Record<string, unknown>

/** Thrown for a value of the wrong JSON type when such a value is to sink the whole request (facts 7). */
export class BadValueError extends Error {
  readonly field: FieldDefinition
  /** The name as the caller spelled it. */
  readonly key: string
  readonly raw: unknown

  constructor(field: FieldDefinition, key: string, raw: unknown) {
    super(`bad value for ${field.name}`)
    this.name = 'BadValueError'
    this.field = field
    this.key = key
    this.raw = raw
  }
}

/** What was read of a record: values by canonical field name, and everything wrong with them. */
export interface ReadRecord {
  values: FieldValues
  errors: RecordError[]
}

const isPlainObject = (value: unknown): value is RecordInput =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * Reads the fields of a record. `Id` and `attributes` are left to the caller. An unknown column or a
 * field that may not be written ends the reading, as on the platform; values' own errors are gathered.
 *
 * @throws {BadValueError} only under the `badValueSinksRequest` setting
 */
export function readRecord(
  org: Org,
  object: ObjectDefinition,
  input: RecordInput,
  mode: 'insert' | 'update',
): ReadRecord {
  const values: FieldValues = {}
  const errors: RecordError[] = []
  const notWritable: string[] = []
  for (const key of Object.keys(input)) {
    if (key === 'attributes' || key === 'Id' || key.toLowerCase() === 'id') continue
    const raw = input[key]
    const field = findField(object, key)
    if (!field) {
      const parent = object.fieldsByRelationship.get(key.toLowerCase())
      if (!parent || !isPlainObject(raw)) return { values, errors: [unknownColumn(object, key)] }
      readParent(org, parent, raw, values, errors)
      continue
    }
    if (!(mode === 'insert' ? field.createable : field.updateable)) {
      notWritable.push(field.name)
      continue
    }
    readField(org, field, key, raw, values, errors)
  }
  if (notWritable.length > 0) return { values, errors: [notWritableError(notWritable, mode)] }
  return { values, errors }
}

function readField(
  org: Org,
  field: FieldDefinition,
  key: string,
  raw: unknown,
  values: FieldValues,
  errors: RecordError[],
): void {
  const value = coerce(field, raw, errors)
  if (value === badType) {
    if (org.settings.badValueSinksRequest) throw new BadValueError(field, key, raw)
    errors.push({
      statusCode: 'INVALID_TYPE_ON_FIELD_IN_RECORD',
      message: `${field.label}: value not of required type: ${typeof raw === 'string' ? raw : JSON.stringify(raw)}`,
      fields: [field.name],
    })
    return
  }
  values[field.name] =
    field.type === 'reference' && typeof value === 'string' ? readReference(org, field, value, errors) : value
}

function readReference(org: Org, field: FieldDefinition, text: string, errors: RecordError[]): FieldValue {
  const id = normaliseId(text)
  const target = id === undefined ? undefined : org.tableOfId(id)
  if (id === undefined || (target && !field.referenceTo.includes(target.object.name))) {
    errors.push({
      statusCode: 'MALFORMED_ID',
      message: `${field.label}: id value of incorrect type: ${text}`,
      fields: [field.name],
    })
  } else if (!target?.live.has(id)) {
    errors.push({
      statusCode: 'INVALID_CROSS_REFERENCE_KEY',
      message: 'invalid cross reference id',
      fields: [field.name],
    })
  }
  return id ?? null
}

/** A parent named by external id: `"Account": {"External_Id__c": "v"}` (facts 2). */
function readParent(
  org: Org,
  field: FieldDefinition,
  reference: RecordInput,
  values: FieldValues,
  errors: RecordError[],
): void {
  const parent = lookUpParent(org, field, reference)
  const fail = (statusCode: string, message: string): void => {
    errors.push({ statusCode, message, fields: [] })
  }
  if (!parent) {
    const key = String(keyOf(reference))
    const objects = field.referenceTo.join(', ')
    fail('INVALID_FIELD', `Invalid reference specified. No external ID field ${key} on ${objects}`)
    return
  }
  const { object, keyField, value, found } = parent
  const [match, ...others] = found
  if (match && others.length === 0) values[field.name] = match.id
  else if (match) {
    const name = `external id field ${keyField.name}`
    fail('DUPLICATE_EXTERNAL_ID', `More than one record found for ${name}: ${String(value)}`)
  } else {
    const place = `field ${keyField.name} in entity ${object}`
    fail('INVALID_FIELD', `Foreign key external ID: ${String(value)} not found for ${place}`)
  }
}

const keyOf = (reference: RecordInput): string | undefined =>
  Object.keys(reference).find((name) => name !== 'attributes')

/** The records that a parent named by external id can be, or undefined when no object has such a field. */
export function lookUpParent(
  org: Org,
  field: FieldDefinition,
  reference: RecordInput,
): { object: string; keyField: FieldDefinition; value: FieldValue; found: StoredRecord[] } | undefined {
  const key = keyOf(reference)
  if (key === undefined) return undefined
  for (const object of field.referenceTo) {
    const table = org.table(object)
    const keyField = table && findField(table.object, key)
    const index = keyField && table.indexes.get(keyField.name)
    if (!index) continue
    const value = reference[key] as FieldValue
    return { object, keyField, value, found: index.find(value) }
  }
  return undefined
}

const unknownColumn = (object: ObjectDefinition, name: string): RecordError => ({
  statusCode: 'INVALID_FIELD',
  message: `No such column '${name}' on sobject of type ${object.name}`,
  fields: [],
})

const notWritableError = (names: string[], mode: 'insert' | 'update'): RecordError => ({
  statusCode: 'INVALID_FIELD_FOR_INSERT_UPDATE',
  message:
    `Unable to ${mode === 'insert' ? 'create' : 'update'}/${mode === 'insert' ? 'update' : 'create'} fields: ` +
    `${names.join(', ')}. Please check the security settings of this field and verify that it is ` +
    'read/write for your profile or permission set.',
  fields: names,
})

/** The names of the required fields that the values leave empty; an update may leave out any, but clear none. */
export function missingRequired(
  object: ObjectDefinition,
  values: FieldValues,
  mode: 'insert' | 'update',
): string[] {
  if (mode === 'insert') {
    return object.requiredOnCreate
      .map((field) => field.name)
      .filter((name) => (values[name] ?? null) === null)
  }
  return Object.keys(values).filter(
    (name) => values[name] === null && object.fieldsByName.get(name)?.nillable === false,
  )
}

/** What the admin's validation rules say about the values as they would be saved. */
export function ruleErrors(object: ObjectDefinition, values: FieldValues): RecordError[] {
  return object.validationRules
    .filter((rule) => rule.fails(values))
    .map((rule) => ({
      statusCode: 'FIELD_CUSTOM_VALIDATION_EXCEPTION',
      message: rule.message,
      fields: rule.field === undefined ? [] : [rule.field],
    }))
}
