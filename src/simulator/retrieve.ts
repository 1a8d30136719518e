import { ApiError, notFound } from './api-error.ts'
import type { Answer } from './api-error.ts'
import type { Call } from './call.ts'
import { normaliseId } from './ids.ts'
import type { Org } from './org.ts'
import { renderRecord } from './render-record.ts'
import { objectBody } from './request-body.ts'
import { findField } from './schema.ts'
import type { FieldDefinition, ObjectDefinition } from './schema.ts'

const maxIds = 2000

/** `GET` and `POST /composite/sobjects/{X}`: records by id, null for each that is missing (facts 3). */
export function retrieveCollection(org: Org, call: Call): Answer {
  const table = org.table(call.segments[2] ?? '')
  if (!table) throw notFound()
  const { ids, fields } = call.method === 'GET' ? fromQuery(call) : fromBody(call)
  if (ids.length > maxIds) {
    throw new ApiError(400, 'EXCEEDED_ID_LIMIT', `cannot retrieve more than ${maxIds} records in one call`)
  }
  if (ids.length === 0 || fields.length === 0) {
    throw new ApiError(400, 'MISSING_ARGUMENT', 'ids and fields must be specified')
  }
  const wanted = fieldsNamed(table.object, fields)
  const body = ids.map((id) => {
    const record = table.live.get(normaliseId(id) ?? '')
    return record ? renderRecord(record, wanted, call.version) : null
  })
  return { status: 200, body }
}

/** The fields of these names. @throws {ApiError} 400 `INVALID_FIELD` for the first unknown one */
export function fieldsNamed(object: ObjectDefinition, names: string[]): FieldDefinition[] {
  return names.map((name) => {
    const field = findField(object, name.trim())
    if (field) return field
    throw new ApiError(400, 'INVALID_FIELD', `No such column '${name}' on sobject of type ${object.name}`)
  })
}

function fromQuery(call: Call): { ids: string[]; fields: string[] } {
  const list = (name: string): string[] =>
    (call.query.get(name) ?? '').split(',').filter((part) => part !== '')
  return { ids: list('ids'), fields: list('fields') }
}

function fromBody(call: Call): { ids: string[]; fields: string[] } {
  const body = objectBody(call)
  const list = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : [])
  return { ids: list(body.ids), fields: list(body.fields) }
}
