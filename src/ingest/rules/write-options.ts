import type { Issue } from '../../kernel/errors.ts'
import { foldCase, isJsonObject, type JsonObject } from './json-values.ts'
import { pointerTo } from '../../kernel/json-pointer.ts'
import {
  AUTO_ASSIGN,
  DUPLICATE_RULE,
  duplicateFlagsOf,
  inOrder,
  spellDuplicateFlags,
  type ProviderHeader,
} from './provider-headers.ts'

/** How a write is to be treated (contract section 5). An absent option is not the same as a false one. */
export interface WriteOptions {
  /** Leaves empty texts and nulls out; default false: they are sent and clear the field. */
  ignoreEmptyValues?: boolean
  /** Whether assignment rules run; default: the provider's, which runs them (facts 5). */
  runAssignmentRules?: boolean
  /** Saves although a duplicate rule warns; default false. Rules that block still refuse (facts 5). */
  allowDuplicates?: boolean
  /** Updates the one record that a duplicate rule finds; default false. */
  forceUpdateOnCollision?: boolean
}

const names = [
  'ignoreEmptyValues',
  'runAssignmentRules',
  'allowDuplicates',
  'forceUpdateOnCollision',
] as const

const isOptionName = (name: string): name is keyof WriteOptions => (names as readonly string[]).includes(name)

/** Reads a write's `options`. Absent is none. With issues, the options are those that had none. */
export function readOptions(options: unknown): { options: WriteOptions; issues: Issue[] } {
  if (options === undefined) return { options: {}, issues: [] }
  if (!isJsonObject(options))
    return { options: {}, issues: [{ path: '/options', message: 'must be an object' }] }
  const issues: Issue[] = []
  const read: WriteOptions = {}
  for (const [name, value] of Object.entries(options)) {
    const path = pointerTo('/options', name)
    if (!isOptionName(name))
      issues.push({ path, message: `is not a known option; known are ${names.join(', ')}` })
    else if (typeof value !== 'boolean') issues.push({ path, message: 'must be true or false' })
    else read[name] = value
  }
  if (read.allowDuplicates === true && read.forceUpdateOnCollision === true)
    issues.push({
      path: '/options/forceUpdateOnCollision',
      message: 'cannot be true together with allowDuplicates: a duplicate is either saved or updated',
    })
  return { options: read, issues }
}

/**
 * The options that a lane's key holds beside its headers: those that {@link toProviderHeaders} does not
 * turn into headers, without defaults, in one order (contract section 6.3).
 */
export function laneOptions(options: WriteOptions): Record<string, boolean> {
  const lane: Record<string, boolean> = {}
  if (options.forceUpdateOnCollision === true) lane.forceUpdateOnCollision = true
  if (options.ignoreEmptyValues === true) lane.ignoreEmptyValues = true
  return lane
}

const contradiction = (option: keyof WriteOptions, value: boolean, header: ProviderHeader): Issue => ({
  path: `/options/${option}`,
  message: `is ${value}, which contradicts ${header.key}: ${header.value} in headers; give one of the two`,
})

/**
 * What the options make of the headers that {@link readHeaders} gave: the headers to send, in one
 * spelling and order (facts 5). A header wins nothing over an option and the other way round: where they
 * disagree, the write is refused.
 */
export function toProviderHeaders(
  headers: readonly ProviderHeader[],
  options: WriteOptions,
): { headers: ProviderHeader[]; issues: Issue[] } {
  const byKey = new Map(headers.map((header) => [header.key, header]))
  const issues = [...mergeAssignment(byKey, options.runAssignmentRules), ...mergeDuplicates(byKey, options)]
  return { headers: inOrder([...byKey.values()]), issues }
}

function mergeAssignment(byKey: Map<string, ProviderHeader>, run: boolean | undefined): Issue[] {
  if (run === undefined) return []
  const given = byKey.get(AUTO_ASSIGN)
  const value = run ? 'TRUE' : 'FALSE'
  if (given === undefined) {
    byKey.set(AUTO_ASSIGN, { key: AUTO_ASSIGN, value })
    return []
  }
  // A rule's id also runs rules: it says which one, so it stays.
  const agrees = run ? given.value !== 'FALSE' : given.value === 'FALSE'
  return agrees ? [] : [contradiction('runAssignmentRules', run, given)]
}

function mergeDuplicates(byKey: Map<string, ProviderHeader>, options: WriteOptions): Issue[] {
  const given = byKey.get(DUPLICATE_RULE)
  const flags = given === undefined ? new Map<string, boolean>() : duplicateFlagsOf(given.value)
  const saves = flags.get('allowSave')
  const { allowDuplicates, forceUpdateOnCollision } = options
  if (given !== undefined && saves !== undefined) {
    if (allowDuplicates !== undefined && allowDuplicates !== saves)
      return [contradiction('allowDuplicates', allowDuplicates, given)]
    // Saved as a duplicate, there would be no collision left to update.
    if (saves && forceUpdateOnCollision === true)
      return [contradiction('forceUpdateOnCollision', true, given)]
  }
  if (allowDuplicates === true) {
    flags.set('allowSave', true)
    byKey.set(DUPLICATE_RULE, { key: DUPLICATE_RULE, value: spellDuplicateFlags(flags) })
  }
  return []
}

/**
 * Whether a value says nothing: an empty text, null, or a parent reference (facts 2) whose every key is
 * empty, such as `{Account: {ExtId__c: ''}}`, since no parent can be found by it.
 */
function isEmptyValue(value: unknown): boolean {
  if (value === '' || value === null) return true
  if (!isJsonObject(value)) return false
  const keys = Object.entries(value).filter(([name]) => name !== 'attributes')
  return keys.length > 0 && keys.every(([, member]) => isEmptyValue(member))
}

/**
 * The record without its empty values, for `ignoreEmptyValues`. What names the record is never left out,
 * so that a missing name is refused and not sent. A parent reference goes as a whole or stays as it is:
 * without one of its keys it would point at another parent. Lists and blanks are values.
 */
export function dropEmptyValues(record: JsonObject, externalIdField: string | null = null): JsonObject {
  const kept = new Set(['id', ...(externalIdField === null ? [] : [foldCase(externalIdField)])])
  return Object.fromEntries(
    Object.entries(record).filter(([name, value]) => kept.has(foldCase(name)) || !isEmptyValue(value)),
  )
}
