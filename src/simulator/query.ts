import { ApiError, notFound } from './api-error.ts'
import type { Answer } from './api-error.ts'
import type { Call, JsonObject } from './call.ts'
import { normaliseId } from './ids.ts'
import type { Org } from './org.ts'
import { renderRecord } from './render-record.ts'
import { findField } from './schema.ts'
import type { FieldDefinition, ObjectDefinition } from './schema.ts'
import { parseSoql } from './soql.ts'
import type { SoqlLiteral, SoqlQuery } from './soql.ts'
import type { StoredRecord, Table } from './table.ts'

/** Queries whose rest may still be asked for; the oldest is forgotten first. */
const maxCursors = 100

/** The rest of queries that did not fit one page. */
export class QueryCursors {
  readonly #rest = new Map<string, { rows: JsonObject[]; total: number }>()
  #next = 1

  /** Keeps rows and returns the name of the place at which they begin. */
  keep(rows: JsonObject[], total: number): string {
    const name = `01g${String(this.#next++).padStart(12, '0')}AAA-${total - rows.length}`
    this.#rest.set(name, { rows, total })
    const [oldest] = this.#rest.keys()
    if (this.#rest.size > maxCursors && oldest !== undefined) this.#rest.delete(oldest)
    return name
  }

  find(name: string): { rows: JsonObject[]; total: number } | undefined {
    return this.#rest.get(name)
  }

  clear(): void {
    this.#rest.clear()
  }
}

/** `GET /query?q=…`: the rows of a query, in pages of the `queryPageSize` setting. */
export function runQuery(org: Org, call: Call): Answer {
  const query = parseSoql(call.query.get('q') ?? '')
  const table = org.table(query.object)
  if (!table) throw new ApiError(400, 'INVALID_TYPE', `sObject type '${query.object}' is not supported.`)
  const fields = query.fields.map((name) => columnOf(table.object, name))
  const withId = fields.some((field) => field.name === 'Id')
  const rows = selected(table, query).map((record): JsonObject => {
    const { Id, ...rest } = renderRecord(record, fields, call.version)
    return withId ? { ...rest, Id } : rest
  })
  return page(org, call, rows, rows.length)
}

/** `GET /query/{locator}`: the next page. */
export function nextQueryPage(org: Org, call: Call): Answer {
  const rest = org.cursors.find(call.segments[1] ?? '')
  if (!rest) throw notFound()
  return page(org, call, rest.rows, rest.total)
}

function page(org: Org, call: Call, rows: JsonObject[], totalSize: number): Answer {
  const size = Math.max(1, org.settings.queryPageSize)
  const records = rows.slice(0, size)
  if (rows.length <= size) return { status: 200, body: { totalSize, done: true, records } }
  const locator = org.cursors.keep(rows.slice(size), totalSize)
  const nextRecordsUrl = `/services/data/v${call.version}.0/query/${locator}`
  return { status: 200, body: { totalSize, done: false, nextRecordsUrl, records } }
}

function columnOf(object: ObjectDefinition, name: string): FieldDefinition {
  const field = findField(object, name)
  if (field) return field
  throw new ApiError(
    400,
    'INVALID_FIELD',
    `No such column '${name}' on entity '${object.name}'. If you are attempting to use a custom field, be sure ` +
      "to append the '__c' after the custom field name.",
  )
}

function selected(table: Table, { where, limit }: SoqlQuery): StoredRecord[] {
  const records = where
    ? matching(table, columnOf(table.object, where.field), where.literals)
    : [...table.live.values()]
  return limit === undefined ? records : records.slice(0, limit)
}

function matching(table: Table, field: FieldDefinition, literals: readonly SoqlLiteral[]): StoredRecord[] {
  const wanted = new Set(literals.map((literal) => comparable(field, valueOf(field, literal))))
  return [...table.live.values()].filter((record) => {
    if (field.type === 'id') return wanted.has(record.id)
    return wanted.has(comparable(field, renderRecord(record, [field])[field.name]))
  })
}

/** Text is compared in any case, unless the field is one in which case counts. */
function comparable(field: FieldDefinition, value: unknown): unknown {
  if (typeof value !== 'string' || field.type === 'id' || field.type === 'reference') return value ?? null
  return field.caseSensitive ? value : value.toLowerCase()
}

const numeric = new Set(['int', 'double', 'currency', 'percent'])
const withoutQuotes = new Set([...numeric, 'boolean', 'date', 'datetime'])

/** The value that a literal stands for. @throws {ApiError} when it is not written as the field's type wants */
function valueOf(field: FieldDefinition, literal: SoqlLiteral): unknown {
  const { kind, value } = literal
  if (kind === 'bare' && value === 'null') return null
  if (withoutQuotes.has(field.type) !== (kind === 'bare')) {
    const how = kind === 'text' ? 'should not be enclosed in quotes' : 'should be enclosed in quotes'
    const type = withoutQuotes.has(field.type) ? field.type : 'string'
    throw new ApiError(
      400,
      'INVALID_FIELD',
      `value of filter criterion for field '${field.name}' must be of type ${type} and ${how}`,
    )
  }
  if (numeric.has(field.type)) return Number(value)
  if (field.type === 'boolean') return value === 'true'
  return field.type === 'id' || field.type === 'reference' ? (normaliseId(value) ?? value) : value
}
