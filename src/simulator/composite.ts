import { ApiError, notFound } from './api-error.ts'
import type { Answer } from './api-error.ts'
import { isJsonObject } from './call.ts'
import type { Call, JsonObject, RouteFinder } from './call.ts'
import type { Org } from './org.ts'
import { objectBody } from './request-body.ts'
import { parseTarget } from './request-target.ts'
import { subCallOf } from './sub-call.ts'
import { noSforceHeaders, pickSforceHeaders } from './write-headers.ts'

const maxSubrequests = 25
const maxCollections = 5
const strictReferenceVersion = 52
const inheritedHeaders = new Set(['accept', 'authorization', 'content-type'])
const referencePattern = /@\{([A-Za-z0-9][A-Za-z0-9_]*)((?:\[\d+\])?(?:\.[A-Za-z0-9_]+(?:\[\d+\])?)*)\}/g

/** One subrequest as it came in. */
interface Subrequest {
  method: string
  url: string
  referenceId: string
  body: unknown
  httpHeaders: Record<string, string>
}

interface Outcome {
  subrequest: Subrequest
  operation: string
  answer: Answer
}

/** `POST /composite` (facts 4.1). */
export function composite(org: Org, call: Call, findRoute: RouteFinder): Answer {
  checkAccess(org)
  const subrequests = readSubrequests(call)
  const allOrNone = isJsonObject(call.body) && call.body.allOrNone === true
  const mark = call.tx.mark()
  const outcomes: Outcome[] = []
  let anyFailed = false
  for (const [position, subrequest] of subrequests.entries()) {
    const route = findSubroute(subrequest, findRoute)
    if (allOrNone && anyFailed) {
      outcomes.push({ subrequest, operation: route, answer: halted(true) })
      continue
    }
    const answer = runOne(org, call, subrequest, position, outcomes, findRoute, allOrNone)
    anyFailed ||= hasFailed(answer)
    outcomes.push({ subrequest, operation: route, answer })
  }
  if (allOrNone && anyFailed) {
    call.tx.rollback(mark)
    showRollback(outcomes)
  }
  return { status: 200, body: { compositeResponse: outcomes.map(describeOutcome) } }
}

/** @throws {ApiError} 403 or 404 when the org does not let its caller use `/composite` */
function checkAccess(org: Org): void {
  const { compositeAccess } = org.settings
  if (compositeAccess === 'absent') throw notFound()
  if (compositeAccess === 'forbidden') {
    throw new ApiError(403, 'INSUFFICIENT_ACCESS', 'You do not have access to the composite resource')
  }
}

/** The subrequests of a composite call as calls of their own; references are not filled in. For logging and faults. */
export function subCalls(org: Org, call: Call, findRoute: RouteFinder): Call[] {
  const list = isJsonObject(call.body) ? call.body.compositeRequest : undefined
  if (!Array.isArray(list)) return []
  return list
    .map((entry: unknown, i) => ({ entry, i }))
    .filter(
      ({ entry }) => isJsonObject(entry) && typeof entry.url === 'string' && typeof entry.method === 'string',
    )
    .map(({ entry, i }) => subCall(org, call, toSubrequest(entry as JsonObject), i, findRoute))
}

function readSubrequests(call: Call): Subrequest[] {
  const list = objectBody(call).compositeRequest
  if (!Array.isArray(list) || list.length === 0)
    throw invalid('compositeRequest must hold at least one subrequest')
  if (list.length > maxSubrequests)
    throw invalid(`a composite request may hold at most ${maxSubrequests} subrequests`)
  const seen = new Set<string>()
  const subrequests = list.map((entry: unknown): Subrequest => {
    if (!isJsonObject(entry) || typeof entry.method !== 'string' || typeof entry.url !== 'string') {
      throw invalid('every subrequest needs a method and a url')
    }
    const { referenceId } = entry
    if (typeof referenceId !== 'string' || referenceId === '')
      throw invalid('every subrequest needs a referenceId')
    if (call.version >= strictReferenceVersion && !/^[A-Za-z0-9][A-Za-z0-9_]*$/.test(referenceId)) {
      throw invalid(`referenceId ${referenceId} has characters that are not allowed`)
    }
    if (seen.has(referenceId)) throw invalid(`referenceId ${referenceId} is not unique`)
    seen.add(referenceId)
    const subrequest = toSubrequest(entry)
    const forbidden = Object.keys(subrequest.httpHeaders).find((name) =>
      inheritedHeaders.has(name.toLowerCase()),
    )
    if (forbidden) throw invalid(`header ${forbidden} cannot be set on a subrequest`)
    return subrequest
  })
  const collections = subrequests.filter(({ url }) =>
    /^\/services\/data\/v\d+\.0\/(composite\/sobjects|query)/.test(url),
  )
  if (collections.length > maxCollections) {
    throw invalid(`a composite request may hold at most ${maxCollections} collections and query subrequests`)
  }
  return subrequests
}

