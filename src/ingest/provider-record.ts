import { pointerTo } from '../kernel/json-pointer.ts'
import type { WriteType } from '../model/write.ts'
import type { Issue } from '../kernel/errors.ts'
import { normaliseRecordId } from '../model/salesforce-id.ts'
import { keyOfExternalId, keyOfId } from './record-key.ts'

/** The kinds of write that carry a record. */
export type RecordType = WriteType

/** Characters of an external-id value: the longest text field that can be one. */
const MAX_KEY_LENGTH = 255

/**
 * What is wrong with a record for this kind of write (contract section 5; facts 3 and 10).
 *
 * @param path JSON pointer of the record, for the issues
 */
export function checkRecord(
  record: Record<string, unknown>,
  type: RecordType,
  externalIdField: string | null,
  path = '/record',
): Issue[] {
  const issues: Issue[] = []
  if (Object.hasOwn(record, 'attributes')) {
    issues.push({
      path: `${path}/attributes`,
      message: "is the provider's own; the object comes from the path",
    })
  }
  if (type === 'update' || type === 'delete') issues.push(...checkId(record, type, path))
  else issues.push(...refuseIds(record, type, path))
  if (type === 'delete') issues.push(...refuseFields(record, path))
  if (type === 'upsert' && externalIdField !== null) issues.push(...checkKey(record, externalIdField, path))
  return issues
}

const idKeys = (record: Record<string, unknown>): string[] =>
  Object.keys(record).filter((key) => /^id$/i.test(key))

function checkId(record: Record<string, unknown>, type: 'update' | 'delete', path: string): Issue[] {
  const keys = idKeys(record)
  const [key] = keys
  if (key === undefined)
    return [
      {
        path: `${path}/id`,
        message: `is required: ${type === 'update' ? 'an update' : 'a delete'} names its record by id or Id`,
      },
    ]
  if (keys.length > 1)
    return [{ path: pointerTo(path, keys[1] ?? 'Id'), message: `cannot be given together with ${key}` }]
  const id = record[key]
  if (typeof id !== 'string' || normaliseRecordId(id) === null) {
    return [
      {
        path: pointerTo(path, key),
        message: 'is no record id: 15 or 18 letters and digits, the last three of 18 a checksum',
      },
    ]
  }
  return []
}

/** A delete takes the record's id alone: fields beside it would be dropped in silence. */
const refuseFields = (record: Record<string, unknown>, path: string): Issue[] =>
  Object.keys(record)
    .filter((name) => !/^(id|attributes)$/i.test(name))
    .map((name) => ({
      path: pointerTo(path, name),
      message: 'cannot be given for a delete: it takes the id alone',
    }))

function refuseIds(record: Record<string, unknown>, type: RecordType, path: string): Issue[] {
  const reason =
    type === 'create'
      ? 'the provider gives the id; use update'
      : 'an upsert is keyed by its external id; use update'
  return idKeys(record).map((key) => ({
    path: pointerTo(path, key),
    message: `cannot be given for a ${type}: ${reason}`,
  }))
}

/** Field names are compared as the provider compares them: in any letter case. */
function checkKey(record: Record<string, unknown>, field: string, path: string): Issue[] {
  if (/^id$/i.test(field)) return [{ path: '/externalIdField', message: 'cannot be Id; use update' }]
  const keys = Object.keys(record).filter((key) => key.toLowerCase() === field.toLowerCase())
  const [key] = keys
  if (key === undefined)
    return [{ path: pointerTo(path, field), message: 'is required: it is the external id of the upsert' }]
  if (keys.length > 1)
    return [{ path: pointerTo(path, keys[1] ?? field), message: `is the same field as ${key}` }]
  const value = record[key]
  const usable =
    (typeof value === 'string' && value.trim() !== '') ||
    (typeof value === 'number' && Number.isFinite(value))
  if (!usable)
    return [
      {
        path: pointerTo(path, key),
        message: 'must be a text or number that is not empty: it is the external id',
      },
    ]
  if (String(value).length > MAX_KEY_LENGTH) {
    return [{ path: pointerTo(path, key), message: `must not be longer than ${MAX_KEY_LENGTH} characters` }]
  }
  return []
}

/**
 * The record as the provider takes it: a JSON object text without `attributes`, for an update with its
 * 18-character `id` first. Call it for a record without issues.
 */
export function toProviderRecord(record: Record<string, unknown>, type: RecordType): string {
  if (type === 'create' || type === 'upsert') return JSON.stringify(record)
  const { id, fields } = splitId(record)
  const text = JSON.stringify(fields)
  const head = `{"id":${JSON.stringify(id)}`
  return text === '{}' ? `${head}}` : `${head},${text.slice(1)}`
}

function splitId(record: Record<string, unknown>): { id: string; fields: Record<string, unknown> } {
  const [key] = idKeys(record)
  const id = key === undefined ? null : normaliseRecordId(String(record[key]))
  if (key === undefined || id === null) throw new TypeError('a write without a record id was not refused')
  // Entries, not a spread onto a literal: a field called __proto__ stays a field.
  return { id, fields: Object.fromEntries(Object.entries(record).filter(([name]) => name !== key)) }
}

/**
 * What names the record that a write is for, as a hash in the form of a UUID; null for a create. Two
 * spellings of one id give one key, and so do two letter cases of an external id.
 *
 * @see facts sections 3.2 and 10
 */
export function recordKeyOf(
  record: Record<string, unknown>,
  type: RecordType,
  objectName: string,
  externalIdField: string | null,
): string | null {
  if (type === 'create') return null
  if (type !== 'upsert') return keyOfId(splitId(record).id)
  const field = (externalIdField ?? '').toLowerCase()
  const value = Object.entries(record).find(([name]) => name.toLowerCase() === field)?.[1]
  return keyOfExternalId(objectName, field, value)
}
