import { MAX_REQUEST } from '../../model/write.ts'
import type { ProviderGroup } from '../provider.ts'

/** A collections call, its path relative to the API version. */
export interface CollectionsRequest {
  method: 'POST' | 'PATCH' | 'DELETE'
  path: string
  /** Null for a delete, whose ids stand in the path. */
  body: string | null
}

/** A group that cannot be made into a call; the message says why. */
export class InvalidGroup extends Error {
  override readonly name = 'InvalidGroup'
}

const emptyObject = /^\{\s*\}$/

/** Puts `attributes` in front of a record's own text, which is not parsed (facts 3). */
function withAttributes(text: string, attributes: string): string {
  const record = text.trim()
  if (!record.startsWith('{') || !record.endsWith('}'))
    throw new InvalidGroup('A record is not a JSON object.')
  return emptyObject.test(record) ? `{${attributes}}` : `{${attributes},${record.slice(1)}`
}

/**
 * One segment of a path. Dots alone would be read as "here" and "up", encoded or not.
 * @throws {InvalidGroup}
 */
export function segment(name: string, what: string): string {
  if (name === '' || name === '.' || name === '..') throw new InvalidGroup(`The ${what} is not a name.`)
  return encodeURIComponent(name)
}

/**
 * The call that writes a group: POST creates, PATCH updates, PATCH on the external-id field upserts
 * (facts 3), DELETE deletes by ids; a single record is a collection of one.
 * @throws {InvalidGroup}
 */
export function collectionsRequest(group: ProviderGroup): CollectionsRequest {
  const { objectName, type, externalIdField, allOrNone, records } = group
  if (records.length === 0 || records.length > MAX_REQUEST) {
    throw new InvalidGroup(`A call takes 1 to ${MAX_REQUEST} records, not ${records.length}.`)
  }
  if (type === 'delete') return deleteRequest(records, allOrNone)
  const object = segment(objectName, 'object')
  let path = '/composite/sobjects'
  if (type === 'upsert') {
    if (externalIdField === null) throw new InvalidGroup('An upsert needs an external-id field.')
    path += `/${object}/${segment(externalIdField, 'external-id field')}`
  }
  const attributes = `"attributes":{"type":${JSON.stringify(objectName)}}`
  const texts = records.map((record) => withAttributes(record, attributes))
  return {
    method: type === 'create' ? 'POST' : 'PATCH',
    path,
    body: `{"allOrNone":${String(allOrNone)},"records":[${texts.join(',')}]}`,
  }
}

function deleteRequest(records: string[], allOrNone: boolean): CollectionsRequest {
  const ids = records.map(idOf).join(',')
  return {
    method: 'DELETE',
    path: `/composite/sobjects?ids=${ids}&allOrNone=${String(allOrNone)}`,
    body: null,
  }
}

function idOf(record: string): string {
  const { id } = JSON.parse(record) as { id?: unknown }
  if (typeof id !== 'string' || !/^[A-Za-z0-9]{15,18}$/.test(id))
    throw new InvalidGroup('A record to delete has no id.')
  return id
}
