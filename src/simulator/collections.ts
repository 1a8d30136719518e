import { ApiError, notFound } from './api-error.ts'
import type { Answer } from './api-error.ts'
import { isJsonObject } from './call.ts'
import type { Call, JsonObject } from './call.ts'
import { normaliseId } from './ids.ts'
import type { Org } from './org.ts'
import { groupFault, recordFault } from './record-faults.ts'
import { badValueRefusal, objectBody, parserError } from './request-body.ts'
import type { FieldDefinition, FieldValue } from './schema.ts'
import type { Table, Transaction } from './table.ts'
import { BadValueError } from './validate-record.ts'
import {
  deleteRecord,
  failed,
  failedWith,
  idOf,
  insertRecord,
  updateRecord,
  upsertField,
  upsertRecord,
  valueOf,
} from './write-record.ts'
import type { WriteResult } from './write-record.ts'
import { readWriteHeaders } from './write-headers.ts'

const maxRecords = 200
const maxChunks = 10

/** One record of a collections body. */
interface Item {
  table: Table
  input: JsonObject
}

/** `POST /composite/sobjects` (facts 3). */
export function createCollection(org: Org, call: Call): Answer {
  const items = readItems(org, call)
  const headers = readWriteHeaders(call)
  return writeAll(org, call, items, (item, tx) => insertRecord(org, tx, item.table, item.input, headers))
}

/** `PATCH /composite/sobjects` (facts 3). */
export function updateCollection(org: Org, call: Call): Answer {
  const items = readItems(org, call)
  const headers = readWriteHeaders(call)
  const repeated = repeatedKeys(items.map((item) => normaliseId(idOf(item.input))))
  return writeAll(org, call, items, (item, tx) => {
    const id = idOf(item.input)
    const key = normaliseId(id)
    if (key !== undefined && repeated.has(key)) {
      return failedWith('DUPLICATE_VALUE', `Duplicate id specified: ${key}`, [], key)
    }
    return updateRecord(org, tx, item.table, id, item.input, headers)
  })
}

/** `PATCH /composite/sobjects/{X}/{ExtField}` (facts 3). */
export function upsertCollection(org: Org, call: Call): Answer {
  const [, , objectName = '', fieldName = ''] = call.segments
  const table = org.table(objectName)
  if (!table) throw notFound()
  const field = upsertFieldOf(org, table, fieldName)
  const items = readItems(org, call)
  if (items.some((item) => item.table !== table)) {
    throw new ApiError(400, 'INVALID_TYPE', `all records must be of type ${table.object.name}`)
  }
  const headers = readWriteHeaders(call)
  const repeated = repeatedKeys(items.map((item) => keyOf(item, field)))
  return writeAll(org, call, items, (item, tx) => {
    const key = keyOf(item, field)
    if (key !== undefined && repeated.has(key)) {
      const name = field.type === 'id' ? 'id' : 'external id'
      return failedWith(
        'DUPLICATE_VALUE',
        `Duplicate ${name} specified: ${String(valueOf(item.input, field))}`,
        [field.name],
      )
    }
    return upsertRecord(org, tx, table, field, item.input, headers)
  })
}

/** `DELETE /composite/sobjects?ids=…&allOrNone=…` (facts 3). */
export function deleteCollection(org: Org, call: Call): Answer {
  const ids = (call.query.get('ids') ?? '').split(',').filter((id) => id !== '')
  checkCount(ids.length)
  checkChunks(ids.map((id) => org.tableOfId(id)?.object.name ?? ''))
  const rows = ids.map((text) => ({ text, item: itemOfId(org, text) }))
  const repeated = repeatedKeys(rows.map(({ item }) => item?.input.Id))
  const whole = groupFault(
    org,
    call,
    rows.flatMap(({ item }) => item ?? []),
  )
  const results = inTransaction(call, call.query.get('allOrNone') === 'true', (tx) =>
    rows.map(({ text, item }): WriteResult => {
      if (!item) return failedWith('MALFORMED_ID', `malformed id ${text}`)
      const id = item.input.Id
      if (repeated.has(id)) return failedWith('DUPLICATE_VALUE', `Duplicate id specified: ${id}`, [], id)
      const fault = whole ?? recordFault(org, call, item.table, item.input, ids.length)
      return fault ? failed([fault], id) : deleteRecord(tx, item.table, id)
    }),
  )
  return { status: 200, body: results }
}

/** What a delete's id names by its key prefix, or undefined. */
function itemOfId(org: Org, text: string): { table: Table; input: { Id: string } } | undefined {
  const id = normaliseId(text)
  const table = id === undefined ? undefined : org.tableOfId(id)
  return id === undefined || !table ? undefined : { table, input: { Id: id } }
}

