import { normaliseRecordId } from '../model/salesforce-id.ts'
import { parameterFault, readSegments } from './endpoint.ts'

/**
 * What a custom call would write, as far as its request tells. Reading it errs on one side: what may write
 * and cannot be told from what does not, writes.
 */
export type WriteEffect =
  | { kind: 'write' | 'delete'; object: string }
  /** A delete by id alone, which only the org's list of objects can put a name to. */
  | { kind: 'delete'; recordId: string }
  /** Its object cannot be told; `because` ends the sentence. */
  | { kind: 'write' | 'delete'; because: string }

/** The request of a custom call, or a subrequest within one. */
export interface CallMade {
  /** In capitals. */
  method: string
  /** The decoded parts of the path below the API version; null for a path elsewhere. */
  segments: readonly string[] | null
  query: URLSearchParams
  /** The body's JSON; undefined when it has none or is of another type. */
  body: unknown
}

type Json = Record<string, unknown>
type Unclear = { kind: 'write' | 'delete'; because: string }

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])

/** A member by its exact name; nothing when there is one that differs in case, which the provider might read. */
function member(value: unknown, name: string): unknown {
  if (!isObject(value)) return undefined
  const alike = Object.keys(value).filter((key) => key.toLowerCase() === name.toLowerCase())
  return alike.length === 1 && alike[0] === name ? value[name] : undefined
}

const isName = (text: unknown): text is string =>
  typeof text === 'string' && /^[A-Za-z][A-Za-z0-9_]*$/.test(text)
/** Also where its checksum does not fit: a field has no such name. */
const looksLikeId = (text: string): boolean => /^[A-Za-z0-9]{15}([A-Za-z0-9]{3})?$/.test(text)

const unclear = (method: string, because: string): WriteEffect[] => [
  { kind: method === 'DELETE' ? 'delete' : 'write', because },
]
const unclearDelete = (because: string): Unclear => ({ kind: 'delete', because })

/** Composite calls within composite calls are not looked into. */
const MAX_DEPTH = 1

/** What a call would write; nothing for one that only reads. */
export function effectsOf(call: CallMade, depth = 0): WriteEffect[] {
  const { method, segments } = call
  const isRead = method === 'GET' || method === 'HEAD'
  if (segments === null) return isRead ? [] : unclear(method, 'a REST class of the org may write anything')
  const [first = '', second = '', third = ''] = segments.map((part) => part.toLowerCase())
  // These run code, whatever the method.
  if (first === 'tooling' && /^(executeanonymous|runtests)/.test(second))
    return [unclearDelete('it runs code of the call’s own')]
  if (isRead) return []
  // The same resources for what an org is made of.
  if (first === 'tooling' && (second === 'sobjects' || second === 'composite'))
    return effectsOf({ ...call, segments: segments.slice(1) }, depth)
  if (first === 'metadata') return [unclearDelete('a deployment may delete')]
  if (first === 'sobjects') return ofSobjects(call, segments)
  if (first === 'composite' && second === 'sobjects') return ofCollection(call, segments)
  if (first === 'composite' && second === 'tree') return ofTree(call, segments)
  if (first === 'composite' && method === 'POST') return ofComposite(call, second, depth)
  if (first === 'connect' && second === 'batch' && method === 'POST') return ofComposite(call, second, depth)
  if (first === 'jobs') return ofJob(call, second, third)
  if (first === 'graphql' && isPlainQuery(call.body)) return []
  if (first === 'graphql') return [unclearDelete('a mutation may delete')]
  if (first === 'parameterizedsearch' && method === 'POST') return []
  return unclear(method, `what /${first} writes cannot be told from the request`)
}

/** `/sobjects/X`, `/sobjects/X/ID` and `/sobjects/X/FIELD/VALUE` (facts 2); what else is below them writes elsewhere. */
function ofSobjects({ method }: CallMade, [, object, key, value, ...more]: readonly string[]): WriteEffect[] {
  const kind = method === 'DELETE' ? 'delete' : 'write'
  const isRecord = value === undefined || (key !== undefined && isName(key) && !looksLikeId(key))
  const isOther =
    more.length > 0 || (value !== undefined && /^(quickactions|describe|listviews)$/i.test(key ?? ''))
  if (!isName(object) || !isRecord || isOther)
    return unclear(method, 'the path names no object, or something below a record')
  return [{ kind, object }]
}

