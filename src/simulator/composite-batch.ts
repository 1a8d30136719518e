import { ApiError } from './api-error.ts'
import type { Answer } from './api-error.ts'
import { isJsonObject } from './call.ts'
import type { Call, JsonObject, RouteFinder } from './call.ts'
import type { Org } from './org.ts'
import { objectBody } from './request-body.ts'
import { subCallOf } from './sub-call.ts'

/** First version of the resource, and the oldest of a subrequest (facts 4.2). */
export const compositeBatchVersion = 34
const maxSubrequests = 25

/** Resources that a subrequest may name, with the first versions of those that came later. */
const allowed = new Map(
  [
    ['limits'],
    ['sobjects'],
    ['query'],
    ['queryAll'],
    ['search'],
    ['connect'],
    ['chatter'],
    ['actions', 35],
  ].map(([name, since = compositeBatchVersion]) => [String(name), Number(since)]),
)

interface Subrequest {
  method: string
  /** Relative to `/services/data/`. */
  url: string
  richInput: unknown
}

/** `POST /composite/batch` (facts 4.2): each subrequest commits by itself, in order. */
export function compositeBatch(org: Org, call: Call, findRoute: RouteFinder): Answer {
  const subrequests = readSubrequests(call)
  const haltOnError = isJsonObject(call.body) && call.body.haltOnError === true
  const results: JsonObject[] = []
  let hasErrors = false
  for (const [position, subrequest] of subrequests.entries()) {
    const isHalted: boolean = haltOnError && hasErrors
    const answer: Answer = isHalted ? halted : runOne(org, call, subrequest, position, findRoute)
    hasErrors ||= answer.status >= 400
    results.push({ statusCode: answer.status, result: answer.body ?? null })
  }
  return { status: 200, body: { hasErrors, results } }
}

/** Calls that a batch counts as: one for each of its subrequests. */
export function callsOfBatch(call: Call): number {
  const list = isJsonObject(call.body) ? call.body.batchRequests : undefined
  return Array.isArray(list) && list.length <= maxSubrequests ? Math.max(1, list.length) : 1
}

/** The subrequests of a batch as calls of their own, as far as they can be read. For logging and faults. */
export function batchCalls(call: Call, findRoute: RouteFinder): Call[] {
  const list = isJsonObject(call.body) ? call.body.batchRequests : undefined
  if (!Array.isArray(list)) return []
  return list.flatMap((entry: unknown, position) =>
    isJsonObject(entry) && typeof entry.url === 'string' && typeof entry.method === 'string'
      ? [subCall(call, toSubrequest(entry), position, findRoute)]
      : [],
  )
}

const toSubrequest = (entry: JsonObject): Subrequest => ({
  method: String(entry.method).toUpperCase(),
  url: String(entry.url),
  richInput: entry.richInput,
})

function readSubrequests(call: Call): Subrequest[] {
  const list = objectBody(call).batchRequests
  if (!Array.isArray(list) || list.length === 0)
    throw invalid('batchRequests must hold at least one subrequest')
  if (list.length > maxSubrequests)
    throw invalid(`a batch request may hold at most ${maxSubrequests} subrequests`)
  return list.map((entry: unknown): Subrequest => {
    if (!isJsonObject(entry) || typeof entry.method !== 'string' || typeof entry.url !== 'string')
      throw invalid('every subrequest needs a method and a url')
    const unknown = Object.keys(entry).find((name) => !['method', 'url', 'richInput'].includes(name))
    if (unknown !== undefined) throw invalid(`Unrecognized field "${unknown}" in a subrequest`)
    const version = Number(/^v(\d{1,3})\.0\//.exec(entry.url)?.[1] ?? 0)
    if (version === 0) throw invalid('the url of a subrequest must begin with vXX.X/')
    if (version < compositeBatchVersion || version > call.version)
      throw invalid(
        `a subrequest's version must be at least ${compositeBatchVersion}.0 and at most its batch's`,
      )
    return toSubrequest(entry)
  })
}

const subCall = (
  call: Call,
  { method, url, richInput }: Subrequest,
  position: number,
  findRoute: RouteFinder,
): Call =>
  subCallOf(
    call,
    {
      method,
      path: `/services/data/${url}`,
      body: richInput,
      place: ['batchRequests', position, 'richInput'],
    },
    findRoute,
  )

function runOne(
  org: Org,
  call: Call,
  subrequest: Subrequest,
  position: number,
  findRoute: RouteFinder,
): Answer {
  const mark = call.tx.mark()
  const sub = subCall(call, subrequest, position, findRoute)
  try {
    const since = allowed.get(sub.segments[0] ?? '')
    if (since === undefined || sub.version < since)
      throw new ApiError(400, 'INVALID_REQUEST', `${sub.path} is not allowed in a batch request`)
    return sub.route.handle(org, sub)
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    call.tx.rollback(mark)
    return error.toAnswer()
  }
}

const halted: Answer = {
  status: 412,
  body: [
    {
      errorCode: 'BATCH_PROCESSING_HALTED',
      message: 'Batch processing halted per request after an earlier operation of the batch failed.',
    },
  ],
}

const invalid = (message: string): ApiError => new ApiError(400, 'INVALID_BATCH_REQUEST', message)
