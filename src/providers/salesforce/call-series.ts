import type { Connection } from 'jsforce/lib/connection.js'
import type { Clock } from '../../kernel/clock.ts'
import type { CallAnswer } from '../../model/outcome.ts'
import type { CallOptions } from '../provider.ts'
import type { Unanswered } from './answer.ts'
import type { HttpClient, HttpFailure, HttpOutcome } from './http.ts'
import { HOST_NOT_ALLOWED } from './outbound.ts'
import { CallTransport } from './transport.ts'

/** One API call. */
export interface ApiCall {
  method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Relative to the API version (`/composite`), or from `/services/` on. */
  path: string
  headers: readonly { key: string; value: string }[]
  /** Null for none; JSON, unless a `content-type` among the headers says otherwise. */
  body: string | null
  /** API calls that it counts as (facts 4); 1 when absent. */
  cost?: number
}

/**
 * Milliseconds. With less left no call is begun: its answer could not be there in time, so all that it
 * would do is leave what it carries in doubt.
 */
const LEAST_TIME = 5

/** The API calls of one task, which share its time limit. Sends each once. */
export class CallSeries {
  /** Calls made so far; one that could not even be started does not count. */
  calls = 0
  /** The headers of the last answer, by lower-case name. */
  headers: Readonly<Record<string, string>> = {}
  readonly #connection: Connection
  readonly #http: HttpClient
  readonly #clock: Clock
  readonly #options: CallOptions
  readonly #startedAt: number

  constructor(connection: Connection, http: HttpClient, clock: Clock, options: CallOptions) {
    this.#connection = connection
    this.#http = http
    this.#clock = clock
    this.#options = options
    this.#startedAt = clock.monotonic()
  }

  /** Never rejects: every ending is an outcome. */
  async send({ method, path, headers: given, body, cost = 1 }: ApiCall): Promise<HttpOutcome> {
    const { signal } = this.#options
    const left = this.#left()
    if (left > 0 && signal?.aborted !== true) this.calls += cost
    const transport = new CallTransport(this.#http, { ...this.#options, timeoutMs: left })
    const headers = Object.fromEntries(given.map(({ key, value }) => [key, value]))
    const request =
      body === null
        ? { method, url: path, headers }
        : { method, url: path, body, headers: { 'content-type': 'application/json', ...headers } }
    // As text, since the answer is read from the transport, where its status and headers are as well.
    const call = this.#connection.request(request, { transport, responseType: 'text/plain' })
    await call.catch(() => undefined)
    const { outcome } = transport
    if (outcome.kind === 'answer') this.headers = outcome.headers
    return outcome
  }

  /** Milliseconds for the next call; the first has what the task has, however little. */
  #left(): number {
    const left = this.#options.timeoutMs - (this.#clock.monotonic() - this.#startedAt)
    return left < LEAST_TIME && this.calls > 0 ? 0 : Math.max(0, left)
  }
}

/** A call that was refused as a whole. */
export type Refused = Extract<CallAnswer, { kind: 'refused' }>

/** A refusal of our own: nothing left this process. */
export const refusedHere = (code: string, message: string, errorClass: 'auth' | 'permanent'): Refused => ({
  kind: 'refused',
  status: 0,
  errors: [{ code, message, fields: [] }],
  errorClass,
  usage: null,
})

/** What a call without a usable answer came to. */
export function failedCall(failure: HttpFailure): Unanswered {
  const { code, message, sent, status } = failure
  // The instance is one we may not call: the connection's fault, as with any session that does not work.
  if (code === HOST_NOT_ALLOWED && !sent) return refusedHere(code, message, 'auth')
  return sent
    ? {
        kind: 'lost',
        status,
        error: { code, message: `The provider's answer was lost: ${message}`, fields: [] },
      }
    : { kind: 'not_sent', error: { code, message: `The provider was not reached: ${message}`, fields: [] } }
}
