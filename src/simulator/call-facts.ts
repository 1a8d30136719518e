import { ApiError } from './api-error.ts'
import { isJsonObject } from './call.ts'
import type { Call, RouteFinder } from './call.ts'
import { batchCalls } from './composite-batch.ts'
import { subCalls } from './composite.ts'
import { normaliseId } from './ids.ts'
import type { Org } from './org.ts'
import type { CallSummary } from './request-log.ts'
import { parseSoql } from './soql.ts'
import { idOf } from './write-record.ts'

/** What a call is about, read from the request alone: for the log and for matching faults. */
export interface CallFacts {
  call: Call
  operations: string[]
  objects: string[]
  records: unknown[]
  /** Ids (18 characters) or external-id values that name the records. */
  keys: string[]
  allOrNone?: boolean
  /** Of a composite call: its subrequests, in order. */
  parts?: CallFacts[]
}

/** Reads the facts; a malformed request has few of them. */
export function factsOf(org: Org, call: Call, findRoute: RouteFinder): CallFacts {
  const { operation, object } = call.route
  if (operation === 'composite') return partsFacts(org, call, subCalls(org, call, findRoute), findRoute)
  if (operation === 'compositeBatch') return partsFacts(org, call, batchCalls(call, findRoute), findRoute)
  const facts: CallFacts = {
    call,
    operations: [operation],
    objects: object ? [nameOf(org, object)] : [],
    records: [],
    keys: [],
  }
  if (operation.startsWith('collections.')) addCollection(org, call, facts)
  else if (operation.startsWith('single.')) addSingle(call, facts)
  else if (operation === 'query') addQuery(org, call, facts)
  else if (operation === 'engagement.create') addInteraction(call, facts)
  return facts
}

/** What the request log keeps of a call or subrequest. */
export const summaryOf = ({ call, objects, records, keys, allOrNone }: CallFacts): CallSummary => ({
  operation: call.route.operation,
  objects,
  recordCount: records.length,
  keys,
  headers: call.sforceHeaders,
  ...(allOrNone === undefined ? {} : { allOrNone }),
})

function partsFacts(org: Org, call: Call, subs: Call[], findRoute: RouteFinder): CallFacts {
  const parts = subs.map((sub) => factsOf(org, sub, findRoute))
  return {
    call,
    parts,
    operations: [call.route.operation, ...new Set(parts.flatMap((part) => part.operations))],
    objects: [...new Set(parts.flatMap((part) => part.objects))],
    records: parts.flatMap((part) => part.records),
    keys: parts.flatMap((part) => part.keys),
    ...(isJsonObject(call.body) ? { allOrNone: call.body.allOrNone === true } : {}),
  }
}

function addCollection(org: Org, call: Call, facts: CallFacts): void {
  const { operation } = call.route
  if (operation === 'collections.delete' || operation === 'collections.retrieve') {
    const listed = isJsonObject(call.body) ? call.body.ids : call.query.get('ids')?.split(',')
    const ids = Array.isArray(listed) ? listed.map(String) : []
    facts.records = ids.map((id) => ({ Id: id }))
    facts.keys = ids.map((id) => normaliseId(id) ?? id)
    if (operation === 'collections.retrieve') return
    facts.objects = [...new Set(ids.map((id) => org.tableOfId(id)?.object.name ?? ''))]
    facts.allOrNone = call.query.get('allOrNone') === 'true'
    return
  }
  if (!isJsonObject(call.body) || !Array.isArray(call.body.records)) return
  facts.records = call.body.records
  facts.allOrNone = call.body.allOrNone === true
  const objects = new Set(facts.objects)
  const keyField = call.segments[3]
  for (const record of facts.records) {
    if (!isJsonObject(record)) continue
    if (isJsonObject(record.attributes)) objects.add(nameOf(org, String(record.attributes.type)))
    const key = keyField === undefined ? idOf(record) : record[keyField]
    // Only ids have a longer form; an external-id value may look like one by chance.
    if (typeof key === 'string') facts.keys.push(keyField === undefined ? (normaliseId(key) ?? key) : key)
    else if (typeof key === 'number') facts.keys.push(String(key))
  }
  facts.objects = [...objects]
}

function addSingle(call: Call, facts: CallFacts): void {
  const [, , key, value] = call.segments
  const body = isJsonObject(call.body) ? call.body : {}
  if (value !== undefined && key !== undefined) {
    facts.records = [{ ...body, [key]: value }]
    facts.keys = [value]
  } else if (key !== undefined && call.method !== 'POST') {
    const id = normaliseId(key) ?? key
    facts.records = [{ ...body, Id: id }]
    facts.keys = [id]
  } else if (call.method === 'POST') facts.records = [body]
}

function addInteraction({ body }: Call, facts: CallFacts): void {
  const interaction = isJsonObject(body) ? body.engagementInteraction : undefined
  if (!isJsonObject(interaction)) return
  facts.records = [interaction]
  const { externalIdentifierId: key } = interaction
  if (typeof key === 'string') facts.keys = [key]
}

/** A next page, and a query that cannot be read, tell nothing. */
function addQuery(org: Org, call: Call, facts: CallFacts): void {
  try {
    const { object, keys } = parseSoql(call.query.get('q') ?? '')
    facts.objects = [nameOf(org, object)]
    facts.keys = keys.map(({ value }) => value)
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
  }
}

const nameOf = (org: Org, object: string): string => org.table(object)?.object.name ?? object

/** Ids of an answer, by position; null where an item has none. */
export function idsOf(body: unknown): (string | null)[] {
  if (Array.isArray(body))
    return body.map((item) => (isJsonObject(item) && typeof item.id === 'string' ? item.id : null))
  if (!isJsonObject(body)) return []
  if (Array.isArray(body.compositeResponse)) {
    return body.compositeResponse.flatMap((part) => (isJsonObject(part) ? idsOf(part.body) : []))
  }
  if (Array.isArray(body.results)) {
    return body.results.flatMap((one) => (isJsonObject(one) ? idsOf(one.result) : []))
  }
  const { engagementInteraction: interaction } = body
  if (isJsonObject(interaction)) return [typeof interaction.id === 'string' ? interaction.id : null]
  return typeof body.id === 'string' && 'success' in body ? [body.id] : []
}
