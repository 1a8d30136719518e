import { ApiError, notFound } from './api-error.ts'
import type { Answer } from './api-error.ts'
import type { Call, JsonObject } from './call.ts'
import { normaliseId } from './ids.ts'
import type { Org } from './org.ts'
import { renderRecord } from './render-record.ts'
import { findField } from './schema.ts'
import type { FieldDefinition, ObjectDefinition } from './schema.ts'
import { parseSoql } from './soql.ts'
import type { SoqlCondition, SoqlLiteral, SoqlOperator, SoqlQuery } from './soql.ts'
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

function selected(table: Table, { where, orderBy, limit }: SoqlQuery): StoredRecord[] {
  const fits = where === undefined ? () => true : matcherOf(table.object, where)
  const records = [...table.live.values()].filter(fits)
  for (const { field, isDescending } of orderBy.toReversed()) {
    const column = columnOf(table.object, field)
    records.sort((a, b) => (isDescending ? -1 : 1) * inOrder(valueIn(a, column), valueIn(b, column)))
  }
  return limit === undefined ? records : records.slice(0, limit)
}

type Matcher = (record: StoredRecord) => boolean

/** Fields and literals are looked at before any record is. */
function matcherOf(object: ObjectDefinition, condition: SoqlCondition): Matcher {
  if (condition.kind === 'not') {
    const matches = matcherOf(object, condition.condition)
    return (record) => !matches(record)
  }
  if (condition.kind !== 'compare') {
    const all = condition.conditions.map((one) => matcherOf(object, one))
    return condition.kind === 'and'
      ? (record) => all.every((matches) => matches(record))
      : (record) => all.some((matches) => matches(record))
  }
  const field = columnOf(object, condition.field)
  const literals = condition.literals.map((literal) => comparable(field, valueOf(field, literal)))
  const compare = comparisons[condition.operator]
  return (record) => compare(valueIn(record, field), literals)
}

const valueIn = (record: StoredRecord, field: FieldDefinition): unknown =>
  comparable(field, field.type === 'id' ? record.id : renderRecord(record, [field])[field.name])

type Compare = (value: unknown, literals: readonly unknown[]) => boolean

/** What is null is neither smaller nor larger than anything. */
const byOrder =
  (fits: (order: number) => boolean): Compare =>
  (value, [literal]) =>
    value !== null && literal !== null && fits(inOrder(value, literal))

const comparisons: Record<SoqlOperator, Compare> = {
  '=': (value, literals) => literals.includes(value),
  in: (value, literals) => literals.includes(value),
  '!=': (value, literals) => !literals.includes(value),
  'not in': (value, literals) => !literals.includes(value),
  '<': byOrder((order) => order < 0),
  '<=': byOrder((order) => order <= 0),
  '>': byOrder((order) => order > 0),
  '>=': byOrder((order) => order >= 0),
  like: (value, [pattern]) => typeof value === 'string' && likePattern(String(pattern)).test(value),
}

/** `%` stands for any text and `_` for one character, unless a backslash is before it. */
const likePattern = (pattern: string): RegExp =>
  new RegExp(
    `^${pattern.replace(/\\([%_])|[%_]|[.*+?^${}()|[\]\\]/g, (found, escaped: string | undefined) => {
      if (escaped !== undefined) return escaped
      return found === '%' ? '.*' : found === '_' ? '.' : `\\${found}`
    })}$`,
    'is',
  )

/** Null comes first. */
function inOrder(a: unknown, b: unknown): number {
  if (a === b) return 0
  if (a === null || b === null) return a === null ? -1 : 1
  return (a as string | number) < (b as string | number) ? -1 : 1
}

/** Text is compared in any case, unless the field is one in which case counts; moments by their time. */
function comparable(field: FieldDefinition, value: unknown): unknown {
  if (typeof value !== 'string' || field.type === 'id' || field.type === 'reference') return value ?? null
  if (field.type === 'datetime') return Date.parse(value.replace(/\+0000$/, 'Z'))
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