const toSubrequest = (entry: JsonObject): Subrequest => ({
  method: String(entry.method).toUpperCase(),
  url: String(entry.url),
  referenceId: String(entry.referenceId),
  body: entry.body,
  httpHeaders: isJsonObject(entry.httpHeaders) ? (entry.httpHeaders as Record<string, string>) : {},
})

function subCall(
  org: Org,
  call: Call,
  { method, url, body, httpHeaders }: Subrequest,
  position: number,
  findRoute: RouteFinder,
): Call {
  const headers = new Map(Object.entries(httpHeaders).map(([name, value]) => [name.toLowerCase(), value]))
  const inherited = org.settings.compositeHeadersCascade ? call.sforceHeaders : noSforceHeaders
  const sforceHeaders = pickSforceHeaders({ ...inherited, ...Object.fromEntries(headers) })
  const place = ['compositeRequest', position, 'body']
  return subCallOf(call, { method, path: url, body, place, headers, sforceHeaders }, findRoute)
}

function findSubroute(subrequest: Subrequest, findRoute: RouteFinder): string {
  const { segments, version } = parseTarget(subrequest.url)
  return findRoute(subrequest.method, segments, version).operation
}

function runOne(
  org: Org,
  call: Call,
  subrequest: Subrequest,
  position: number,
  earlier: Outcome[],
  findRoute: RouteFinder,
  allOrNone: boolean,
): Answer {
  const mark = call.tx.mark()
  try {
    const filled = fillReferences(subrequest, earlier)
    if (filled === 'halted') return halted(false)
    const sub = subCall(org, call, filled, position, findRoute)
    if (sub.version === 0) throw invalid('the url of a subrequest must begin with /services/data/vXX.X/')
    if (!/^(single|collections|describe|query)/.test(sub.route.operation) && sub.route.operation !== 'none') {
      throw new ApiError(400, 'INVALID_REQUEST', `${sub.path} is not allowed in a composite request`)
    }
    sub.forcedAllOrNone = allOrNone
    return sub.route.handle(org, sub)
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    call.tx.rollback(mark)
    return error.toAnswer()
  }
}

/** Fills `@{reference.field}` in url and body; `halted` when a subrequest referred to had failed. */
function fillReferences(subrequest: Subrequest, earlier: Outcome[]): Subrequest | 'halted' {
  const body = JSON.stringify(subrequest.body ?? null)
  const names = [...`${subrequest.url} ${body}`.matchAll(referencePattern)].map((match) => match[1])
  if (names.length === 0) return subrequest
  const byName = new Map(earlier.map((outcome) => [outcome.subrequest.referenceId, outcome.answer]))
  for (const name of names) {
    const answer = byName.get(name ?? '')
    if (!answer)
      throw new ApiError(400, 'INVALID_REFERENCE', `no earlier subrequest has the referenceId ${name ?? ''}`)
    if (answer.status >= 300) return 'halted'
  }
  const fill = (text: string): string =>
    text.replace(referencePattern, (_, name: string, path: string) => resolve(byName.get(name)?.body, path))
  return {
    ...subrequest,
    url: fill(subrequest.url),
    body: subrequest.body === undefined ? undefined : JSON.parse(fill(body)),
  }
}

function resolve(body: unknown, path: string): string {
  let value = body
  for (const step of path.match(/[A-Za-z0-9_]+/g) ?? []) {
    value = (value as Record<string, unknown> | null | undefined)?.[step]
  }
  if (typeof value !== 'string' && typeof value !== 'number') {
    throw new ApiError(400, 'INVALID_REFERENCE', `the reference ${path} leads to no value`)
  }
  return String(value)
}

/** Under the outer allOrNone a collections call has failed when any of its items has. */
function hasFailed(answer: Answer): boolean {
  if (answer.status >= 300) return true
  return (
    Array.isArray(answer.body) && answer.body.some((item) => isJsonObject(item) && item.success === false)
  )
}

/**
 * After a rollback the others show that they were halted, except for collections that had succeeded:
 * those still show 200 and `success: true`, although nothing of them is left (facts 4.1).
 */
function showRollback(outcomes: Outcome[]): void {
  for (const outcome of outcomes) {
    if (hasFailed(outcome.answer) || outcome.operation.startsWith('collections.')) continue
    outcome.answer = halted(true)
  }
}

const halted = (rolledBack: boolean): Answer => ({
  status: 400,
  body: [
    {
      errorCode: 'PROCESSING_HALTED',
      message: rolledBack
        ? 'The transaction was rolled back since another operation in the same transaction failed.'
        : 'The operation was halted because a subrequest that it refers to failed.',
    },
  ],
})

const describeOutcome = ({ subrequest, answer }: Outcome): JsonObject => ({
  body: answer.body ?? null,
  httpHeaders: answer.headers ?? {},
  httpStatusCode: answer.status,
  referenceId: subrequest.referenceId,
})

const invalid = (message: string): ApiError => new ApiError(400, 'INVALID_BATCH_REQUEST', message)
