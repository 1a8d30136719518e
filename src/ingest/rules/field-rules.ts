import type { Issue } from '../../kernel/errors.ts'
import type { WriteType } from '../../model/write.ts'
import { foldCase, quoted, type JsonObject } from './json-values.ts'
import { pointerTo } from '../../kernel/json-pointer.ts'
import type { FieldDefault, FieldSetting, ObjectEntry } from '../../model/object-entry.ts'

/*
 * What an installation's entry for an object does to a record (contract section 4), in this order:
 *
 * 1. Names: the caller's become the provider's.
 * 2. `never`: fields that this kind of write must not carry are left out.
 * 3. Defaults: fields that the caller does not give are filled in.
 *
 * A create and an update are known to be one. An upsert is not: it becomes the one or the other at the
 * provider, and by then the record has been sent. So for an upsert every setting is read in the way that
 * cannot overwrite what must not be overwritten: a field that is `never` written on either is left out,
 * since one left out can still be written later and one overwritten is lost; a default counts as
 * `ifEmpty`, so that a new record gets it and a record with a value keeps its own.
 */

/** The kinds of write that carry fields. */
export type RecordType = Exclude<WriteType, 'delete'>

/** A record as the entry's rules leave it. With issues, it is not to be sent. */
export interface RuledRecord {
  /** By the provider's field names. */
  record: JsonObject
  /** The provider's name of the external-id field. */
  externalIdField: string | null
  /** Fields of the record to be written only where the provider's record has no value yet. */
  ifEmptyFields: string[]
  /** Fields that were left out, for the operation's log. */
  droppedFields: string[]
  issues: Issue[]
}

type Verdict = 'write' | 'drop' | 'ifEmpty'

interface FieldRule {
  /** The provider's name of the field, as the configuration spells it. */
  field: string
  setting: FieldSetting
}

const noMappings: ReadonlyMap<string, string> = new Map()

function mappingsOf(entry: ObjectEntry | null): ReadonlyMap<string, string> {
  if (entry?.fieldMappings === undefined) return noMappings
  return new Map(Object.entries(entry.fieldMappings).map(([caller, field]) => [foldCase(caller), field]))
}

/** The provider's name for a field that the caller names: its own where nothing is mapped. */
export const providerFieldName = (name: string, entry: ObjectEntry | null): string =>
  mappingsOf(entry).get(foldCase(name)) ?? name

/**
 * Renames the record's own fields to the provider's; parent references inside keep their names. Two
 * fields that are one to the provider are refused, since it would take either.
 *
 * @param path JSON pointer of the record, for the issues
 * @returns the record, and how the caller named each field, by the folded name of the provider's
 */
export function mapFields(
  record: JsonObject,
  entry: ObjectEntry | null,
  path = '/record',
): { record: JsonObject; callerNames: ReadonlyMap<string, string>; issues: Issue[] } {
  const mappings = mappingsOf(entry)
  const issues: Issue[] = []
  const callerNames = new Map<string, string>()
  const fields: [string, unknown][] = []
  for (const [name, value] of Object.entries(record)) {
    const field = mappings.get(foldCase(name)) ?? name
    const first = callerNames.get(foldCase(field))
    if (first === undefined) {
      callerNames.set(foldCase(field), name)
      fields.push([field, value])
    } else {
      const message = `is the provider's field ${quoted(field)}, as ${quoted(first)} is; give one of the two`
      issues.push({ path: pointerTo(path, name), message })
    }
  }
  return { record: Object.fromEntries(fields), callerNames, issues }
}

/** The settings by folded name of the provider's field. */
function rulesOf(entry: ObjectEntry): Map<string, FieldRule> {
  const mappings = mappingsOf(entry)
  return new Map(
    Object.entries(entry.selectedFieldSettings ?? {}).map(([name, setting]) => {
      const field = mappings.get(foldCase(name)) ?? name
      return [foldCase(field), { field, setting }]
    }),
  )
}

