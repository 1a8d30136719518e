import { setTimeout as delay } from 'node:timers/promises'
import type { Problem } from '../contract/problem.ts'
import { messageOf } from '../kernel/errors.ts'
import { tidy } from './text.ts'

/** An answer of the service, read whole. */
export interface Answer {
  status: number
  headers: Headers
  /** The JSON of it; the text of one that is a stream of lines; null without a body. */
  body: unknown
}

/** What a call says besides its method and path. */
export interface CallOptions {
  /** Sent as JSON; a text as it is, a JSON document on each line. */
  body?: unknown
  query?: Record<string, string | number | undefined>
  headers?: Record<string, string>
  /** Whether it does no harm to make the call again when its answer is lost; so it is with GET. */
  isRepeatable?: boolean
  /** Milliseconds until the answer is given up (default 30,000). */
  timeoutMs?: number
  /** Statuses from 400 on that are answers, not errors. */
  accept?: readonly number[]
}

/** The service, as a command calls it. */
export interface Api {
  readonly url: string
  /** @throws {ServiceError} for what is no answer; the reason of the interruption when that ended it */
  call: (method: string, path: string, options?: CallOptions) => Promise<Answer>
  /** The body of a GET. */
  get: <T>(path: string, options?: CallOptions) => Promise<T>
  /** All entries of a list, a page at a time. */
  pages: <T>(path: string, query?: CallOptions['query']) => AsyncGenerator<T[], void>
  /** All entries of a list. */
  all: <T>(path: string) => Promise<T[]>
}

/** How the service is called. */
export interface ApiOptions {
  url: string
  key: string
  /** Where the key comes from, for the word on one that is not valid. */
  keySource: string
  signal: AbortSignal
  /** Milliseconds for which calls that may be repeated are (default: 10,000, without any answer 1,500). */
  patienceMs?: number
}

/** The call was not answered as it should have been. */
export class ServiceError extends Error {
  override readonly name = 'ServiceError'
  /** unreachable: no answer; failed: the service's own fault, or too busy; refused: the call's. */
  readonly kind: 'unreachable' | 'failed' | 'refused'
  readonly problem: Partial<Problem> | null
  constructor(kind: ServiceError['kind'], message: string, problem: Partial<Problem> | null = null) {
    super(message)
    this.kind = kind
    this.problem = problem
  }
}

/** Makes a path; what is put in becomes a part of it, whatever is in it. */
export const path = (texts: TemplateStringsArray, ...parts: string[]): string =>
  texts.reduce((whole, text, index) => whole + encodeURIComponent(parts[index - 1] ?? '') + text)

const TIMEOUT_MS = 30_000
const PATIENCE_MS = 10_000
/** A wrong address should be said soon. */
const UNREACHABLE_PATIENCE_MS = 1_500
const FIRST_PAUSE_MS = 200
const MAX_PAUSE_MS = 5_000
/** Entries of one page. */
const PAGE_SIZE = 1_000

/** Makes a client of the service. */
export function createApi(options: ApiOptions): Api {
  const call: Api['call'] = (method, target, given = {}) => repeat(options, method, target, given)
  const get = async <T>(target: string, given: CallOptions = {}): Promise<T> =>
    (await call('GET', target, given)).body as T
  async function* pages<T>(target: string, query: CallOptions['query'] = {}): AsyncGenerator<T[], void> {
    let pageToken: string | undefined
    do {
      const page: Page<T> = await get(target, { query: { pageSize: PAGE_SIZE, ...query, pageToken } })
      yield page.results
      pageToken = page.pagination.nextPageToken
    } while (pageToken !== undefined)
  }
  return {
    url: options.url,
    call,
    get,
    pages,
    all: async <T>(target: string) => {
      const entries: T[] = []
      for await (const page of pages<T>(target)) entries.push(...page)
      return entries
    },
  }
}

interface Page<T> {
  results: T[]
  pagination: { done: boolean; nextPageToken?: string }
}

/** Makes a call, again while that is safe and may help. */
async function repeat(
  options: ApiOptions,
  method: string,
  target: string,
  given: CallOptions,
): Promise<Answer> {
  const { signal, patienceMs } = options
  const isRepeatable = given.isRepeatable ?? method === 'GET'
  const start = performance.now()
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
    const tried = await attempt(options, method, target, given)
    if ('answer' in tried) return tried.answer
    const waitMs = Math.max(tried.afterMs ?? 0, pauseMs * (0.5 + Math.random() / 2))
    const usual = tried.error.kind === 'unreachable' ? UNREACHABLE_PATIENCE_MS : PATIENCE_MS
    const isOver = performance.now() + waitMs > start + (patienceMs ?? usual)
    if (!isRepeatable || tried.afterMs === null || isOver) throw tried.error
    await delay(waitMs, undefined, { signal }).catch(() => undefined)
    signal.throwIfAborted()
  }
}

