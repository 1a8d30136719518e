import fc from 'fast-check'
import { Pool } from 'undici'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startApp, type App } from '../../src/app.ts'
import { appOptions, concurrently, startService, type Service } from '../support/service.ts'
import {
  createAnswerCheck,
  readDocument,
  routesOf,
  type AnswerCheck,
  type Route,
} from './openapi-document.ts'
import { preparePools } from './pools.ts'
import { describeRequest, mildRequestsTo, requestsTo, type Pools, type Request } from './requests.ts'

/** Bodies in all; `WRITEBACK_FUZZ_RUNS` asks for more, `WRITEBACK_FUZZ_SEED` repeats a run. */
const RUNS = Number(process.env['WRITEBACK_FUZZ_RUNS'] ?? 10_000)
const SEED = Number(process.env['WRITEBACK_FUZZ_SEED'] ?? Math.trunc(Math.random() * 2 ** 31))
/** Requests in flight. */
const WIDTH = 40
const PER_BATCH = 50
/**
 * Mild requests to each call while what was set up is as it was, since the others may break it for good: so many
 * at once, until one has come through.
 */
const PER_ROUTE = 20
const MAX_PER_ROUTE = 400
/** How long an answer may take: the calls that are sent wait for nothing longer than the org. */
const ANSWER_MS = 60_000
/** Refused requests that are sent once more. */
const MAX_REPEATED = 2_000

let service: Service
let pool: Pool
/** The process without a worker, once it is up. */
let quietApp: App | null = null
let routes: Route[]
let pools: Pools
let check: AnswerCheck
/** Routes of which a call came through all checks. */
const reached = new Set<Route | null>()
const refused: Request[] = []

beforeAll(async () => {
  service = await startService({ databasePool: 10 })
  pool = new Pool(service.app.url, { connections: WIDTH, headersTimeout: ANSWER_MS, bodyTimeout: ANSWER_MS })
  const document = await readDocument(service.app.url)
  routes = routesOf(document)
  check = createAnswerCheck(document)
  pools = await preparePools(service)
})
afterAll(async () => {
  await pool.destroy()
  await quietApp?.stop(5_000)
  await service.stop()
})

interface Answer {
  status: number
  headers: Record<string, string | string[] | undefined>
  text: string
}

async function send(to: Pool, { method, path, headers, body }: Request): Promise<Answer> {
  const answer = await to.request({ method: method, path, headers, body })
  return { status: answer.statusCode, headers: answer.headers, text: await answer.body.text() }
}

/** What is wrong with an answer, or null. */
function faultOf(request: Request, { status, headers, text }: Answer): string | null {
  const type = /^[^;]*/.exec(String(headers['content-type']))?.[0] ?? ''
  if (request.route === null && status < 400) return null
  if (status >= 500) return `a ${status}`
  if (request.route?.path === '/metrics' && status === 200) return null
  if (status === 204) return text === '' && request.route?.operation.responses['204'] ? null : 'an odd 204'
  // A call may answer what is refused in a shape of its own, where the document says so.
  const ownShape = request.route?.operation.responses[String(status)]?.content?.['application/json']
  if (
    status >= 400 &&
    type !== 'application/problem+json' &&
    !(ownShape !== undefined && type === 'application/json')
  )
    return `a ${status} as ${type}`
  if (type === 'application/x-ndjson') {
    const lines = text.split('\n').slice(0, -1)
    return lines.map((line) => check(request.route, status, type, JSON.parse(line))).find(Boolean) ?? null
  }
  const body = JSON.parse(text) as { requestId?: string; status?: number }
  if (type === 'application/problem+json') {
    if (body.requestId === undefined || body.requestId !== headers['x-request-id']) return 'another requestId'
    if (body.status !== status) return 'another status'
  }
  const fault = check(request.route, status, type, body)
  return fault === null ? null : `an answer that is not what the document says: ${fault}`
}