/** The field that a path names to upsert by. @throws {ApiError} */
export function upsertFieldOf(org: Org, table: Table, name: string): FieldDefinition {
  const field = upsertField(table, name)
  if (!field) {
    const message = `Provided external ID field does not exist or is not accessible: ${name}`
    throw new ApiError(404, 'NOT_FOUND', message)
  }
  if (!org.settings.viewAllData && !field.unique && field.type !== 'id') {
    throw new ApiError(
      403,
      'INSUFFICIENT_ACCESS',
      'upserting by a non-unique external id needs View All Data',
    )
  }
  return field
}

function keyOf(item: Item, field: FieldDefinition): string | undefined {
  if (field.type === 'id') return normaliseId(idOf(item.input))
  return item.table.indexes.get(field.name)?.keyOf(valueOf(item.input, field) as FieldValue)
}

/** Reads the body as far as it can refuse the whole request. @throws {ApiError} */
function readItems(org: Org, call: Call): Item[] {
  const { records } = objectBody(call)
  if (records !== undefined && !Array.isArray(records)) {
    throw parserError('Cannot deserialize instance of list from the value of records')
  }
  const list: unknown[] = records ?? []
  checkCount(list.length)
  const items = list.map((input): Item => {
    if (!isJsonObject(input))
      throw parserError('Cannot deserialize instance of sobject from an element of records')
    const type = isJsonObject(input.attributes) ? input.attributes.type : undefined
    if (typeof type !== 'string' || type === '') {
      throw new ApiError(400, 'INVALID_TYPE', 'every record needs attributes with its type')
    }
    const table = org.table(type)
    if (!table) throw new ApiError(400, 'INVALID_TYPE', `sObject type '${type}' is not supported.`)
    return { table, input }
  })
  checkChunks(items.map((item) => item.table.object.name))
  return items
}

function checkCount(count: number): void {
  if (count === 0) throw new ApiError(400, 'REQUIRED_FIELD_MISSING', 'At least 1 record is required')
  if (count > maxRecords) {
    throw new ApiError(
      400,
      'EXCEEDED_ID_LIMIT',
      'record limit reached. cannot submit more than 200 records into this call',
    )
  }
}

/** Each contiguous run of one type is a chunk (facts 3). */
function checkChunks(types: string[]): void {
  const chunks = types.filter((type, i) => i === 0 || type !== types[i - 1]).length
  if (chunks > maxChunks) {
    throw new ApiError(
      400,
      'LIMIT_EXCEEDED',
      `Cannot have more than ${maxChunks} chunks in a single operation. Please rearrange the data to reduce chunking.`,
    )
  }
}

/** Keys that stand more than once in a request: all their rows fail (facts 3.2). */
function repeatedKeys(keys: (string | undefined)[]): Set<string> {
  const seen = new Set<string>()
  const repeated = new Set<string>()
  for (const key of keys) {
    if (key === undefined) continue
    if (seen.has(key)) repeated.add(key)
    seen.add(key)
  }
  return repeated
}

function writeAll(
  org: Org,
  call: Call,
  items: Item[],
  write: (item: Item, tx: Transaction) => WriteResult,
): Answer {
  const whole = groupFault(org, call, items)
  const allOrNone = isJsonObject(call.body) && call.body.allOrNone === true
  const results = inTransaction(call, allOrNone, (tx) =>
    items.map((item, i): WriteResult => {
      const fault = whole ?? recordFault(org, call, item.table, item.input, items.length)
      if (fault) return failed([fault])
      try {
        return write(item, tx)
      } catch (error) {
        throw error instanceof BadValueError ? badValueRefusal(call, error, ['records', i]) : error
      }
    }),
  )
  return { status: 200, body: results }
}

/** Undoes everything when allOrNone was asked for and one failed: it keeps its error, the others get theirs. */
function inTransaction(
  call: Call,
  allOrNone: boolean,
  work: (tx: Transaction) => WriteResult[],
): WriteResult[] {
  const { tx } = call
  const mark = tx.mark()
  const results = work(tx)
  const all = allOrNone || call.forcedAllOrNone === true
  if (!all || results.every((result) => result.success)) return results
  tx.rollback(mark)
  return results.map((result) => (result.success ? rolledBack(result) : result))
}

function rolledBack(result: WriteResult & { success: true }): WriteResult {
  const wasThere = result.created === false
  return failedWith(
    'ALL_OR_NONE_OPERATION_ROLLED_BACK',
    'Record rolled back because not all records were valid and the request was using AllOrNone header',
    [],
    wasThere ? result.id : undefined,
  )
}
