import type { Issue } from '../../kernel/errors.ts'
import { isJsonObject, quoted, type JsonObject } from './json-values.ts'
import { pointerTo } from '../../kernel/json-pointer.ts'

/** The most names that `variables` may hold. */
export const MAX_VARIABLES = 1000
/** The most issues that one record's tokens make: every token can be one, and a body holds millions. */
const MAX_ISSUES = 100
/**
 * The most characters that tokens may put into one record: as much as a whole body has. Without a bound,
 * a short body that names a long variable very often would grow beyond all memory.
 */
export const MAX_INSERTED = 6_000_000

interface Variable {
  value: unknown
  /** What stands for it within a text; null for a list or an object, which have no text. */
  text: string | null
  /** Characters that it adds to a record. */
  size: number
}

/** Variables as {@link readVariables} gives them. A map, so that no name is special. */
export type Variables = ReadonlyMap<string, Variable>

/** `{{` and `}}` with neither brace between them; what is between may still be no name. */
const token = /\{\{([^{}]*)\}\}/g

const isScalar = (value: unknown): value is string | number | boolean | null =>
  value === null || typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value)

function isJson(value: unknown): boolean {
  if (isScalar(value)) return true
  if (Array.isArray(value)) return value.every(isJson)
  return isJsonObject(value) && Object.values(value).every(isJson)
}

function toVariable(value: unknown): Variable {
  if (!isScalar(value)) return { value, text: null, size: JSON.stringify(value).length }
  const text = value === null ? '' : String(value)
  return { value, text, size: text.length }
}

/**
 * Reads a write's `variables` (contract section 5): an object of JSON values by name. Absent is null: a
 * write without `variables` has no tokens, and its braces are text as any other.
 */
export function readVariables(variables: unknown): { variables: Variables | null; issues: Issue[] } {
  const path = '/variables'
  if (variables === undefined) return { variables: null, issues: [] }
  const none: Variables = new Map()
  if (!isJsonObject(variables))
    return { variables: none, issues: [{ path, message: 'must be an object: values by name' }] }
  const entries = Object.entries(variables)
  if (entries.length > MAX_VARIABLES)
    return { variables: none, issues: [{ path, message: `must have at most ${MAX_VARIABLES} names` }] }
  const issues: Issue[] = []
  const read = new Map<string, Variable>()
  for (const [name, value] of entries) {
    if (isJson(value)) read.set(name, toVariable(value))
    // A number too large for JSON's readers is the one way in which parsed JSON gets here.
    else issues.push({ path: pointerTo(path, name), message: 'must be a JSON value, its numbers finite' })
  }
  return { variables: read, issues }
}

interface Expansion {
  variables: Variables
  issues: Issue[]
  /** What has an issue already, by place and name: a token may be repeated a million times. */
  refused: Set<string>
  budget: number
  inserted: number
  /** A variable did not fit: that is said once, and nothing more is put in. */
  isFull: boolean
}

function refuse(run: Expansion, path: string, name: string, sayWhat: (shown: string) => string): null {
  const key = `${path}\n${name}`
  if (run.issues.length === MAX_ISSUES || run.refused.has(key)) return null
  run.refused.add(key)
  run.issues.push({ path, message: sayWhat(quoted(name)) })
  return null
}

/** The variable of a token, or null when there is none or no room for it. */
function lookUp(run: Expansion, name: string, path: string): Variable | null {
  const found = run.variables.get(name)
  if (found === undefined)
    return refuse(run, path, name, (shown) => `names the variable ${shown}, which variables does not hold`)
  if (run.isFull) return null
  if (run.inserted + found.size > run.budget) {
    run.isFull = true
    return refuse(
      run,
      path,
      name,
      (shown) => `has no room for the variable ${shown}: variables may add ${run.budget} characters`,
    )
  }
  run.inserted += found.size
  return found
}

function expandText(run: Expansion, text: string, path: string): unknown {
  const whole = /^\{\{([^{}]*)\}\}$/.exec(text)?.[1]?.trim()
  if (whole !== undefined && whole !== '') {
    const variable = lookUp(run, whole, path)
    return variable === null ? text : variable.value
  }
  // One pass: what a variable puts in is never looked at again.
  return text.replace(token, (literal, inner: string) => {
    const name = inner.trim()
    const variable = name === '' ? null : lookUp(run, name, path)
    if (variable === null) return literal
    if (variable.text !== null) return variable.text
    refuse(run, path, name, (shown) => `has ${shown} within text: a list or an object has no text`)
    return literal
  })
}

function expandValue(run: Expansion, value: unknown, path: string): unknown {
  if (typeof value === 'string') return value.includes('{{') ? expandText(run, value, path) : value
  if (Array.isArray(value))
    return value.map((element: unknown, index) => expandValue(run, element, pointerTo(path, index)))
  return isJsonObject(value) ? expandObject(run, value, path) : value
}

/** Entries, not assignments: a field called `__proto__` stays a field. Names are never expanded. */
const expandObject = (run: Expansion, object: JsonObject, path: string): JsonObject =>
  Object.fromEntries(
    Object.entries(object).map(([name, value]) => [name, expandValue(run, value, pointerTo(path, name))]),
  )

/**
 * Puts variables into a record (contract section 5): a value that is only one token, spaces inside the
 * braces aside, becomes the variable's value with its type; tokens within a text become the variable's
 * text, null becoming nothing. Braces around no name are text. The record given is not changed; values
 * that are lists or objects are shared with `variables`.
 *
 * @param record the record, no deeper than a body may nest
 * @param path JSON pointer of the record, for the issues
 * @param budget characters that variables may add, for the records of a batch what is left of one budget
 * @returns the record, in which a token with an issue is left as it was, and the characters added
 */
export function expandVariables(
  record: JsonObject,
  variables: Variables | null,
  path = '/record',
  budget: number = MAX_INSERTED,
): { record: JsonObject; issues: Issue[]; inserted: number } {
  if (variables === null) return { record, issues: [], inserted: 0 }
  const run: Expansion = { variables, issues: [], refused: new Set(), budget, inserted: 0, isFull: false }
  return { record: expandObject(run, record, path), issues: run.issues, inserted: run.inserted }
}
