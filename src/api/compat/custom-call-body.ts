import { bodyType, readHeaders, type SentHeaders } from '../../actions/call-headers.ts'
import type { CustomCall } from '../../actions/actions.ts'
import { belowVersion, parameterFault, readEndpoint, type Endpoint } from '../../actions/endpoint.ts'
import { effectsOf } from '../../actions/write-effects.ts'
import { callMethods } from '../../contract/callers-reads.ts'
import { isWritebackError, type Issue } from '../../kernel/errors.ts'
import { expandVariables, readVariables, type Variables } from '../../ingest/rules/variables.ts'
import { parseJson } from '../json-body.ts'

type Json = Record<string, unknown>
type Method = CustomCall['method']

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isMethod = (value: unknown): value is Method => callMethods.some((one) => one === value)

/** Whether a method only reads, so that a key that may read may make the call. */
export const isReadMethod = (method: unknown): boolean => method === 'GET' || method === 'HEAD'

/** The most characters of an endpoint with its variables' values in place. */
const MAX_ENDPOINT = 16_000

/** A custom call as it is made; null when it has issues. */
export interface ReadCustomCall {
  call: CustomCall | null
  issues: Issue[]
}

/** Reads what a custom call is to do. Issues name places of the body given. */
export function readCustomCall(given: unknown): ReadCustomCall {
  const { method, endpoint, headers, body, variables: named } = isObject(given) ? given : {}
  const { variables, issues } = readVariables(named)
  const target = typeof endpoint === 'string' ? readTarget(endpoint, variables, issues) : null
  const sent = isObject(headers) ? readSent(headers, variables, issues) : []
  if (isReadMethod(method) && body !== undefined && body !== null)
    issues.push({ path: '/body', message: 'must not be given with GET or HEAD' })
  const content = readContent(body, sent, variables, issues)
  if (target === null || !isMethod(method) || issues.length > 0) return { call: null, issues }
  const query = new URLSearchParams(target.path.split('?').slice(1).join('?'))
  const effects = effectsOf({ method, segments: belowVersion(target), query, body: content.json })
  return { call: { method, endpoint: target, headers: sent, body: content.text, effects }, issues }
}

/** The endpoint, values percent-encoded: none can add a part to the path, or take one away by being empty. */
function readTarget(endpoint: string, variables: Variables | null, issues: Issue[]): Endpoint | null {
  const path = '/endpoint'
  let left = MAX_ENDPOINT
  const queryAt = endpoint.includes('?') ? endpoint.indexOf('?') : endpoint.length
  const filled = endpoint.replace(/\{\{([^{}]*)\}\}/g, (token, inner: string, at: number) => {
    const name = inner.trim()
    const variable = variables?.get(name)
    if (variables === null || name === '') return token
    const shown = JSON.stringify(name.slice(0, 100))
    if (variable === undefined) {
      issues.push({ path, message: `names the variable ${shown}, which variables does not hold` })
      return ''
    }
    const fault =
      faultOf(variable.text, at < queryAt, (left -= variable.size)) ??
      queryFault(endpoint, queryAt, token, at)
    // An apostrophe is left as it is, which the query of a URL does not hold.
    if (fault === null) return encodeURIComponent(variable.text ?? '').replaceAll("'", '%27')
    issues.push({ path, message: `has the variable ${shown}, which ${fault}` })
    return ''
  })
  if (issues.some((issue) => issue.path === path)) return null
  const read = readEndpoint(filled)
  if (typeof read !== 'string') return read
  issues.push({ path, message: read })
  return null
}

/** Why a variable's value cannot stand in an endpoint. */
function faultOf(text: string | null, isInPath: boolean, left: number): string | null {
  if (text === null) return 'is a list or an object'
  if (left < 0) return 'is too long for it'
  return text === '' && isInPath ? 'is empty' : null
}

/** A value that is put into the text of a query could change it: the query action escapes what it puts in, a URL does not. */
function queryFault(endpoint: string, queryAt: number, token: string, at: number): string | null {
  if (at < queryAt) return null
  const start = Math.max(queryAt, endpoint.lastIndexOf('&', at)) + 1
  const end = endpoint.indexOf('&', at)
  const parameter = endpoint.slice(start, end < 0 ? undefined : end)
  const isWhole = parameter.slice(parameter.indexOf('=') + 1) === token
  if (isWhole || !new URLSearchParams(parameter).has('q')) return null
  return 'is only a part of the query q, which its value could change: use the action query, or make it all of q'
}

function readSent(headers: Json, variables: Variables | null, issues: Issue[]): SentHeaders {
  const filled = expandVariables(headers, variables, '/headers')
  const read = readHeaders(filled.record, '/headers')
  issues.push(...filled.issues, ...read.issues)
  return read.headers
}

/** What is sent of a body, and the JSON that it is. */
interface Content {
  text: string | null
  json: unknown
}

const nothing: Content = { text: null, json: undefined }

function readContent(
  body: unknown,
  headers: SentHeaders,
  variables: Variables | null,
  issues: Issue[],
): Content {
  if (body === undefined || body === null) return nothing
  const type = bodyType(headers)
  const isJson = type === null || /^application\/([a-z0-9.+-]+\+)?json$/.test(type)
  if (!isJson && typeof body !== 'string') {
    issues.push({ path: '/body', message: `must be text with the Content-Type ${type}` })
    return nothing
  }
  const value = isJson && typeof body === 'string' ? readText(body, issues) : body
  const filled = expandVariables({ body: value }, variables, '')
  issues.push(...filled.issues)
  const sent = filled.record.body
  if (!isJson) {
    const text = typeof sent === 'string' ? sent : JSON.stringify(sent)
    const fault = formFault(type, text)
    if (fault !== null) issues.push({ path: '/body', message: fault })
    return { text, json: undefined }
  }
  return { text: JSON.stringify(sent), json: sent }
}

/** A form's parameters may be read as those of the URL. */
function formFault(type: string, text: string): string | null {
  if (type === 'application/x-www-form-urlencoded') return parameterFault(text)
  const isOverridden = type.startsWith('multipart/') && /_httpmethod/i.test(text)
  return isOverridden ? 'must not have the parameter _HttpMethod: give it as method' : null
}

/** The value of a body's JSON text; a text that is only a token stands for its variable. */
function readText(text: string, issues: Issue[]): unknown {
  if (/^\{\{[^{}]*\}\}$/.test(text.trim())) return text.trim()
  try {
    return parseJson(Buffer.from(text), 'The body')
  } catch (error) {
    if (!isWritebackError(error)) throw error
    const found = error.issues ?? [{ path: '', message: 'must be JSON' }]
    issues.push(...found.map(({ path, message }) => ({ path: `/body${path}`, message })))
    return null
  }
}
