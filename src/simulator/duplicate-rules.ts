import { foundDuplicates } from './api-error.ts'
import type { RecordError } from './api-error.ts'
import type { Call } from './call.ts'
import type { Org } from './org.ts'
import { renderRecord } from './render-record.ts'
import { findField } from './schema.ts'
import type { FieldDefinition, FieldValues, ObjectDefinition } from './schema.ts'
import type { StoredRecord, Table } from './table.ts'
import type { WriteHeaders } from './write-headers.ts'

/** A duplicate rule to be defined; it replaces one of the same name. */
export interface DuplicateRuleInput {
  object: string
  name: string
  /** Two records match when all of these are equal in any case; a record that leaves one empty matches none. */
  fields: string[]
  /** `alert` lets a caller save all the same, `block` lets nobody (facts 5). */
  action: 'alert' | 'block'
  /** Default "Use one of these records?". */
  message?: string
}

/** What a rule found; known to single-record answers only (facts 7.2). */
export interface DuplicateMatch {
  rule: DuplicateRule
  records: StoredRecord[]
}

/** First version whose answers spell the key `duplicateResult`: between v54 and v62, not known closer (facts 7.2). */
const spelledVersion = 55

/** A duplicate rule of an object, with the live records by what it compares, kept by their table. */
export class DuplicateRule {
  readonly name: string
  readonly object: ObjectDefinition
  readonly fields: readonly FieldDefinition[]
  readonly action: 'alert' | 'block'
  readonly message: string
  readonly #records = new Map<string, Set<StoredRecord>>()

  constructor(object: ObjectDefinition, fields: readonly FieldDefinition[], input: DuplicateRuleInput) {
    this.name = input.name
    this.object = object
    this.fields = fields
    this.action = input.action
    this.message = input.message ?? 'Use one of these records?'
  }

  /** The form in which records are compared, or undefined when a field is empty. */
  keyOf(values: FieldValues): string | undefined {
    const parts: string[] = []
    for (const { name } of this.fields) {
      const value = this.object.derived[name]?.(values) ?? values[name] ?? null
      if (value === null || value === '') return undefined
      parts.push(String(value).toLowerCase())
    }
    return JSON.stringify(parts)
  }

  find(values: FieldValues): StoredRecord[] {
    return [...(this.#records.get(this.keyOf(values) ?? '') ?? [])]
  }

  add(record: StoredRecord): void {
    const key = this.keyOf(record.values)
    if (key === undefined) return
    const records = this.#records.get(key)
    if (records) records.add(record)
    else this.#records.set(key, new Set([record]))
  }

  remove(record: StoredRecord): void {
    const key = this.keyOf(record.values) ?? ''
    const records = this.#records.get(key)
    if (records?.delete(record) && records.size === 0) this.#records.delete(key)
  }
}

/**
 * Defines a duplicate rule. Records already there are compared with, but not looked at themselves.
 * @throws {TypeError} saying what is wrong with it
 */
export function addDuplicateRule(org: Org, input: DuplicateRuleInput): DuplicateRule {
  const table = org.table(input.object)
  if (!table) throw new TypeError(`the org has no object ${input.object}`)
  if (typeof input.name !== 'string' || !Array.isArray(input.fields) || input.fields.length === 0) {
    throw new TypeError('a duplicate rule needs object, name and fields')
  }
  if (!['alert', 'block'].includes(input.action)) throw new TypeError('action must be alert or block')
  const fields = input.fields.map((name) => {
    const field = findField(table.object, name)
    if (!field) throw new TypeError(`${input.object} has no field ${name}`)
    return field
  })
  const rule = new DuplicateRule(table.object, fields, input)
  for (const record of table.live.values()) rule.add(record)
  table.duplicateRules = [...table.duplicateRules.filter(({ name }) => name !== rule.name), rule]
  return rule
}

/**
 * The error of a record that a duplicate rule does not let through, or undefined. An update is only
 * compared when it changes what the rule compares.
 */
export function duplicateError(
  table: Table,
  headers: WriteHeaders,
  values: FieldValues,
  record: StoredRecord | undefined,
): RecordError | undefined {
  for (const rule of table.duplicateRules) {
    if (rule.action === 'alert' && headers.duplicateRule.allowSave) continue
    if (record && rule.keyOf(record.values) === rule.keyOf(values)) continue
    const records = rule.find(values).filter((other) => other !== record)
    if (records.length === 0) continue
    return {
      statusCode: 'DUPLICATES_DETECTED',
      message: rule.message,
      fields: [],
      [foundDuplicates]: { rule, records },
    }
  }
  return undefined
}

/** The error of a single-record call, with what matched (facts 7.2). */
export function duplicatesDetected(
  org: Org,
  call: Call,
  match: DuplicateMatch,
  includeRecordDetails: boolean,
): Record<string, unknown> {
  const { rule, records } = match
  const { duplicateResultKey } = org.settings
  const byVersion = call.version < spelledVersion ? 'duplicateResut' : 'duplicateResult'
  const shown = includeRecordDetails ? rule.object.fields : []
  const matchRecords = records.map((record) => ({
    additionalInformation: [],
    fieldDiffs: [],
    matchConfidence: 100,
    record: renderRecord(record, shown, call.version),
  }))
  const entityType = rule.object.name
  return {
    errorCode: 'DUPLICATES_DETECTED',
    message: rule.message,
    [duplicateResultKey === 'byVersion' ? byVersion : duplicateResultKey]: {
      allowSave: rule.action === 'alert',
      duplicateRule: rule.name,
      duplicateRuleEntityType: entityType,
      errorMessage: rule.message,
      matchResults: [
        {
          entityType,
          errors: [],
          matchEngine: 'ExactMatchEngine',
          matchRecords,
          rule: rule.name,
          size: records.length,
          success: true,
        },
      ],
    },
  }
}
