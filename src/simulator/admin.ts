import type { Answer } from './api-error.ts'
import type { AssignmentRuleInput } from './assignment-rules.ts'
import type { DuplicateRuleInput } from './duplicate-rules.ts'
import { readFault } from './faults.ts'
import type { Org } from './org.ts'
import type { RequestTarget } from './request-target.ts'
import type { ObjectInput } from './schema.ts'
import { findField } from './schema.ts'
import { readSettings } from './settings.ts'

type Body = Record<string, unknown>

/** `/__admin/…`: looking into the org and changing how it behaves. Needs no session and counts as no call. */
export function adminRequest(org: Org, method: string, target: RequestTarget, text: string): Answer {
  try {
    const body = text.trim() === '' ? {} : (JSON.parse(text) as unknown)
    const [, , resource = '', name = ''] = target.path.split('/')
    switch (`${method} ${resource}`) {
      case 'GET state':
        return ok(stateOf(org))
      case 'GET records':
        return recordsOf(org, decodeURIComponent(name), target.query)
      case 'GET requests':
        return ok(requestsOf(org, target.query))
      case 'POST reset':
        org.reset()
        return ok(stateOf(org))
      case 'GET faults':
        return ok({ faults: org.faults.list() })
      case 'POST faults':
        return ok({ ids: addFaults(org, body) })
      case 'DELETE faults':
        return removeFaults(org, decodeURIComponent(name))
      case 'GET settings':
        return ok(org.settings)
      case 'POST settings':
        return changeSettings(org, body as Body)
      case 'GET rules':
        return ok(rulesOf(org))
      case 'POST rules':
        return defineRule(org, name, body as Body)
      case 'POST objects':
        return defineObject(org, body as Body)
      case 'POST sessions':
        org.sessions.expireAll()
        return ok(stateOf(org))
      default:
        return problem(404, `no admin call ${method} ${target.path}`)
    }
  } catch (error) {
    return problem(400, error instanceof Error ? error.message : String(error))
  }
}

const ok = (body: unknown): Answer => ({ status: 200, body })

const problem = (status: number, error: string): Answer => ({ status, body: { error } })

/** Everything countable about the org. */
function stateOf(org: Org): Body {
  return {
    orgId: org.id,
    records: org.counts(),
    apiUsage: { used: org.apiUsed, limit: org.settings.dailyApiLimit },
    requests: org.requests.totals,
    sessions: {
      live: org.sessions.liveSessions(org.now()),
      minted: org.sessions.minted,
      grants: org.sessions.liveGrants(),
      oldRefreshTokenPresented: org.sessions.oldRefreshTokensPresented > 0,
      oldRefreshTokensPresented: org.sessions.oldRefreshTokensPresented,
    },
    faults: org.faults.list().length,
    settings: org.settings,
  }
}

/** Records by `externalId` (of the field `field`, by default External_Id__c), or a page of all. */
function recordsOf(org: Org, name: string, query: URLSearchParams): Answer {
  const table = org.table(name)
  if (!table) return problem(404, `no object ${name}`)
  const object = table.object.name
  const externalId = query.get('externalId')
  if (externalId !== null) {
    const field = findField(table.object, query.get('field') ?? 'External_Id__c')
    if (!field) return problem(400, `no field ${query.get('field') ?? ''}`)
    return ok({ totalSize: table.live.size, records: org.find(object, field.name, externalId) })
  }
  const records = org.records(object, numberOf(query, 'offset', 0), numberOf(query, 'limit', 100))
  return ok({ totalSize: table.live.size, records })
}

/** The log, narrowed by `operation`, `object` and `afterSeq`, the last `limit` entries. */
function requestsOf(org: Org, query: URLSearchParams): Body {
  const operation = query.get('operation')
  const object = query.get('object')
  const afterSeq = numberOf(query, 'afterSeq', 0)
  const entries = org.requests.list(
    (entry) =>
      entry.seq > afterSeq &&
      (operation === null || entry.operation === operation) &&
      (object === null || entry.objects.includes(object)),
  )
  return { totals: org.requests.totals, requests: entries.slice(-numberOf(query, 'limit', 1000)) }
}

function numberOf(query: URLSearchParams, name: string, fallback: number): number {
  const value = Number(query.get(name) ?? fallback)
  if (!Number.isInteger(value) || value < 0) throw new TypeError(`${name} must be a whole number`)
  return value
}

/** Adds one fault or a list of them; none when one of them is wrong. */
function addFaults(org: Org, body: unknown): string[] {
  const faults = (Array.isArray(body) ? body : [body]).map(readFault)
  return faults.map((fault) => org.faults.add(fault))
}

function removeFaults(org: Org, id: string): Answer {
  if (id === '') {
    org.faults.clear()
    return ok({ faults: [] })
  }
  return org.faults.remove(id) ? ok({ faults: org.faults.list() }) : problem(404, `no fault ${id}`)
}

/** Changes settings; `apiUsed` sets the calls already counted. */
function changeSettings(org: Org, body: Body): Answer {
  const { apiUsed, ...rest } = body
  const settings = readSettings(rest)
  if (apiUsed !== undefined && typeof apiUsed !== 'number') return problem(400, 'apiUsed must be a number')
  org.settings = { ...org.settings, ...settings }
  if (apiUsed !== undefined) org.apiUsed = apiUsed
  return ok({ ...org.settings, apiUsed: org.apiUsed })
}

/** The rules of all objects. */
function rulesOf(org: Org): Body {
  const tables = org.objects.flatMap((object) => org.table(object.name) ?? [])
  return {
    assignment: tables.flatMap((table) => table.assignmentRules),
    duplicate: tables.flatMap((table) =>
      table.duplicateRules.map(({ name, fields, action, message }) => ({
        object: table.object.name,
        name,
        fields: fields.map((field) => field.name),
        action,
        message,
      })),
    ),
  }
}

/** Defines a rule of a kind: `assignment` or `duplicate`. */
function defineRule(org: Org, kind: string, body: Body): Answer {
  if (kind === 'assignment') org.defineAssignmentRule(body as unknown as AssignmentRuleInput)
  else if (kind === 'duplicate') org.defineDuplicateRule(body as unknown as DuplicateRuleInput)
  else return problem(404, `no kind of rule ${kind}`)
  return ok(rulesOf(org))
}

function defineObject(org: Org, body: Body): Answer {
  if (typeof body.name !== 'string' || !Array.isArray(body.fields)) {
    return problem(400, 'an object needs name and fields')
  }
  const { name, keyPrefix } = org.defineObject(body as unknown as ObjectInput)
  return ok({ name, keyPrefix })
}
