import type { Issue } from '../../kernel/errors.ts'
import { pointerTo } from '../../kernel/json-pointer.ts'
import { fieldNameIssues } from './field-name.ts'

/*
 * Floqer's upsert as the write call's body. What is then found wrong with it is told of the place where the
 * caller gave it.
 */

type JsonObject = Record<string, unknown>

/** A body of Floqer's upsert, as far as it is of the right kind: its schema names the rest. */
export interface FloqerBody {
  groupRef: string
  /** The object as the caller names it. */
  objectName: string
  /** The same as a body of the write call. */
  write: JsonObject
  /** What is wrong with it that only this call can tell. */
  issues: Issue[]
  /** Issues of {@link write} as issues of the body that it was made of. */
  translate: (issues: readonly Issue[]) => Issue[]
}

const LIST = '/inputs/add_fields_and_their_values'
const EXTERNAL_ID = 'salesforce_external_id_field'

/** The inputs that are switches, with the option that each is and what it is when it is not given. */
const switches = {
  force_update_on_collision: ['forceUpdateOnCollision', false],
  ignore_empty_values: ['ignoreEmptyValues', true],
  run_salesforce_assignment_rules: ['runAssignmentRules', true],
} as const

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

/** Reads a body of Floqer's upsert. */
export function readFloqerBody(given: unknown): FloqerBody {
  const body = isObject(given) ? given : {}
  const inputs = isObject(body.inputs) ? body.inputs : {}
  const { mode, variables, reference, autoBatchPolicy, retryPolicy } = body
  const issues: Issue[] = []
  const record = readFields(inputs.add_fields_and_their_values, issues)
  const field = textOf(inputs[EXTERNAL_ID])
  const wrong = field === '' ? [] : fieldNameIssues(field, `/inputs/${EXTERNAL_ID}`)
  issues.push(...wrong)
  const isKeyed = field !== '' && wrong.length === 0
  return {
    groupRef: textOf(body.groupRef),
    objectName: textOf(inputs.salesforce_object),
    write: {
      ...{ mode, reference, autoBatchPolicy, retryPolicy },
      // Without a key, of which is told, nothing more is to be said of the record.
      ...(isKeyed && { type: 'upsert', externalIdField: field }),
      record: Object.fromEntries(record.map(({ name, value }) => [name, value])),
      options: readSwitches(inputs, issues),
      variables: isObject(variables) ? withReferences(variables, record) : variables,
    },
    issues,
    translate: translator(new Map(record.map(({ name, index }) => [name, index]))),
  }
}

interface FieldPair {
  name: string
  value: unknown
  /** Its place in the list. */
  index: number
}

function readFields(given: unknown, issues: Issue[]): FieldPair[] {
  const seen = new Map<string, number>()
  const pairs: FieldPair[] = []
  for (const [index, entry] of (Array.isArray(given) ? given : []).entries()) {
    if (!isObject(entry) || typeof entry.name !== 'string' || entry.name === '') continue
    const first = seen.get(entry.name.toLowerCase())
    if (first === undefined) {
      seen.set(entry.name.toLowerCase(), index)
      pairs.push({ name: entry.name, value: entry.value, index })
    } else
      issues.push({ path: `${LIST}/${index}/name`, message: `names the same field as ${LIST}/${first}/name` })
  }
  return pairs
}

const words: Record<string, boolean | undefined> = { true: true, on: true, false: false, off: false }

/** Floqer's forms give their radios as booleans or as words. */
function readSwitches(inputs: JsonObject, issues: Issue[]): Record<string, boolean> {
  const entries = Object.entries(switches).map(([name, [option, usual]]): [string, boolean] => {
    const given = inputs[name]
    if (given === undefined || typeof given === 'boolean') return [option, given ?? usual]
    const word = typeof given === 'string' ? given.toLowerCase() : ''
    const read = Object.hasOwn(words, word) ? words[word] : undefined
    if (read === undefined)
      issues.push({
        path: `/inputs/${name}`,
        message: 'must be true or false, or one of the words true, false, on, off',
      })
    return [option, read ?? usual]
  })
  return Object.fromEntries(entries)
}

/**
 * The variables, and by its whole name what a reference such as `input.domain` finds within them. One that is
 * there by that name itself comes first.
 */
function withReferences(variables: JsonObject, fields: readonly FieldPair[]): JsonObject {
  const found = new Map<string, unknown>()
  for (const [, inner = ''] of JSON.stringify(fields).matchAll(/\{\{([^{}]*)\}\}/g)) {
    const name = inner.trim()
    if (!name.includes('.') || Object.hasOwn(variables, name)) continue
    const value = name
      .split('.')
      .reduce<unknown>((at, key) => (isObject(at) && Object.hasOwn(at, key) ? at[key] : undefined), variables)
    if (value !== undefined) found.set(name, value)
  }
  return found.size === 0 ? variables : Object.fromEntries([...Object.entries(variables), ...found])
}

/** Turns places of the write into those of the body. */
function translator(places: ReadonlyMap<string, number>): FloqerBody['translate'] {
  const inputs = new Map<string, string>([
    ['/externalIdField', `/inputs/${EXTERNAL_ID}`],
    ...Object.entries(switches).map(([name, [option]]): [string, string] => [
      `/options/${option}`,
      `/inputs/${name}`,
    ]),
  ])
  const ofRecord = (name: string, rest: string, message: string): Issue => {
    const index = places.get(name.replaceAll('~1', '/').replaceAll('~0', '~'))
    if (index === undefined) return { path: LIST, message: `${name} ${message}` }
    return { path: pointerTo(LIST, index) + (rest === '' ? '' : `/value${rest}`), message }
  }
  return (issues) =>
    issues.map(({ path, message }) => {
      const [, name, rest = ''] = /^\/record\/([^/]*)(.*)$/s.exec(path) ?? []
      if (name !== undefined) return ofRecord(name, rest, message)
      return { path: path === '/record' ? LIST : (inputs.get(path) ?? path), message }
    })
}
