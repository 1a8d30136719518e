import type { Issue } from '../kernel/errors.ts'
import { pointerTo } from '../kernel/json-pointer.ts'

/** The most headers of a custom call, and the most characters of one's value. */
const MAX_HEADERS = 50
const MAX_VALUE = 4_000

/** Headers that a custom call may carry, besides those that begin with `sforce-` or `x-`. */
const known: ReadonlySet<string> = new Set([
  ...['accept', 'accept-language', 'content-language', 'content-type', 'idempotency-key', 'prefer'],
  ...['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since'],
])
/** Of those that begin with `x-`, the ones that stand for a session, for another method or for somebody else. */
const refused =
  /^x-(forwarded-.*|forwarded|real-ip|client-ip|original-.*|rewrite-.*|cluster-client-ip|host|http-(host|method).*|method-override|sfdc-session|csrf-token|amz-.*)$/

/** Headers as they are sent, their names in lower case. */
export type SentHeaders = { key: string; value: string }[]

/** Reads the headers of a custom call: each that it may not carry is named. */
export function readHeaders(
  given: Readonly<Record<string, unknown>>,
  path: string,
): { headers: SentHeaders; issues: Issue[] } {
  const entries = Object.entries(given)
  if (entries.length > MAX_HEADERS)
    return { headers: [], issues: [{ path, message: `must have at most ${MAX_HEADERS} headers` }] }
  const issues: Issue[] = []
  const headers = new Map<string, string>()
  for (const [name, value] of entries) {
    const key = name.toLowerCase()
    const message = faultOf(key, value) ?? (headers.has(key) ? 'is given twice' : null)
    if (message !== null) issues.push({ path: pointerTo(path, name), message })
    else headers.set(key, String(value))
  }
  return { headers: [...headers].map(([key, value]) => ({ key, value })), issues }
}

function faultOf(name: string, value: unknown): string | null {
  if (!/^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(name)) return 'is not a name of a header'
  const mayGo =
    known.has(name) || name.startsWith('sforce-') || (name.startsWith('x-') && !refused.test(name))
  if (!mayGo) return 'is not a header that a custom call may carry'
  if (typeof value !== 'string') return 'must be text'
  if (value.length > MAX_VALUE) return `must have at most ${MAX_VALUE} characters`
  if (name === 'content-type' && !isUtf8(value)) return 'must have no other charset than utf-8'
  return /^[\x20-\x7e]*$/.test(value) && value.trim() === value
    ? null
    : 'must be printable ASCII, without spaces around it'
}

/** Bodies go out as UTF-8: under another character set the provider would read another text than was looked at here. */
const isUtf8 = (type: string): boolean =>
  [...type.matchAll(/charset\s*=\s*"?([^\s";,]*)/gi)].every(([, charset = '']) => /^utf-?8$/i.test(charset))

/** The type of a body that its headers name, in lower case and without parameters; null when they name none. */
export const bodyType = (headers: SentHeaders): string | null =>
  headers
    .find(({ key }) => key === 'content-type')
    ?.value.split(';', 1)[0]
    ?.trim()
    .toLowerCase() ?? null
