import { badType, coerce } from './field-values.ts'
import type { RecordError } from './api-error.ts'
import { normaliseId } from './ids.ts'
import type { Org } from './org.ts'
import { findField } from './schema.ts'
import type { FieldDefinition, FieldValue, FieldValues } from './schema.ts'
import type { Table } from './table.ts'
import type { WriteHeaders } from './write-headers.ts'

/** Objects whose records an org can assign (facts 5). */
const assignable = ['Account', 'Case', 'Lead']

/** An assignment rule to be defined; it replaces one of the same id. */
export interface AssignmentRuleInput {
  /** Account, Case or Lead. */
  object: string
  /** 15 or 18 characters; chosen when left out. */
  id?: string
  /** Default true. An object has one active rule: a new one makes the earlier one inactive. */
  active?: boolean
  /** Whether it runs on updates too, and not only on creates. Default false. */
  onUpdate?: boolean
  /** What it does to a record: here any field, on the platform the owner. */
  assign: { field: string; value: unknown }
}

/** An assignment rule of an object. */
export interface AssignmentRule {
  /** 18 characters. */
  readonly id: string
  readonly object: string
  active: boolean
  readonly onUpdate: boolean
  readonly field: string
  readonly value: FieldValue
}

/**
 * Defines an assignment rule.
 * @throws {TypeError} saying what is wrong with it
 */
export function addAssignmentRule(org: Org, input: AssignmentRuleInput): AssignmentRule {
  const table = assignable.includes(input.object) ? org.table(input.object) : undefined
  if (!table) throw new TypeError(`an assignment rule is for ${assignable.join(', ')}, not ${input.object}`)
  const field = findField(table.object, input.assign.field)
  if (!field || field.unique || !field.updateable) {
    throw new TypeError(`an assignment rule cannot set ${input.object}.${input.assign.field}`)
  }
  const id = input.id === undefined ? org.ids.next('01Q') : normaliseId(input.id)
  if (id === undefined) throw new TypeError(`${String(input.id)} is not an id`)
  const rule: AssignmentRule = {
    id,
    object: table.object.name,
    active: input.active ?? true,
    onUpdate: input.onUpdate ?? false,
    field: field.name,
    value: readValue(field, input.assign.value),
  }
  const others = table.assignmentRules.filter((other) => other.id !== id)
  if (rule.active) for (const other of others) other.active = false
  table.assignmentRules = [...others, rule]
  return rule
}

function readValue(field: FieldDefinition, raw: unknown): FieldValue {
  const errors: RecordError[] = []
  const value = coerce(field, raw, errors)
  if (value === badType || errors.length > 0) {
    throw new TypeError(`${field.name} cannot be set to ${JSON.stringify(raw)}`)
  }
  return value
}

/** Applies the assignment rule that the headers ask for, if any, to the values about to be saved (facts 5). */
export function assign(
  table: Table,
  headers: WriteHeaders,
  mode: 'insert' | 'update',
  values: FieldValues,
): void {
  const { autoAssign } = headers
  if (autoAssign === false) return
  const rule = table.assignmentRules.find(({ active, id }) =>
    autoAssign === true ? active : id === autoAssign,
  )
  if (!rule) return
  // A rule named by its id is for created records only.
  if (mode === 'update' && (!rule.onUpdate || autoAssign !== true)) return
  values[rule.field] = rule.value
}