/** What came of a try: an answer, or an error with the time after which another may help (null: none will). */
type Tried = { answer: Answer } | { error: ServiceError; afterMs: number | null }

async function attempt(
  { url, key, keySource, signal }: ApiOptions,
  method: string,
  target: string,
  { body, query = {}, headers = {}, timeoutMs = TIMEOUT_MS, accept = [] }: CallOptions,
): Promise<Tried> {
  const address = new URL(url + target)
  for (const [name, value] of Object.entries(query))
    if (value !== undefined) address.searchParams.set(name, String(value))
  const isText = typeof body === 'string'
  const timeout = AbortSignal.timeout(timeoutMs)
  let response: Response
  let text: string
  try {
    response = await fetch(address, {
      method,
      headers: {
        'x-api-key': key,
        ...(body === undefined
          ? {}
          : { 'content-type': isText ? 'application/x-ndjson' : 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: isText ? body : JSON.stringify(body) }),
      // The key is for this service alone.
      redirect: 'manual',
      signal: AbortSignal.any([signal, timeout]),
    })
    text = await response.text()
  } catch (error) {
    signal.throwIfAborted()
    const why = timeout.aborted ? `no answer within ${timeoutMs / 1000} s` : reasonOf(error)
    const message = `The service at ${url} could not be reached: ${why}.`
    return { error: new ServiceError('unreachable', message), afterMs: 0 }
  }
  return judge({ method, target, keySource, accept }, response, text)
}

function judge(
  about: { method: string; target: string; keySource: string; accept: readonly number[] },
  { status, headers }: Response,
  text: string,
): Tried {
  const isJson = /^application\/(json|problem\+json)\b/.test(headers.get('content-type') ?? '')
  const body = isJson ? parsed(text) : text === '' ? null : text
  const isLines = headers.get('content-type')?.startsWith('application/x-ndjson') === true
  const isOurs = isJson || isLines || text === ''
  if ((status < 300 || about.accept.includes(status)) && isOurs) return { answer: { status, headers, body } }
  const problem = isJson ? (body as Partial<Problem> | null) : null
  if (status < 400 || problem?.detail === undefined) {
    const said = `${about.method} ${about.target} was answered with ${status}`
    const message = `${said}, not as Writeback does: is it a Writeback service that listens there?`
    return { error: new ServiceError('failed', message), afterMs: status >= 502 ? 0 : null }
  }
  const kind = status >= 500 || status === 429 ? 'failed' : 'refused'
  const error = new ServiceError(kind, sayProblem(problem, status === 401 ? about.keySource : null), problem)
  return { error, afterMs: isWorthRepeating(status, problem) ? retryAfterMs(headers) : null }
}

/** Only what says of itself that the call was not made, or is being made by a twin. */
const isWorthRepeating = (status: number, { code }: Partial<Problem>): boolean =>
  status === 429 || status === 503 || code === 'IDEMPOTENCY_KEY_IN_USE'

const retryAfterMs = (headers: Headers): number => {
  const seconds = Number(headers.get('retry-after') ?? 0)
  return Number.isFinite(seconds) ? Math.max(0, seconds) * 1000 : 0
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return null
  }
}

/** What a problem says: a line, and one for each of its issues. */
export function sayProblem(problem: Partial<Problem>, keySource: string | null = null): string {
  const { detail = '', remedy = '', status, code, issues = [], requestId } = problem
  const id = status !== undefined && status >= 500 ? `, request ${requestId ?? 'unknown'}` : ''
  const source = keySource === null ? '' : ` The key came from ${keySource}.`
  const first = `${tidy(`${detail} ${remedy}`).trim()}${source} (${status ?? ''} ${code ?? ''}${id})`
  return [first, ...issues.map(({ path: at, message }) => `  ${tidy(`${at || '/'} ${message}`)}`)].join('\n')
}

/** Why fetch failed: its own message says only that it did. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error
  if (cause instanceof AggregateError) return cause.errors.map(messageOf).join('; ')
  return messageOf(cause).replace(/\.$/, '')
}