/** `/composite/sobjects…` (facts 3). */
function ofCollection({ method, query, body }: CallMade, segments: readonly string[]): WriteEffect[] {
  const [, , object] = segments
  if (method === 'DELETE') {
    const ids = query.getAll('ids').flatMap((list) => list.split(','))
    const named = ids.map((id) => id.trim()).filter((id) => id !== '')
    // One with another letter case than its checksum says might be read as the id of another object's record.
    if (named.length === 0 || named.some((id) => normaliseRecordId(id) === null))
      return [unclearDelete('it names no record ids')]
    return named.map((recordId) => ({ kind: 'delete', recordId }))
  }
  // Retrieving many records is a POST too, to the object itself.
  if (method === 'POST' && segments.length === 3) return []
  const records = listOf(member(body, 'records'))
  if (records.length === 0) return unclear(method, 'its body holds no records that can be read')
  const types = [...(object === undefined ? [] : [object]), ...records.map(typeOf)]
  return types.every(isName)
    ? types.map((type) => ({ kind: 'write', object: type }))
    : unclear(method, 'a record names no attributes.type')
}

const typeOf = (record: unknown): unknown => member(member(record, 'attributes'), 'type')

/** `/composite/tree/X`: records with their children, each with its type (facts 4). */
function ofTree({ method, body }: CallMade, [, , object]: readonly string[]): WriteEffect[] {
  const types = typesIn(member(body, 'records'))
  if (types === null || !isName(object)) return unclear(method, 'a record names no attributes.type')
  return [object, ...types].map((type) => ({ kind: 'write', object: type }))
}

/** The types of records and of those below them; null when one has none. */
function typesIn(records: unknown): string[] | null {
  const types: string[] = []
  const pending = [...listOf(records)]
  for (let record = pending.pop(); record !== undefined; record = pending.pop()) {
    const type = typeOf(record)
    if (!isName(type) || !isObject(record)) return null
    types.push(type)
    for (const below of Object.values(record)) {
      const isRelation = isObject(below) && Object.keys(below).some((key) => key.toLowerCase() === 'records')
      const records = isRelation ? member(below, 'records') : []
      if (!Array.isArray(records)) return null
      pending.push(...(records as unknown[]))
    }
  }
  return types.length === 0 ? null : types
}

/** `/composite`, `/composite/batch` and `/composite/graph` (facts 4): what each subrequest writes. */
function ofComposite({ body }: CallMade, resource: string, depth: number): WriteEffect[] {
  const requests =
    resource === 'graph'
      ? listOf(member(body, 'graphs')).flatMap((graph) => listOf(member(graph, 'compositeRequest') ?? [null]))
      : listOf(member(body, resource === 'batch' ? 'batchRequests' : 'compositeRequest'))
  if (requests.length === 0 || depth >= MAX_DEPTH || !['', 'batch', 'graph'].includes(resource))
    return [unclearDelete('its subrequests cannot be read')]
  return requests.flatMap((request) => ofSubrequest(request, depth))
}

const methods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'])

function ofSubrequest(request: unknown, depth: number): WriteEffect[] {
  const [given, url] = [member(request, 'method'), member(request, 'url')]
  const method = typeof given === 'string' ? given.trim().toUpperCase() : ''
  if (!methods.has(method) || typeof url !== 'string')
    return [unclearDelete('a subrequest has no method or no url')]
  const found = /^\/?(?:services\/data\/)?v\d{2,3}\.\d(\/[^?#\\]*)(?:\?([^#]*))?$/.exec(url)
  const [, path = '', query = ''] = found ?? []
  const segments = readSegments(path)
  // What a reference stands for is only known when the subrequest is made; beyond these it is a record.
  const isOpen = typeof segments !== 'string' && segments.slice(0, 2).some((part) => part.includes('@{'))
  if (found === null || typeof segments === 'string' || isOpen)
    return [unclearDelete('the url of a subrequest cannot be read')]
  if (parameterFault(query) !== null)
    return [unclearDelete('a subrequest has a parameter that stands for another method or session')]
  const body = member(request, 'body') ?? member(request, 'richInput')
  return effectsOf({ method, segments, query: new URLSearchParams(query), body }, depth + 1)
}

/** Bulk jobs: what is uploaded to one is not in the request that begins it. */
function ofJob({ method, body }: CallMade, kind: string, id: string): WriteEffect[] {
  if (kind === 'query') return method === 'POST' ? [] : unclear(method, 'it changes a job')
  const operation = member(body, 'operation')
  const mayDelete = typeof operation !== 'string' || /delete/i.test(operation)
  if (method === 'POST' && id === '' && mayDelete) return [unclearDelete('it begins a job that deletes')]
  return unclear(method, 'what a bulk job writes is not in the request')
}

/** A GraphQL text without a mutation. */
function isPlainQuery(body: unknown): boolean {
  const query = member(body, 'query')
  return typeof query === 'string' && !/mutation/i.test(query)
}
