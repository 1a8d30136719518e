import { isUtf8 } from 'node:buffer'
import { pointerTo } from '../kernel/json-pointer.ts'
import { WritebackError, type Issue } from '../kernel/errors.ts'

/** How deep a body may nest. */
export const MAX_DEPTH = 64
/**
 * How many members and elements a body may hold in all. Every one of them can become an issue of its
 * own, so this, and not the size in bytes, bounds what a hostile body costs.
 */
export const MAX_VALUES = 250_000

const refuse = (detail: string, message: string, remedy: string): WritebackError =>
  new WritebackError('INVALID_REQUEST', detail, { issues: [{ path: '', message }], remedy })

/** The index just after the string that opens at `start`, or the end of the text when it never closes. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let escapes = 0
    while (text.charCodeAt(end - 1 - escapes) === 0x5c) escapes++
    if (escapes % 2 === 0) return end + 1
  }
  return text.length
}

/** Counts nesting and members before anything is built from the text. */
function checkShape(text: string): void {
  let depth = 0
  let values = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x22) at = endOfString(text, at) - 1
    else if (code === 0x7b || code === 0x5b) depth++
    else if (code === 0x7d || code === 0x5d) depth--
    else if (code === 0x2c) values++
    if (depth > MAX_DEPTH)
      throw refuse(
        'The body nests too deep.',
        `must not nest more than ${MAX_DEPTH} levels`,
        'Flatten the body.',
      )
    if (values > MAX_VALUES)
      throw refuse(
        'The body holds too many values.',
        `must not hold more than ${MAX_VALUES} values`,
        'Send less at once.',
      )
  }
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

/**
 * Parses a JSON text that came from outside: UTF-8, bounded in depth and members, storable. A
 * `__proto__` member becomes an own property like any other, as JSON.parse makes it, and is refused
 * later where it is no known field.
 *
 * @throws {WritebackError} INVALID_REQUEST; no part of the text is quoted
 */
export function parseJson(bytes: Buffer): unknown {
  if (bytes.length === 0)
    throw refuse('The body is empty.', 'must be JSON', 'Send the body as JSON, or no Content-Type at all.')
  if (!isUtf8(bytes))
    throw refuse('The body is not UTF-8.', 'must be UTF-8', 'Encode the body as UTF-8, uncompressed.')
  const text = bytes.toString('utf8')
  checkShape(text)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw refuse('The body is not valid JSON.', `is not valid JSON${placeOf(error)}`, 'Send valid JSON.')
  }
  const issues = suspicious.test(text) ? unstorableText(value) : []
  if (issues.length === 0) return value
  throw new WritebackError('INVALID_REQUEST', 'The body holds text that cannot be stored.', {
    issues: issues.slice(0, 100),
    remedy: 'Remove those characters and send the request again.',
  })
}
