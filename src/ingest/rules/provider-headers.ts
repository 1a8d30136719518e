import type { Issue } from '../../kernel/errors.ts'
import { normaliseRecordId } from '../../model/salesforce-id.ts'
import { foldCase, isJsonObject, quoted } from './json-values.ts'
import { pointerTo } from '../../kernel/json-pointer.ts'

/** A header for the provider (contract section 5). */
export interface ProviderHeader {
  key: string
  value: string
}

/** The most headers that one write may carry. */
export const MAX_HEADERS = 10
/** The most characters that a header's value may have. */
export const MAX_HEADER_VALUE = 1024

export const AUTO_ASSIGN = 'Sforce-Auto-Assign'
export const DUPLICATE_RULE = 'Sforce-Duplicate-Rule-Header'

/** A value in its one spelling, or the end of the sentence that says what is wrong with it. */
type Read = { value: string } | { fault: string }

interface HeaderRule {
  /** The header's name in its one spelling. */
  key: string
  read: (value: string) => Read
}

const packageVersion = /^x-sfdc-packageversion-([a-z](?:_?[a-z0-9])*)$/
/** What a refusal lists; the last one stands for a header of each managed package. */
const ALLOWED =
  'Sforce-Auto-Assign, Sforce-Duplicate-Rule-Header, Sforce-Mru, Sforce-Call-Options, x-sfdc-packageversion-NAMESPACE'
const conditional = new Set(['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since'])

