import { isUtf8 } from 'node:buffer'
import { pointerTo } from '../kernel/json-pointer.ts'
import { WritebackError, type Issue } from '../kernel/errors.ts'
import { endOfNumber, endOfString, findSilentChanges, isKept } from './json-faults.ts'

/** How deep a body may nest. */
export const MAX_DEPTH = 64
/**
 * How many members and elements a body may hold in all. Every one of them can become an issue of its
 * own, so this, and not the size in bytes, bounds what a hostile body costs.
 */
export const MAX_VALUES = 250_000

const refuse = (detail: string, message: string, remedy: string): WritebackError =>
  new WritebackError('INVALID_REQUEST', detail, { issues: [{ path: '', message }], remedy })

/** The most issues that one answer lists. */
const MAX_ISSUES = 100

/** What a look at the text says of what is built from it. */
interface Shape {
  /** Members of all objects, one given twice counted twice. */
  members: number
  /** Whether every number is one that can be kept. */
  numbersKept: boolean
}

/** Counts nesting and members before anything is built from the text. */
function checkShape(text: string, what: string): Shape {
  let depth = 0
  let values = 0
  const shape: Shape = { members: 0, numbersKept: true }
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x22) at = endOfString(text, at) - 1
    else if (code === 0x7b || code === 0x5b) depth++
    else if (code === 0x7d || code === 0x5d) depth--
    else if (code === 0x2c) values++
    else if (code === 0x3a) shape.members++
    else if (code >= 0x30 && code <= 0x39) {
      const end = endOfNumber(text, at)
      shape.numbersKept &&= isKept(text.slice(at, end))
      at = end - 1
    }
    if (depth > MAX_DEPTH)
      throw refuse(`${what} nests too deep.`, `must not nest more than ${MAX_DEPTH} levels`, 'Flatten it.')
    if (values > MAX_VALUES)
      throw refuse(
        `${what} holds too many values.`,
        `must not hold more than ${MAX_VALUES} values`,
        'Send less at once.',
      )
  }
  return shape
}

/** The members of all objects within a value. */
function countMembers(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  const inner = Object.values(value)
  let count = Array.isArray(value) ? 0 : inner.length
  for (const member of inner) count += countMembers(member)
  return count
}

/** Where the parser stopped. Its own message quotes the body, which may hold secrets, so only the place is taken. */
function placeOf(error: unknown): string {
  const place = error instanceof Error ? /line \d+ column \d+/.exec(error.message) : null
  return place === null ? '' : ` (${place[0]})`
}

const isStorable = (text: string): boolean => text.isWellFormed() && !text.includes('\0')
const unstorable = 'must not contain NUL characters or half surrogate pairs'

/**
 * Names every string and every key that PostgreSQL cannot store: NUL characters and lone surrogates.
 *
 * @param value parsed JSON no deeper than {@link MAX_DEPTH}
 */
export function unstorableText(value: unknown, path = ''): Issue[] {
  if (typeof value === 'string') return isStorable(value) ? [] : [{ path, message: unstorable }]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, member]) => {
    if (isStorable(key)) return unstorableText(member, pointerTo(path, key))
    const shown = pointerTo(path, key.toWellFormed().replaceAll('\0', '\uFFFD'))
    return [{ path: shown, message: `the name ${unstorable}` }]
  })
}

/** Only an escape can bring such a character in: raw ones are not JSON, and not UTF-8. */
const suspicious = /\\u(?:0000|[dD][89a-fA-F])/

/** What a JSON text says, and what in it cannot be kept as it is. */
export interface ReadJson {
  value: unknown
  issues: Issue[]
}

/**
 * Reads a JSON text that came from outside: UTF-8, bounded in depth and members. Issues name what is not
 * storable and what JSON.parse would change in silence: numbers that would lose digits, members given
 * twice. A `__proto__` member becomes an own property like any other, as JSON.parse makes it, and is
 * refused later where it is no known field.
 *
 * @param what names the text where a sentence begins with it
 * @param maxIssues the most changes that are named
 * @throws {WritebackError} INVALID_REQUEST for what is no such text; no part of it is quoted
 */
export function readJson(bytes: Buffer, what = 'The body', maxIssues = MAX_ISSUES): ReadJson {
  if (bytes.length === 0)
    throw refuse(`${what} is empty.`, 'must be JSON', 'Send the body as JSON, or no Content-Type at all.')
  if (!isUtf8(bytes))
    throw refuse(`${what} is not UTF-8.`, 'must be UTF-8', 'Encode the body as UTF-8, uncompressed.')
  const text = bytes.toString('utf8')
  const shape = checkShape(text, what)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw refuse(`${what} is not valid JSON.`, `is not valid JSON${placeOf(error)}`, 'Send valid JSON.')
  }
  const issues = suspicious.test(text) ? unstorableText(value) : []
  if (!shape.numbersKept || shape.members !== countMembers(value))
    issues.push(...findSilentChanges(text, maxIssues))
  return { value, issues }
}

/** The refusal of a text for what in it cannot be kept as it is. */
export const unkeepable = (issues: Issue[], what = 'The body'): WritebackError =>
  new WritebackError('INVALID_REQUEST', `${what} holds what cannot be kept as it is.`, {
    issues: issues.slice(0, MAX_ISSUES),
    remedy: 'Correct the fields named in issues and send the request again.',
  })

/**
 * Parses a JSON text that came from outside and that can be kept as it is, see {@link readJson}.
 *
 * @throws {WritebackError} INVALID_REQUEST; no part of the text is quoted
 */
export function parseJson(bytes: Buffer, what?: string): unknown {
  const { value, issues } = readJson(bytes, what)
  if (issues.length === 0) return value
  throw unkeepable(issues, what)
}

/**
 * Whether a media type leaves its text to be UTF-8, as JSON is. Under another character set the same
 * bytes would mean another text.
 */
export function isUtf8Declared(contentType = ''): boolean {
  const charset = /;\s*charset\s*=\s*"?([^\s";]*)/i.exec(contentType)?.[1]
  return charset === undefined || /^utf-?8$/i.test(charset)
}

/** Whether a body comes as it is: nothing here undoes a compression. */
export const isPlain = (contentEncoding: string | undefined): boolean =>
  contentEncoding === undefined || contentEncoding === 'identity'
