import { normaliseRecordId } from '../../model/salesforce-id.ts'
import type { FieldRead, FieldsRead } from '../provider.ts'
import type { NotRead } from '../reading-provider.ts'
import { isObject, type Json, type Unanswered } from './answer.ts'
import { refusedHere, type CallSeries } from './call-series.ts'
import { segment } from './collections.ts'
import type { ExpiringSet } from './expiring-set.ts'
import { fetchJson, unreadable, type FetchedJson } from './fetch-json.ts'
import { isSoqlName, keyQueries, quoted } from './soql.ts'

/** The most ids of one retrieve (facts 3). */
const MAX_IDS = 2000

/** What reading needs to know of the org. */
export interface ReadingUse {
  /** For example `67.0`. */
  apiVersion: string
  instanceUrl: string
  /** Key fields known to hold numbers, which a query must name without quotes. */
  numeric: ExpiringSet
}

/** Rows read, or why not. */
export type Rows = { kind: 'rows'; rows: Json[] } | Unanswered

/**
 * Reads which fields of records have a value: by record id with a collections retrieve (facts 3), by
 * external id with a query. One call for a group in the normal case.
 * @throws {InvalidGroup} for an object that is no name
 */
export async function readFields(series: CallSeries, read: FieldRead, use: ReadingUse): Promise<FieldsRead> {
  const { keyField } = read
  return keyField === null || keyField.toLowerCase() === 'id'
    ? readById(series, read)
    : readByKey(series, { ...read, keyField }, use)
}

async function readById(series: CallSeries, { objectName, keys, fields }: FieldRead): Promise<FieldsRead> {
  const ids = keys.map((key) => normaliseRecordId(key.trim()))
  // What is no id names no record, and would refuse the whole request.
  const wanted = [...new Set(ids.filter((id) => id !== null))]
  const byId = new Map<string, Json>()
  for (let start = 0; start < wanted.length; start += MAX_IDS) {
    const body = JSON.stringify({ ids: wanted.slice(start, start + MAX_IDS), fields: ['Id', ...fields] })
    const path = `/composite/sobjects/${segment(objectName, 'object')}`
    const found = await fetchJson(series, { method: 'POST', path, headers: [], body })
    if (found.kind !== 'json') return found
    if (!Array.isArray(found.body)) return unreadable(found.status)
    for (const row of found.body.filter(isObject)) {
      const id = typeof row.Id === 'string' ? normaliseRecordId(row.Id) : null
      if (id === null) return unreadable(found.status)
      byId.set(id, row)
    }
  }
  const filled = ids.map((id) => {
    const row = id === null ? undefined : byId.get(id)
    return row === undefined ? null : filledIn([row], fields)
  })
  return { kind: 'read', filled }
}

/** A read by a key field. */
export type KeyRead = FieldRead & { keyField: string }

async function readByKey(series: CallSeries, read: KeyRead, use: ReadingUse): Promise<FieldsRead> {
  const { objectName, keyField, keys, fields } = read
  if (![objectName, keyField, ...fields].every(isSoqlName)) {
    return refusedHere('INVALID_READ', 'The object or a field is not a name.', 'permanent')
  }
  const field = `${use.instanceUrl} ${objectName}.${keyField}`.toLowerCase()
  let isNumeric = use.numeric.has(field)
  let rows = await query(series, read, isNumeric, use)
  if (!isNumeric && wantsNoQuotes(rows)) {
    use.numeric.add(field)
    isNumeric = true
    rows = await query(series, read, isNumeric, use)
  }
  if (rows.kind !== 'rows') return rows
  const matching = matcherOf(rows.rows, keyField)
  const filled = keys.map((key) => {
    const found = matching(key)
    return found.length === 0 ? null : filledIn(found, fields)
  })
  return { kind: 'read', filled }
}

const isNumber = (key: string): boolean => /^-?\d+(\.\d+)?$/.test(key.trim())

/** Whether a query failed because its key field holds numbers; nothing but the text tells. */
const wantsNoQuotes = (answer: Rows): boolean =>
  answer.kind === 'refused' &&
  answer.errors.some(({ message }) => /should not be enclosed in quotes/i.test(message))

/** The rows whose key field has one of the keys, with the fields that are read: in one call where its line has room. */
export async function query(
  series: CallSeries,
  read: KeyRead,
  isNumeric: boolean,
  use: ReadingUse,
): Promise<Rows> {
  // Where only numbers are keys, no record has any other: whatever is wrong with one is the provider's to say.
  const isKey = isNumeric ? isNumber : (key: string): boolean => key !== ''
  const keys = [...new Set(read.keys.map((key) => key.trim()))].filter(isKey)
  const literals = keys.map((key) => (isNumeric ? key : quoted(key)))
  const rows: Json[] = []
  for (const first of keyQueries(read, literals, `/services/data/v${use.apiVersion}`.length)) {
    for (let path: string | null = first; path !== null;) {
      const found: FetchedJson | NotRead = await fetchJson(series, {
        method: 'GET',
        path,
        headers: [],
        body: null,
      })
      if (found.kind !== 'json') return found
      const { body, status } = found
      if (!isObject(body) || !Array.isArray(body.records)) return unreadable(status)
      rows.push(...body.records.filter(isObject))
      const next = body.done === false ? body.nextRecordsUrl : null
      // A path of the instance and nothing else: it goes out with the session.
      if (next !== null && (typeof next !== 'string' || !next.startsWith('/services/data/')))
        return unreadable(status)
      path = next
    }
  }
  return { kind: 'rows', rows }
}

/** The value of a field, whatever the spelling of its name. */
export function valueOf(row: Json, field: string): unknown {
  const wanted = field.toLowerCase()
  return Object.entries(row).find(([name]) => name.toLowerCase() === wanted)?.[1]
}

/** The fields that have a value in any of the rows that one key names. */
const filledIn = (rows: readonly Json[], fields: readonly string[]): ReadonlySet<string> =>
  new Set(
    fields.filter((field) =>
      rows.some((row) => {
        const value = valueOf(row, field)
        return value !== null && value !== undefined && value !== ''
      }),
    ),
  )

/**
 * Finds the rows of a key: those that have it exactly, else those that have it in another case, since
 * only the org knows whether case counts for the field.
 */
function matcherOf(rows: readonly Json[], keyField: string): (key: string) => Json[] {
  const exact = Map.groupBy(rows, (row) => keyTextOf(valueOf(row, keyField)))
  const anyCase = Map.groupBy(rows, (row) => keyTextOf(valueOf(row, keyField)).toLowerCase())
  return (key) => {
    const text = key.trim()
    const found = exact.get(text) ?? anyCase.get(text.toLowerCase())
    if (found !== undefined || !isNumber(text)) return found ?? []
    // `12.0` and 12 are one number.
    return rows.filter((row) => valueOf(row, keyField) === Number(text))
  }
}

const keyTextOf = (value: unknown): string =>
  typeof value === 'string' ? value.trim() : typeof value === 'number' ? String(value) : ''
