import { controlCharacters } from '../kernel/control-characters.ts'

/** Where a custom call goes, within the connected instance. */
export interface Endpoint {
  /** What the caller's URL named as its host; null for a path. */
  origin: string | null
  /** With its query: from `/services/` on, or relative to the API version. */
  path: string
  /** The decoded parts of the path. */
  segments: readonly string[]
}

/** The most characters of an endpoint; Salesforce takes no longer ones (facts 6). */
const MAX_ENDPOINT = 16_000
/** How often a part may be percent-encoded over. */
const MAX_ENCODINGS = 5

/**
 * Reads where a custom call goes. Whatever reading a URL could take to another host, to another path than
 * the text shows, or out of the REST API is refused.
 *
 * @returns the endpoint, or the end of the sentence that says why it is none
 */
export function readEndpoint(text: string): Endpoint | string {
  if (text.length === 0) return 'must not be empty'
  if (text.length > MAX_ENDPOINT) return `must have at most ${MAX_ENDPOINT} characters`
  if (!/^[\x21-\x7e]+$/.test(text)) return 'must be ASCII without spaces; percent-encode everything else'
  if (text.includes('\\')) return 'must have no backslash'
  if (text.includes('#')) return 'must have no fragment'
  const split = splitOrigin(text)
  if (typeof split === 'string') return split
  const mark = split.path.indexOf('?')
  const segments = readSegments(mark < 0 ? split.path : split.path.slice(0, mark))
  if (typeof segments === 'string') return segments
  const fault = rootFault(segments, split) ?? parameterFault(mark < 0 ? '' : split.path.slice(mark + 1))
  if (fault !== null) return fault
  // Whatever the checks above may have missed, reading the URL must leave the text as it is.
  const url = URL.parse(`https://instance.invalid${split.path}`)
  if (url === null || url.host !== 'instance.invalid' || url.pathname + url.search !== split.path)
    return 'has characters that must be percent-encoded'
  return { ...split, segments }
}

function splitOrigin(text: string): { origin: string | null; path: string } | string {
  if (text.startsWith('//')) return 'must not begin with two slashes: it would name another host'
  if (text.startsWith('/')) return { origin: null, path: text }
  const found = /^https?:\/\/([^/?]*)(\/.*)$/i.exec(text)
  if (found === null) return 'must be a path that begins with a slash'
  const [, authority = '', path = ''] = found
  if (authority.includes('@')) return 'must have no user and no password'
  const origin = authority === '' ? undefined : URL.parse(text)?.origin
  return origin === undefined ? 'is not a URL' : { origin, path }
}

/** The decoded parts of a path that begins with a slash, or why it may not be called. */
export function readSegments(path: string): string[] | string {
  const parts = path.slice(1).split('/')
  // One slash at the end means nothing.
  if (parts.length > 1 && parts.at(-1) === '') parts.pop()
  const segments: string[] = []
  for (const part of parts) {
    if (part === '' && parts.length > 1) return 'must have no empty parts (two slashes in a row)'
    const fault = segmentFault(part)
    if (fault !== null) return fault
    segments.push(decodeURIComponent(part))
  }
  return segments
}

/** What a server could read into a part that decodes it more than once is refused as well. */
function segmentFault(part: string): string | null {
  let text = part
  for (let times = 0; times <= MAX_ENCODINGS; times += 1) {
    if (text === '.' || text === '..') return 'must have no parts that are dots, percent-encoded or not'
    if (text.includes(';')) return 'must have no semicolon in its path'
    if (/[/\\]/.test(text)) return 'must have no percent-encoded slash or backslash in its path'
    if (controlCharacters.test(text)) return 'must have no control characters'
    const decoded = decode(text)
    if (decoded === null) return times === 0 ? 'must be percent-encoded as UTF-8' : null
    if (decoded === text) return null
    text = decoded
  }
  return 'is percent-encoded too often'
}

function decode(text: string): string | null {
  try {
    return decodeURIComponent(text)
  } catch {
    return null
  }
}

/** Only the REST API of data and the org's own REST classes; the login pages are among what else is there. */
function rootFault(segments: readonly string[], { origin, path }: { origin: string | null; path: string }) {
  const [first, second, third] = segments
  const names = 'must be a path under /services/data or /services/apexrest'
  if (!path.startsWith('/services/')) {
    if (origin !== null) return names
    return first?.toLowerCase() === 'services' ? names : null
  }
  if (path.startsWith('/services/apexrest/')) return null
  if (second !== 'data' || !/^\/services\/data(\/|\?|$)/.test(path)) return names
  const hasVersion = third === undefined || /^v\d{2,3}\.\d$/.test(third)
  return hasVersion ? null : 'must name an API version after /services/data, for example v67.0'
}

/** Parameters that a server may read for what the request itself says: its method, or whose session it goes with. */
const standIns: ReadonlyMap<string, string> = new Map([
  ['_httpmethod', 'must not have the parameter _HttpMethod: give it as method'],
  ...['oauth_token', 'access_token', 'sid'].map(
    (name) => [name, `must not have the parameter ${name}: the session is that of the connection`] as const,
  ),
])

/** Why a query, or the body of a form, may not go out; null when it may. Some servers part parameters by semicolons too. */
export function parameterFault(query: string): string | null {
  for (const name of new URLSearchParams(query.replaceAll(';', '&')).keys()) {
    const fault = standIns.get(name.trim().toLowerCase())
    if (fault !== undefined) return fault
  }
  return null
}

/** The parts of an endpoint below its API version; null for a path elsewhere, as the org's own REST classes have. */
export function belowVersion({
  path,
  segments,
}: Pick<Endpoint, 'path' | 'segments'>): readonly string[] | null {
  if (!path.startsWith('/services/')) return segments
  return path.startsWith('/services/apexrest/') ? null : segments.slice(3)
}