/** A namespace prefix: 15 letters and digits at most, single underscores inside. */
const isNamespace = (text: string): boolean => text.length <= 15 && /^[a-z](?:_?[a-z0-9])*$/i.test(text)
const isFlag = (text: string): boolean => /^(?:true|false)$/i.test(text)
/** No separators of the header's own, no spaces: the name appears in the org's logs. */
const isClientName = (text: string): boolean => /^[\x21-\x7e]{1,255}$/.test(text) && !/[,;="]/.test(text)

interface Member {
  name: string
  check: (text: string) => boolean
  spell: (text: string) => string
}

const flag = (name: string): Member => ({ name, check: isFlag, spell: (text) => text.toLowerCase() })

const duplicateFlags = ['allowSave', 'includeRecordDetails', 'runAsCurrentUser'].map(flag)
const mruFlags = [flag('updateMru')]
const callOptions: Member[] = [
  { name: 'client', check: isClientName, spell: (text) => text },
  { name: 'defaultNamespace', check: isNamespace, spell: (text) => text },
]

/** Reads `name=value` members, each once, and spells them in the order of `members`. */
function readMembers(
  value: string,
  members: readonly Member[],
  separators: RegExp,
  joint: string,
): string | null {
  const found = new Map<string, string>()
  const parts = value.split(separators)
  // A separator after the last member is common and says nothing.
  if (parts.length > 1 && parts.at(-1)?.trim() === '') parts.pop()
  for (const part of parts) {
    const [name = '', text, ...rest] = part.split('=').map((piece) => piece.trim())
    const member = members.find((one) => foldCase(one.name) === foldCase(name))
    if (member === undefined || text === undefined || rest.length > 0) return null
    if (!member.check(text) || found.has(member.name)) return null
    found.set(member.name, `${member.name}=${member.spell(text)}`)
  }
  return members.flatMap((member) => found.get(member.name) ?? []).join(joint)
}

const membersRule =
  (members: readonly Member[], separators: RegExp, joint: string, form: string) =>
  (value: string): Read => {
    const spelled = readMembers(value, members, separators, joint)
    return spelled === null ? { fault: `must be ${form}` } : { value: spelled }
  }

function readAutoAssign(value: string): Read {
  if (isFlag(value)) return { value: value.toUpperCase() }
  const id = normaliseRecordId(value)
  return id === null
    ? { fault: "must be TRUE, FALSE or an assignment rule's id of 15 or 18 characters" }
    : { value: id }
}

function readVersion(value: string): Read {
  return /^(?:0|[1-9]\d{0,4})\.(?:0|[1-9]\d{0,4})$/.test(value)
    ? { value }
    : { fault: "must be a package's version, for example 1.0" }
}

const rules: readonly HeaderRule[] = [
  { key: AUTO_ASSIGN, read: readAutoAssign },
  {
    key: DUPLICATE_RULE,
    read: membersRule(
      duplicateFlags,
      /;/,
      '; ',
      'flags such as allowSave=true; includeRecordDetails=false; runAsCurrentUser=true, each once',
    ),
  },
  {
    key: 'Sforce-Mru',
    read: membersRule(mruFlags, /;/, '; ', 'updateMru=true or updateMru=false'),
  },
  {
    key: 'Sforce-Call-Options',
    read: membersRule(callOptions, /[,;]/, ', ', 'client=NAME, defaultNamespace=NAMESPACE or one of them'),
  },
]

function ruleFor(name: string): HeaderRule | null {
  const folded = foldCase(name)
  const known = rules.find((rule) => foldCase(rule.key) === folded)
  if (known !== undefined) return known
  const namespace = packageVersion.exec(folded)?.[1]
  return namespace !== undefined && isNamespace(namespace) ? { key: folded, read: readVersion } : null
}

function refusalOf(name: string): string {
  const allowed = `allowed are ${ALLOWED}`
  return conditional.has(foldCase(name))
    ? `cannot be ${quoted(name)}: a condition on one record cannot travel in a group; ${allowed}`
    : `cannot be ${quoted(name)}, which is no write header of the provider; ${allowed}`
}

/** What is wrong with a value whatever its header: nothing that could end a header line or change it on the way. */
function textFault(value: string): string | null {
  if (value.length > MAX_HEADER_VALUE) return `must have at most ${MAX_HEADER_VALUE} characters`
  if (/[\r\n\0]/.test(value)) return 'must not contain line breaks or NUL characters'
  return /^[\x20-\x7e]*$/.test(value) ? null : 'must be printable ASCII'
}

function readEntry(entry: unknown, path: string): { header: ProviderHeader | null; issues: Issue[] } {
  if (!isJsonObject(entry)) return { header: null, issues: [{ path, message: 'must be {key, value}' }] }
  const issues: Issue[] = []
  for (const name of Object.keys(entry)) {
    if (name !== 'key' && name !== 'value')
      issues.push({ path: pointerTo(path, name), message: 'is not a known field' })
  }
  const { key, value } = entry
  const rule = typeof key === 'string' ? ruleFor(key) : null
  if (typeof key !== 'string') issues.push({ path: `${path}/key`, message: missingOrNoText(key) })
  else if (rule === null) issues.push({ path: `${path}/key`, message: refusalOf(key) })
  if (typeof value !== 'string') issues.push({ path: `${path}/value`, message: missingOrNoText(value) })
  if (rule === null || typeof value !== 'string') return { header: null, issues }
  const fault = textFault(value)
  const read: Read = fault === null ? rule.read(value.trim()) : { fault }
  if ('value' in read) return { header: { key: rule.key, value: read.value }, issues }
  issues.push({ path: `${path}/value`, message: read.fault })
  return { header: null, issues }
}

const missingOrNoText = (value: unknown): string => (value === undefined ? 'is required' : 'must be text')

const byKey = (a: ProviderHeader, b: ProviderHeader): number => (foldCase(a.key) < foldCase(b.key) ? -1 : 1)

/** Headers in their one order: equal sets of headers make equal lists. */
export const inOrder = (headers: readonly ProviderHeader[]): ProviderHeader[] => [...headers].sort(byKey)

/**
 * Reads a write's `headers` (contract section 5; facts 5): write headers of the provider only, each once,
 * in one spelling and order, so that equal sets make equal lane keys. Absent is none. With issues, the
 * headers are those that had none.
 */
export function readHeaders(headers: unknown): { headers: ProviderHeader[]; issues: Issue[] } {
  if (headers === undefined) return { headers: [], issues: [] }
  if (!Array.isArray(headers))
    return { headers: [], issues: [{ path: '/headers', message: 'must be a list of {key, value}' }] }
  if (headers.length > MAX_HEADERS)
    return {
      headers: [],
      issues: [{ path: '/headers', message: `must have at most ${MAX_HEADERS} entries` }],
    }
  const issues: Issue[] = []
  const kept = new Map<string, ProviderHeader>()
  const positions = new Map<string, number>()
  headers.forEach((entry: unknown, index) => {
    const path = pointerTo('/headers', index)
    const read = readEntry(entry, path)
    issues.push(...read.issues)
    if (read.header !== null) kept.set(read.header.key, kept.get(read.header.key) ?? read.header)
    const key = isJsonObject(entry) && typeof entry.key === 'string' ? foldCase(entry.key) : null
    const first = key === null ? undefined : positions.get(key)
    if (first !== undefined)
      issues.push({ path: `${path}/key`, message: `is given twice: also at /headers/${first}` })
    else if (key !== null) positions.set(key, index)
  })
  return { headers: inOrder([...kept.values()]), issues }
}

/** The flags of a {@link DUPLICATE_RULE} header that {@link readHeaders} gave. */
export const duplicateFlagsOf = (value: string): Map<string, boolean> =>
  new Map(
    value.split('; ').map((part) => {
      const [name = '', text] = part.split('=')
      return [name, text === 'true']
    }),
  )

/** The value of a {@link DUPLICATE_RULE} header with these flags, in its one spelling. */
export const spellDuplicateFlags = (flags: ReadonlyMap<string, boolean>): string =>
  duplicateFlags
    .flatMap(({ name }) => (flags.has(name) ? [`${name}=${String(flags.get(name))}`] : []))
    .join('; ')
