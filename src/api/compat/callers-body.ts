import { MAX_RECORDS } from '../../contract/callers.ts'
import { expandVariables, MAX_INSERTED, readVariables, type Variables } from '../../ingest/rules/variables.ts'
import { isWritebackError, type Issue } from '../../kernel/errors.ts'
import { pointerTo } from '../../kernel/json-pointer.ts'
import { normaliseRecordId } from '../../model/salesforce-id.ts'
import { readJson } from '../json-body.ts'
import { fieldNameIssues } from './field-name.ts'

/** What an action does to records. */
export interface Action {
  type: 'create' | 'update' | 'upsert'
  /** Whether it takes many records. */
  isBulk: boolean
}

/** An action's body as a body of the write call, its variables' values in place. */
export interface ReadAction {
  /** The object as the caller names it; empty when that is no text. */
  object: string
  body: Json
  /** What is wrong with it beyond its shape, by its own places. */
  issues: Issue[]
}

type Json = Record<string, unknown>

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Turns an action's body into one of the write call; `data` and `records` may be the text of what they hold. */
export function readAction(action: Action, given: unknown): ReadAction {
  const { object, id, externalIdField, data, records, allOrNone, variables, ...rest } = isObject(given)
    ? given
    : {}
  const reading = new Reading(variables)
  const named = reading.names({ object, id, externalIdField })
  const keyField = named.externalIdField
  const body = { ...rest, ...(keyField === undefined ? {} : { externalIdField: keyField }) }
  return {
    object: named.object ?? '',
    body: {
      ...body,
      ...(action.isBulk
        ? { ...bulkOf(action, reading.records(records)), batchPolicy: { allOrNone: allOrNone === true } }
        : singleOf(action, reading.data(data), named.id, reading.issues)),
    },
    issues: reading.issues,
  }
}

/** What has no records to look at has no kind either: nothing is said of records that nobody sees. */
const bulkOf = ({ type }: Action, records: unknown[] | null): Json =>
  records === null ? { batch: [] } : { type, batch: records.map((record) => ({ record })) }

function singleOf({ type }: Action, data: Json | null, id: string | undefined, issues: Issue[]): Json {
  if (data === null) return { record: {} }
  if (type !== 'update') return { type, record: data }
  const fields = Object.entries(data)
  const isSame = (other: unknown): boolean =>
    other === id || (typeof other === 'string' && normaliseRecordId(other) === normaliseRecordId(id ?? ''))
  for (const [name, value] of fields.filter(([field]) => isIdField(field)))
    if (!isSame(value))
      issues.push({ path: pointerTo('/data', name), message: 'names another record than id' })
  const others = fields.filter(([field]) => !isIdField(field))
  return { type, record: Object.fromEntries([...(id === undefined ? [] : [['id', id]]), ...others]) }
}

const isIdField = (name: string): boolean => /^id$/i.test(name)

/** Where an issue of a single update belongs, whose record is put together of `id` and `data`. */
export const placeOf = (path: string): string => (path === '/data/id' ? '/id' : path)

/** What only a text, or a token that a text stands for, can be. */
const isToken = (text: string): boolean => /^\s*\{\{[^{}]*\}\}\s*$/.test(text)

/** Reads the parts of one body, putting variables into them from what is left of one budget. */
class Reading {
  readonly issues: Issue[]
  readonly #variables: Variables | null
  #budget = MAX_INSERTED

  constructor(variables: unknown) {
    const read = readVariables(variables)
    this.#variables = read.variables
    this.issues = read.issues
  }

  /** The fields that are names, where they are texts: the schema tells of the others. */
  names<K extends string>(given: Record<K, unknown>): Partial<Record<K, string>> {
    const texts = Object.entries(given).filter(([, value]) => typeof value === 'string')
    const filled = this.#fill(Object.fromEntries(texts), '')
    const entries = Object.entries(filled).filter(([name, value]) => {
      if (typeof value !== 'string') this.#add(name, 'must be text')
      // What is left of a token that names nothing has been told.
      else if (name === 'externalIdField' && !this.issues.some(({ path }) => path === '/externalIdField'))
        this.issues.push(...fieldNameIssues(value, '/externalIdField'))
      return typeof value === 'string'
    })
    return Object.fromEntries(entries) as Partial<Record<K, string>>
  }

  /** Null for what is no object: that has been told. */
  data(given: unknown): Json | null {
    const data = this.#parsed('data', given)
    if (isObject(data)) return this.#fill(data, '/data')
    if (typeof given === 'string' && data !== undefined)
      this.#add('data', 'must be an object, or the JSON text of one')
    return null
  }

  /** Null for what is no list of records, or too long: that has been told. */
  records(given: unknown): unknown[] | null {
    const records = this.#parsed('records', given)
    if (typeof given === 'string' && records !== undefined) this.#checkList(records)
    if (!Array.isArray(records) || records.length > MAX_RECORDS) return null
    return records.map((record: unknown, index) =>
      isObject(record) ? this.#fill(record, `/records/${index}`) : record,
    )
  }

  /** As the schema does for a list that was not given as text. */
  #checkList(records: unknown): void {
    if (!Array.isArray(records)) this.#add('records', 'must be a list, or the JSON text of one')
    else if (records.length === 0) this.#add('records', 'must not be empty')
    else if (records.length > MAX_RECORDS) this.#add('records', `must have at most ${MAX_RECORDS} entries`)
    else
      for (const [index, record] of records.entries())
        if (!isObject(record)) this.#add(`records/${index}`, 'must be an object')
  }

  /** What a text stands for; undefined when it is no JSON, which is told. Anything else as it is. */
  #parsed(name: string, given: unknown): unknown {
    if (typeof given !== 'string') return given
    if (this.#variables !== null && isToken(given)) {
      const value = this.#fill({ [name]: given.trim() }, '')[name]
      return value === given.trim() ? undefined : value
    }
    try {
      const { value, issues } = readJson(Buffer.from(given), 'The text')
      for (const { path, message } of issues) this.issues.push({ path: `/${name}${path}`, message })
      return value
    } catch (error) {
      if (!isWritebackError(error)) throw error
      for (const { message } of error.issues ?? []) this.#add(name, message)
      return undefined
    }
  }

  #fill(object: Json, path: string): Json {
    const { record, issues, inserted } = expandVariables(object, this.#variables, path, this.#budget)
    this.#budget -= inserted
    this.issues.push(...issues)
    return record
  }

  #add(path: string, message: string): void {
    this.issues.push({ path: `/${path}`, message })
  }
}