/** Statuses of calls that were refused for what they are, whatever else happens. */
const lasting = new Set([400, 401, 403, 404, 405, 413, 415])

async function sendBatch(requests: Request[]): Promise<void> {
  const faults: string[] = []
  await concurrently(requests, WIDTH, async (request) => {
    const answer = await send(pool, request).catch((error: unknown) => String(error))
    const fault = typeof answer === 'string' ? answer : faultOf(request, answer)
    if (fault !== null) faults.push(`${fault}: ${describeRequest(request)} ${JSON.stringify(answer)}`)
    if (typeof answer === 'string') return
    if (answer.status === 409 || answer.status < 300) reached.add(request.route)
    if (lasting.has(answer.status) && refused.length < MAX_REPEATED) refused.push(request)
  })
  if (faults.length > 0) throw new Error(faults[0])
}

const isRefusal = ({ status, headers }: Answer): boolean =>
  lasting.has(status) ||
  (status >= 400 && status < 500 && String(headers['content-type']).startsWith('application/problem+json'))

/** Every table of ours, with the number and a checksum of its rows. */
async function checksums(): Promise<Record<string, string>> {
  const { sql } = service.database
  const tables = await sql<{ name: string }[]>`
    select tablename as name from pg_tables where schemaname = 'public' order by 1`
  const sums: Record<string, string> = {}
  for (const { name } of tables) {
    const [row] = await sql<{ sum: string }[]>`
      select count(*) || ' ' || coalesce(md5(string_agg(md5(t::text), '' order by md5(t::text))), '') as sum
      from ${sql(name)} t`
    sums[name] = row!.sum
  }
  return sums
}

it(
  'whatever is sent, the answer is one that the document knows, and what is refused leaves no trace',
  { timeout: 60_000 + RUNS * 60 },
  async () => {
    for (const route of routes.filter(({ method }) => method === 'GET' || method === 'POST'))
      for (let sent = 0; sent === 0 || (!reached.has(route) && sent < MAX_PER_ROUTE); sent += PER_ROUTE)
        await sendBatch(fc.sample(mildRequestsTo(route, pools), { numRuns: PER_ROUTE, seed: SEED + sent }))
    const requests = requestsTo(routes, pools)
    const batches = fc.array(requests, { minLength: PER_BATCH, maxLength: PER_BATCH })
    // Without shrinking: each smaller batch would meet another state than the one that failed.
    const run = await fc.check(fc.asyncProperty(batches, sendBatch), {
      numRuns: Math.ceil(RUNS / PER_BATCH),
      endOnFailure: true,
      seed: SEED,
    })
    const repeat = `WRITEBACK_FUZZ_SEED=${SEED} WRITEBACK_FUZZ_RUNS=${RUNS} repeats it`
    expect(run.failed ? String(run.errorInstance) : '', repeat).toBe('')
    const untouched = routes
      .filter((route) => !reached.has(route))
      .map(({ method, path }) => `${method} ${path}`)
    if (RUNS >= 5_000) expect(untouched, repeat).toEqual([])
    // Now without a worker, so that nothing but the requests could change a row.
    const { app, database } = service
    await app.stop(5_000)
    quietApp = await startApp(appOptions(database.url, { role: 'api' }))
    const quiet = new Pool(quietApp.url, { connections: WIDTH })
    // What was refused for the state that it met, a group without a connection for one, may be taken by now:
    // such requests drop out, until all that are left are refused whatever the others did.
    let left = refused
    let before: Record<string, string> | undefined
    for (let taken = 1; taken > 0;) {
      before = await checksums()
      const answers = await concurrently(left, WIDTH, (request) => send(quiet, request))
      const kept = left.filter((_, index) => isRefusal(answers[index]!))
      taken = left.length - kept.length
      left = kept
    }
    expect(left.length).toBeGreaterThan(RUNS / 10)
    expect(await checksums()).toEqual(before)
    await quiet.close()
  },
)
