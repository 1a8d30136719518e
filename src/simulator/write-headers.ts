import { ApiError } from './api-error.ts'
import type { Call } from './call.ts'
import { normaliseId } from './ids.ts'

/** The Sforce-* and x-sfdc-* headers of a request or composite subrequest, by lower-case name. */
export type SforceHeaders = Readonly<Record<string, string>>

/** Of a request without any; one and the same object, so that the common case is told at a glance. */
export const noSforceHeaders: SforceHeaders = Object.freeze({})

/** Picks the Sforce-* and x-sfdc-* ones out of all headers. */
export function pickSforceHeaders(headers: Readonly<Record<string, unknown>>): SforceHeaders {
  let picked: Record<string, string> | undefined
  for (const name of Object.keys(headers)) {
    const lower = name.toLowerCase()
    if (!lower.startsWith('sforce-') && !lower.startsWith('x-sfdc-')) continue
    picked ??= {}
    picked[lower] = String(headers[name])
  }
  return picked ?? noSforceHeaders
}

/** What a caller asked for by headers (facts 5). */
export interface WriteHeaders {
  /** Whether the active assignment rule runs; an id (18 characters): that rule, on created records. */
  autoAssign: boolean | string
  /** `runAsCurrentUser` changes nothing here: everyone sees everything. */
  duplicateRule: { allowSave: boolean; includeRecordDetails: boolean; runAsCurrentUser: boolean }
  /** Only read: the simulator keeps no list of records used last. */
  updateMru: boolean
  /** Only read: it names the caller in the org's own logs. */
  callOptions: { client?: string; defaultNamespace?: string }
}

/** What holds without any header. */
export const defaultWriteHeaders: WriteHeaders = {
  autoAssign: true,
  duplicateRule: { allowSave: false, includeRecordDetails: false, runAsCurrentUser: false },
  updateMru: true,
  callOptions: {},
}

/** First versions that know the header; earlier ones ignore it (facts 5). */
const duplicateRuleVersion = 52
const mruVersion = 60

/**
 * Reads the write headers of a call. What the platform says to a malformed one is not documented; the
 * simulator refuses it, so that it does not pass unnoticed.
 *
 * @throws {ApiError} 400 `INVALID_HEADER`
 */
export function readWriteHeaders(call: Call): WriteHeaders {
  const { sforceHeaders, version } = call
  if (sforceHeaders === noSforceHeaders) return defaultWriteHeaders
  const textOf = (name: string, since = 0): string | undefined =>
    version >= since ? sforceHeaders[name] : undefined
  return {
    autoAssign: readAutoAssign(textOf('sforce-auto-assign')),
    duplicateRule: readDuplicateRule(textOf('sforce-duplicate-rule-header', duplicateRuleVersion)),
    updateMru: readMru(textOf('sforce-mru', mruVersion)),
    callOptions: readCallOptions(textOf('sforce-call-options')),
  }
}

function readAutoAssign(text: string | undefined): boolean | string {
  if (text === undefined || /^true$/i.test(text)) return true
  if (/^false$/i.test(text)) return false
  const id = normaliseId(text)
  if (id === undefined) throw invalidHeader('Sforce-Auto-Assign', text)
  return id
}

function readDuplicateRule(text: string | undefined): WriteHeaders['duplicateRule'] {
  const header = 'Sforce-Duplicate-Rule-Header'
  const names = ['allowSave', 'includeRecordDetails', 'runAsCurrentUser'] as const
  const options = readOptions(header, text, ';', names)
  const flag = (name: (typeof names)[number]): boolean => readFlag(header, options[name] ?? 'false')
  return {
    allowSave: flag('allowSave'),
    includeRecordDetails: flag('includeRecordDetails'),
    runAsCurrentUser: flag('runAsCurrentUser'),
  }
}

function readMru(text: string | undefined): boolean {
  const { updateMru } = readOptions('Sforce-Mru', text, ';', ['updateMru'])
  return readFlag('Sforce-Mru', updateMru ?? 'true')
}

const readCallOptions = (text: string | undefined): WriteHeaders['callOptions'] =>
  readOptions('Sforce-Call-Options', text, ',', ['client', 'defaultNamespace'])

/** Reads `name=value` pairs, whose names may be in any case. */
function readOptions<Name extends string>(
  header: string,
  text: string | undefined,
  separator: string,
  known: readonly Name[],
): Partial<Record<Name, string>> {
  const options: Partial<Record<Name, string>> = {}
  for (const part of text?.split(separator) ?? []) {
    if (part.trim() === '') continue
    const [key = '', value, ...rest] = part.split('=')
    const name = known.find((other) => other.toLowerCase() === key.trim().toLowerCase())
    if (name === undefined || value === undefined || rest.length > 0) throw invalidHeader(header, part)
    options[name] = value.trim()
  }
  return options
}

function readFlag(header: string, text: string): boolean {
  if (/^true$/i.test(text)) return true
  if (/^false$/i.test(text)) return false
  throw invalidHeader(header, text)
}

const invalidHeader = (name: string, text: string): ApiError =>
  new ApiError(400, 'INVALID_HEADER', `${name} has an invalid value: ${text.trim()}`)
