import type { AssignmentRule } from './assignment-rules.ts'
import type { DuplicateRule } from './duplicate-rules.ts'
import type { FieldDefinition, FieldValue, FieldValues, ObjectDefinition } from './schema.ts'

/** One record of the org. */
export interface StoredRecord {
  /** 18 characters. */
  readonly id: string
  readonly object: ObjectDefinition
  /** Replaced as a whole by an update, never changed in place, so that a rollback can put the old one back. */
  values: FieldValues
  createdAt: number
  modifiedAt: number
}

/** Finds records by one field. One record under a key is kept bare: most keys have one, and sets are big. */
export class FieldIndex {
  readonly field: FieldDefinition
  readonly #entries = new Map<string, StoredRecord | Set<StoredRecord>>()
  /** Only a unique field with the case-insensitive option matches in any case (facts 3.2). */
  readonly #ignoresCase: boolean

  constructor(field: FieldDefinition) {
    this.field = field
    this.#ignoresCase = field.unique && !field.caseSensitive
  }

  /** The form in which values are compared, or undefined for no value. */
  keyOf(value: FieldValue | undefined): string | undefined {
    if (value === null || value === undefined || value === '') return undefined
    return this.#ignoresCase ? String(value).toLowerCase() : String(value)
  }

  find(value: FieldValue | undefined): StoredRecord[] {
    const key = this.keyOf(value)
    const entry = key === undefined ? undefined : this.#entries.get(key)
    if (entry === undefined) return []
    return entry instanceof Set ? [...entry] : [entry]
  }

  add(record: StoredRecord, value: FieldValue | undefined): void {
    const key = this.keyOf(value)
    if (key === undefined) return
    const entry = this.#entries.get(key)
    if (entry === undefined) this.#entries.set(key, record)
    else if (entry instanceof Set) entry.add(record)
    else if (entry !== record) this.#entries.set(key, new Set([entry, record]))
  }

  remove(record: StoredRecord, value: FieldValue | undefined): void {
    const key = this.keyOf(value)
    if (key === undefined) return
    const entry = this.#entries.get(key)
    if (entry === record) this.#entries.delete(key)
    else if (entry instanceof Set && entry.delete(record) && entry.size === 0) this.#entries.delete(key)
  }
}

/** The records of one object, live and in the recycle bin, their indexes, and the admin's rules for them. */
export class Table {
  readonly object: ObjectDefinition
  readonly live = new Map<string, StoredRecord>()
  readonly deleted = new Map<string, StoredRecord>()
  /** By field name. */
  readonly indexes: Map<string, FieldIndex>
  assignmentRules: readonly AssignmentRule[] = []
  duplicateRules: readonly DuplicateRule[] = []
  #autoNumber = 0

  constructor(object: ObjectDefinition) {
    this.object = object
    this.indexes = new Map(object.indexedFields.map((field) => [field.name, new FieldIndex(field)]))
  }

  /** The next auto number; never given twice, not even after a rollback, as in Salesforce. */
  nextAutoNumber(): string {
    return String(++this.#autoNumber).padStart(8, '0')
  }

  put(record: StoredRecord): void {
    this.live.set(record.id, record)
    for (const [name, index] of this.indexes) index.add(record, record.values[name])
    for (const rule of this.duplicateRules) rule.add(record)
  }

  remove(record: StoredRecord): void {
    this.live.delete(record.id)
    for (const [name, index] of this.indexes) index.remove(record, record.values[name])
    for (const rule of this.duplicateRules) rule.remove(record)
  }

  replaceValues(record: StoredRecord, values: FieldValues): void {
    for (const rule of this.duplicateRules) rule.remove(record)
    for (const [name, index] of this.indexes) {
      if (record.values[name] === values[name]) continue
      index.remove(record, record.values[name])
      index.add(record, values[name])
    }
    record.values = values
    for (const rule of this.duplicateRules) rule.add(record)
  }
}

/** What was done, so that it can be undone: the rollback of allOrNone (facts 3.1, 4.1). */
export class Transaction {
  readonly #undo: (() => void)[] = []

  insert(table: Table, record: StoredRecord): void {
    table.put(record)
    this.#undo.push(() => table.remove(record))
  }

  update(table: Table, record: StoredRecord, values: FieldValues, modifiedAt: number): void {
    const before = { values: record.values, modifiedAt: record.modifiedAt }
    table.replaceValues(record, values)
    record.modifiedAt = modifiedAt
    this.#undo.push(() => {
      table.replaceValues(record, before.values)
      record.modifiedAt = before.modifiedAt
    })
  }

  delete(table: Table, record: StoredRecord): void {
    table.remove(record)
    table.deleted.set(record.id, record)
    this.#undo.push(() => {
      table.deleted.delete(record.id)
      table.put(record)
    })
  }

  /** A point to roll back to. */
  mark(): number {
    return this.#undo.length
  }

  /** Undoes everything done since the mark, last first. */
  rollback(mark = 0): void {
    while (this.#undo.length > mark) this.#undo.pop()?.()
  }
}
