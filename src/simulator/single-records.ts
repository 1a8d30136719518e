import { ApiError, foundDuplicates, notFound, toRequestError } from './api-error.ts'
import type { Answer, RecordError } from './api-error.ts'
import type { Call, JsonObject } from './call.ts'
import { upsertFieldOf } from './collections.ts'
import { duplicatesDetected } from './duplicate-rules.ts'
import { normaliseId } from './ids.ts'
import type { Org } from './org.ts'
import { groupFault, recordFault } from './record-faults.ts'
import { renderRecord, urlOf } from './render-record.ts'
import { badValueRefusal, objectBody } from './request-body.ts'
import { fieldsNamed } from './retrieve.ts'
import type { FieldDefinition } from './schema.ts'
import type { StoredRecord, Table, Transaction } from './table.ts'
import { BadValueError } from './validate-record.ts'
import {
  deleteRecord,
  idOf,
  insertRecord,
  matchesOf,
  updateRecord,
  upsertRecord,
  valueOf,
} from './write-record.ts'
import type { WriteResult } from './write-record.ts'
import { readWriteHeaders } from './write-headers.ts'
import type { WriteHeaders } from './write-headers.ts'

/** First version whose upsert answers an update with a body (facts 2). */
const upsertBodyVersion = 46

/** `POST /sobjects/{X}` and `POST /sobjects/{X}/Id` (facts 2). */
export function createSingle(org: Org, call: Call): Answer {
  const table = tableOf(org, call)
  const input = objectBody(call)
  refuseField(idOf(input), 'Id')
  const headers = readWriteHeaders(call)
  const result = attempt(org, call, table, input, (tx) => insertRecord(org, tx, table, input, headers))
  return result.success ? created(call, table, result) : refused(org, call, result.errors, headers)
}

/** `PATCH /sobjects/{X}/{id}` (facts 2). */
export function updateSingle(org: Org, call: Call): Answer {
  const table = tableOf(org, call)
  const input = objectBody(call)
  refuseField(idOf(input), 'Id')
  const record = liveRecord(table, call.segments[2] ?? '')
  const named = { Id: record.id, ...input }
  const headers = readWriteHeaders(call)
  const result = attempt(org, call, table, named, (tx) =>
    updateRecord(org, tx, table, record.id, input, headers),
  )
  return result.success ? { status: 204 } : refused(org, call, result.errors, headers)
}

/** `DELETE /sobjects/{X}/{id}` and `DELETE /sobjects/{X}/{ExtField}/{value}` (facts 2). */
export function deleteSingle(org: Org, call: Call): Answer {
  const table = tableOf(org, call)
  const record = addressed(org, call, table)
  if (Array.isArray(record)) return multipleChoices(call, record)
  const result = attempt(org, call, table, { Id: record.id }, (tx) => deleteRecord(tx, table, record.id))
  return result.success ? { status: 204 } : refused(org, call, result.errors)
}

/** `GET /sobjects/{X}/{id}` and `GET /sobjects/{X}/{ExtField}/{value}`. */
export function getSingle(org: Org, call: Call): Answer {
  const table = tableOf(org, call)
  const record = addressed(org, call, table)
  if (Array.isArray(record)) return multipleChoices(call, record)
  const names = call.query.get('fields')
  const fields = names === null ? table.object.fields : fieldsNamed(table.object, names.split(','))
  return { status: 200, body: renderRecord(record, fields, call.version) }
}

/** `PATCH /sobjects/{X}/{ExtField}/{value}` (facts 2). */
export function upsertSingle(org: Org, call: Call): Answer {
  const table = tableOf(org, call)
  const [, , fieldName = '', value = ''] = call.segments
  const field = upsertFieldOf(org, table, fieldName)
  if (value === '') throw notFound()
  const input = objectBody(call)
  refuseField(idOf(input), 'Id')
  refuseField(valueOf(input, field), field.name)
  const matches = matchesOf(table, field, value)
  if (matches.length > 1) return multipleChoices(call, matches)
  const mayCreate = field.type !== 'id' && call.query.get('updateOnly') !== 'true'
  if (matches.length === 0 && !mayCreate) throw notFound()
  const keyed = { ...input, [field.name]: value }
  const headers = readWriteHeaders(call)
  const result = attempt(org, call, table, keyed, (tx) => upsertRecord(org, tx, table, field, keyed, headers))
  if (!result.success) return refused(org, call, result.errors, headers)
  if (result.created) return created(call, table, result)
  return call.version >= upsertBodyVersion ? { status: 200, body: result } : { status: 204 }
}

/** `GET /sobjects/{X}`: basic information. */
export function basicInformation(org: Org, call: Call): Answer {
  const { object } = tableOf(org, call)
  const { name, label, labelPlural, keyPrefix, custom } = object
  return {
    status: 200,
    body: { objectDescribe: { name, label, labelPlural, keyPrefix, custom }, recentItems: [] },
  }
}

/** The table of the object that the path names. @throws {ApiError} 404 */
export function tableOf(org: Org, call: Call): Table {
  const table = org.table(call.segments[1] ?? '')
  if (!table) throw notFound()
  return table
}

function attempt(
  org: Org,
  call: Call,
  table: Table,
  record: JsonObject,
  write: (tx: Transaction) => WriteResult,
): WriteResult {
  const fault = groupFault(org, call, [{ table, input: record }]) ?? recordFault(org, call, table, record)
  if (fault) return { success: false, errors: [fault] }
  try {
    return write(call.tx)
  } catch (error) {
    throw error instanceof BadValueError ? badValueRefusal(call, error, []) : error
  }
}

function created(call: Call, table: Table, result: WriteResult & { success: true }): Answer {
  const headers = { Location: `/services/data/v${call.version}.0/sobjects/${table.object.name}/${result.id}` }
  return { status: 201, body: result, headers }
}

function refused(org: Org, call: Call, errors: RecordError[], headers?: WriteHeaders): Answer {
  const withDetails = headers?.duplicateRule.includeRecordDetails === true
  const body = errors.map((error) => {
    const match = error[foundDuplicates]
    return match ? duplicatesDetected(org, call, match, withDetails) : toRequestError(error)
  })
  return { status: 400, body }
}

const multipleChoices = (call: Call, records: StoredRecord[]): Answer => ({
  status: 300,
  body: records.map((record) => urlOf(record, call.version)),
})

function refuseField(value: unknown, name: string): void {
  if (value === undefined) return
  const message = `The ${name} field should not be specified in the sobject data.`
  throw new ApiError(400, 'INVALID_FIELD', message, { fields: [name] })
}

/** The record that the path names by id or by a field; several when the field's value is not unique. */
function addressed(org: Org, call: Call, table: Table): StoredRecord | StoredRecord[] {
  const [, , first = '', value] = call.segments
  if (value === undefined) return liveRecord(table, first)
  const field: FieldDefinition = upsertFieldOf(org, table, first)
  const matches = matchesOf(table, field, value)
  if (matches.length > 1) return matches
  const [record] = matches
  if (!record) throw notFound()
  return record
}

function liveRecord(table: Table, text: string): StoredRecord {
  const id = normaliseId(text)
  if (id === undefined || !id.startsWith(table.object.keyPrefix)) {
    throw new ApiError(400, 'MALFORMED_ID', `${table.object.label} ID: id value of incorrect type: ${text}`, {
      fields: ['Id'],
    })
  }
  const record = table.live.get(id)
  if (record) return record
  if (table.deleted.has(id)) throw new ApiError(404, 'ENTITY_IS_DELETED', 'entity is deleted', { fields: [] })
  throw notFound()
}