function verdictOf({ writeOnCreate, writeOnUpdate }: FieldSetting, type: RecordType): Verdict {
  if (type !== 'update' && writeOnCreate === 'never') return 'drop'
  if (type === 'create') return 'write'
  if (writeOnUpdate === 'never') return 'drop'
  return writeOnUpdate === 'ifEmpty' ? 'ifEmpty' : 'write'
}

const valueOf = ({
  stringValue,
  integerValue,
  booleanValue,
}: FieldDefault): string | number | boolean | null => stringValue ?? integerValue ?? booleanValue ?? null

/**
 * Applies the field settings to a record by the provider's names; see the top of this file. What names
 * the record, its id or its external id, is never left out, made conditional or filled in: a
 * configuration that would do so is an issue, as the write could not be carried out. Fields are compared
 * in any letter case, as the platform does.
 *
 * @param externalIdField the provider's name; null but for an upsert
 * @param pointerOf JSON pointer of a field, for the issues
 */
export function applyFieldSettings(
  record: JsonObject,
  type: RecordType,
  entry: ObjectEntry | null,
  externalIdField: string | null = null,
  pointerOf: (field: string) => string = (field) => pointerTo('/record', field),
): RuledRecord {
  if (entry?.selectedFieldSettings === undefined)
    return { record, externalIdField, ifEmptyFields: [], droppedFields: [], issues: [] }
  const rules = rulesOf(entry)
  const keys = new Set(['id', ...(externalIdField === null ? [] : [foldCase(externalIdField)])])
  const fields: [string, unknown][] = []
  const ruled: RuledRecord = { record, externalIdField, ifEmptyFields: [], droppedFields: [], issues: [] }
  for (const [name, value] of Object.entries(record)) {
    const rule = rules.get(foldCase(name))
    rules.delete(foldCase(name))
    const verdict = rule === undefined ? 'write' : verdictOf(rule.setting, type)
    const isKey = keys.has(foldCase(name))
    if (isKey && verdict !== 'write') ruled.issues.push(keyIssue(name, verdict, pointerOf(name)))
    else if (verdict === 'drop') ruled.droppedFields.push(name)
    else if (verdict === 'ifEmpty') ruled.ifEmptyFields.push(name)
    if (isKey || verdict !== 'drop') fields.push([name, value])
  }
  // What is left of the rules is of fields that the caller did not give.
  for (const { field, setting } of rules.values()) {
    const value = setting.default === undefined ? null : valueOf(setting.default)
    if (value === null || keys.has(foldCase(field)) || !takesDefault(setting, type)) continue
    fields.push([field, value])
    if (type === 'upsert') ruled.ifEmptyFields.push(field)
  }
  return { ...ruled, record: Object.fromEntries(fields) }
}

/** A default is for new records: on an update, a field that the caller leaves out keeps its value. */
const takesDefault = (setting: FieldSetting, type: RecordType): boolean =>
  type !== 'update' && verdictOf(setting, type) !== 'drop'

const keyIssue = (name: string, verdict: Verdict, path: string): Issue => ({
  path,
  message: `names the record, but the installation's configuration has ${quoted(name)} written ${
    verdict === 'drop' ? 'never' : 'only if empty'
  } on such a write`,
})

/**
 * Names, then settings: what an installation's entry makes of a caller's record. Variables are to be
 * expanded and ignored empty values dropped before, so that a default can take an empty value's place.
 *
 * @param entry the object's entry, without issues of its own; null when the installation lists no objects
 * @param externalIdField as the caller named it; null but for an upsert
 * @param path JSON pointer of the record, for the issues
 */
export function applyFieldRules(
  record: JsonObject,
  type: RecordType,
  entry: ObjectEntry | null,
  externalIdField: string | null = null,
  path = '/record',
): RuledRecord {
  const mapped = mapFields(record, entry, path)
  const key = externalIdField === null ? null : providerFieldName(externalIdField, entry)
  const pointerOf = (field: string): string =>
    pointerTo(path, mapped.callerNames.get(foldCase(field)) ?? field)
  const ruled = applyFieldSettings(mapped.record, type, entry, key, pointerOf)
  return { ...ruled, issues: [...mapped.issues, ...ruled.issues] }
}
