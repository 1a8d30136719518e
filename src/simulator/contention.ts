import type { RecordError } from './api-error.ts'
import type { CallFacts } from './call-facts.ts'
import { isJsonObject } from './call.ts'
import type { Call, JsonObject } from './call.ts'
import { normaliseId } from './ids.ts'
import type { Org } from './org.ts'
import { findField } from './schema.ts'
import type { FieldDefinition, FieldValue } from './schema.ts'
import type { StoredRecord, Table } from './table.ts'
import { lookUpParent } from './validate-record.ts'
import { idOf, matchesOf, upsertField, valueOf } from './write-record.ts'

/** What a request met when it arrived while others were in flight. */
export interface Contention {
  /** Rows that others hold. */
  readonly lockedOut: ReadonlySet<string>
  /** Unique keys of its upserts that no record had then (facts 3.2). */
  readonly newKeys: Set<string>
  /** Frees its own rows; at the end of the request. */
  release(): void
}

/** Lookups whose record a save locks as well (facts 8). */
const lockingLookups: Readonly<Record<string, readonly string[]>> = {
  Contact: ['AccountId'],
  Opportunity: ['AccountId'],
  Case: ['AccountId'],
  Task: ['WhatId', 'WhoId'],
}

const writes = /^(?:single|collections)\.(?:create|update|upsert|delete)$/

/** Whether requests in flight can be in each other's way at all. */
export const canContend = (org: Org): boolean => org.settings.lockParents || org.settings.upsertRace

/** Takes note of what a request finds at its arrival, and locks its rows until `release`. */
export async function contend(org: Org, facts: CallFacts): Promise<Contention> {
  const rows = new Set<string>()
  const newKeys = new Set<string>()
  for (const { call, records } of facts.parts ?? [facts]) {
    if (!writes.test(call.route.operation)) continue
    for (const record of records) {
      const table = isJsonObject(record) ? tableOf(org, call, record) : undefined
      if (!table || !isJsonObject(record)) continue
      if (org.settings.lockParents) for (const id of rowsOf(org, call, table, record)) rows.add(id)
      const key = org.settings.upsertRace ? upsertKey(call, table, record) : undefined
      if (key && !key.found) newKeys.add(key.name)
    }
  }
  const hold = await org.locks.acquire(rows, org.settings.lockWaitMs)
  return { lockedOut: hold.lockedOut, newKeys, release: () => hold.release() }
}

/** The error of a record one of whose rows another request holds, or undefined. */
export function lockError(org: Org, call: Call, table: Table, record: JsonObject): RecordError | undefined {
  const { lockedOut } = call.contention ?? {}
  if (!lockedOut || lockedOut.size === 0) return undefined
  const ids = rowsOf(org, call, table, record).filter((id) => lockedOut.has(id))
  if (ids.length === 0) return undefined
  return {
    statusCode: 'UNABLE_TO_LOCK_ROW',
    message: `unable to obtain exclusive access to this record or ${ids.length} records: ${ids.join(',')}`,
    fields: [],
  }
}

/** The error of an upsert whose key was new at its arrival and was created by another in between (facts 3.2). */
export function raceError(call: Call, table: Table, record: JsonObject): RecordError | undefined {
  const { newKeys } = call.contention ?? {}
  if (!newKeys || newKeys.size === 0) return undefined
  const key = upsertKey(call, table, record)
  if (!key || !newKeys.has(key.name)) return undefined
  if (!key.found) {
    // From here on the key is this request's own, also for later parts of a composite call.
    newKeys.delete(key.name)
    return undefined
  }
  const { name } = key.field
  return {
    statusCode: 'DUPLICATE_VALUE',
    message: `duplicate value found: ${name} duplicates value on record with id: ${key.found.id}`,
    fields: [name],
  }
}

function tableOf(org: Org, call: Call, record: JsonObject): Table | undefined {
  const { attributes } = record
  const name = call.route.object ?? (isJsonObject(attributes) ? attributes.type : undefined)
  return typeof name === 'string' ? org.table(name) : org.tableOfId(String(idOf(record)))
}

/** Ids of the rows that saving a record locks: itself, and its parents as they are and as they are to be. */
function rowsOf(org: Org, call: Call, table: Table, record: JsonObject): string[] {
  const current = currentRecord(call, table, record)
  const rows = current ? [current.id] : []
  for (const name of lockingLookups[table.object.name] ?? []) {
    const field = findField(table.object, name)
    if (!field || !locksParents(table, record, current)) continue
    for (const parent of [parentOf(org, current?.values[name]), namedParent(org, field, record)]) {
      if (!parent) continue
      rows.push(parent.id)
      // A task also locks the account behind its person or its opportunity.
      const { AccountId } = parent.values
      if (table.object.name === 'Task' && typeof AccountId === 'string') rows.push(AccountId)
    }
  }
  return [...new Set(rows)]
}

/** A new task locks only when it is open and has a date (facts 8). */
function locksParents(table: Table, record: JsonObject, current: StoredRecord | undefined): boolean {
  if (current || table.object.name !== 'Task') return true
  const given = (name: string): unknown => {
    const field = findField(table.object, name)
    return field && valueOf(record, field)
  }
  return given('Status') !== 'Completed' && (given('ActivityDate') ?? null) !== null
}

const parentOf = (org: Org, id: unknown): StoredRecord | undefined => {
  const id18 = normaliseId(id)
  return id18 === undefined ? undefined : org.tableOfId(id18)?.live.get(id18)
}

/** The parent that a record names by id or by external id. */
function namedParent(org: Org, field: FieldDefinition, record: JsonObject): StoredRecord | undefined {
  const id = valueOf(record, field)
  if (id !== undefined) return parentOf(org, id)
  const wanted = field.relationshipName?.toLowerCase()
  const key = Object.keys(record).find((name) => name.toLowerCase() === wanted)
  const reference = key === undefined ? undefined : record[key]
  return isJsonObject(reference) ? lookUpParent(org, field, reference)?.found[0] : undefined
}

function currentRecord(call: Call, table: Table, record: JsonObject): StoredRecord | undefined {
  const id = normaliseId(idOf(record))
  if (id !== undefined) return table.live.get(id)
  const field = upsertField(table, keyName(call))
  return field && matchesOf(table, field, valueOf(record, field))[0]
}

/** The field by which a path names its records, or an empty text. */
const keyName = ({ segments }: Call): string =>
  (segments.length === 4 ? segments[segments[0] === 'composite' ? 3 : 2] : undefined) ?? ''

/** The key of an upsert by a unique field, and who has it. */
function upsertKey(
  call: Call,
  table: Table,
  record: JsonObject,
): { name: string; field: FieldDefinition; found: StoredRecord | undefined } | undefined {
  if (!call.route.operation.endsWith('.upsert')) return undefined
  const field = upsertField(table, keyName(call))
  const index = field?.unique ? table.indexes.get(field.name) : undefined
  if (!field || !index) return undefined
  const value = valueOf(record, field) as FieldValue
  const key = index.keyOf(value)
  if (key === undefined) return undefined
  return { name: `${table.object.name}.${field.name}:${key}`, field, found: index.find(value)[0] }
}
