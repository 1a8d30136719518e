import type { Problem } from '../contract/problem.ts'

/** What an error may carry besides its code and its message. */
export interface ErrorParts {
  status?: number | undefined
  problem?: Problem | undefined
  retryable?: boolean | undefined
  operationId?: string | undefined
  idempotencyKey?: string | undefined
  /** Milliseconds after which trying again makes sense. */
  retryAfterMs?: number | undefined
  wasSent?: boolean | undefined
  cause?: unknown
}

/**
 * A call that has no answer of the kind it asked for. The outcome of a write that the provider refused is no
 * error: it is an answer. Never holds the API key.
 *
 * Codes are those of the service (its problems' `code`), and of the client's own: `NO_ANSWER` (no connection,
 * or the answer was cut off), `TIMEOUT` (no answer within `timeoutMs`), `UNEXPECTED_ANSWER` (something else
 * than the service answered, a proxy say) and `WAIT_TIMEOUT` (the operation had not ended by then).
 */
export class WritebackError extends Error {
  override readonly name = 'WritebackError'
  readonly code: string
  /** HTTP status; absent when there was no answer. */
  readonly status: number | undefined
  /** The service's own description (RFC 9457), where it gave one. */
  readonly problem: Problem | undefined
  /** Whether the same call can succeed later. */
  readonly retryable: boolean
  /** The operation that it is about, where that is known: follow that one, do not write again. */
  readonly operationId: string | undefined
  /** The idempotency key of a write call: with it, and the same write, the call can be repeated safely. */
  readonly idempotencyKey: string | undefined
  /** Milliseconds after which trying again makes sense. */
  readonly retryAfterMs: number | undefined
  /** False when the request certainly never reached the service. */
  readonly wasSent: boolean

  constructor(code: string, message: string, parts: ErrorParts = {}) {
    super(message, parts.cause === undefined ? undefined : { cause: parts.cause })
    this.code = code
    this.status = parts.status
    this.problem = parts.problem
    this.retryable = parts.retryable ?? parts.problem?.retryable ?? false
    this.operationId = parts.operationId ?? parts.problem?.operationId
    this.idempotencyKey = parts.idempotencyKey
    this.retryAfterMs = parts.retryAfterMs
    this.wasSent = parts.wasSent ?? true
  }

  /** The same error of the call with this idempotency key. */
  ofKey(idempotencyKey: string): WritebackError {
    const { code, message, status, problem, retryable, operationId, retryAfterMs, wasSent, cause } = this
    const parts = { status, problem, retryable, operationId, retryAfterMs, wasSent, cause }
    return new WritebackError(code, message, { ...parts, idempotencyKey })
  }
}

/** Whether anything thrown is an error of the client, optionally of one code. */
export const isWritebackError = (error: unknown, code?: string): error is WritebackError =>
  error instanceof WritebackError && (code === undefined || error.code === code)

/** The same error, saying which write call it is of. */
export const withKey = (error: unknown, idempotencyKey: string | null): unknown =>
  isWritebackError(error) && idempotencyKey !== null ? error.ofKey(idempotencyKey) : error

/** The error that a problem is. */
export function problemError(problem: Problem, retryAfterMs?: number): WritebackError {
  const message = problem.issues?.length
    ? `${problem.detail} ${problem.issues.map(({ path, message }) => `${path} ${message}`.trim()).join('; ')}`
    : problem.detail
  return new WritebackError(problem.code, message, {
    status: problem.status,
    problem,
    retryAfterMs: retryAfterMs ?? millisecondsUntil(problem.retryAfter),
  })
}

const millisecondsUntil = (time: string | undefined): number | undefined =>
  time === undefined ? undefined : Math.max(0, Date.parse(time) - Date.now())

/** The error that an answer is which was not asked for. */
export function answerError(status: number, headers: Headers, body: unknown): WritebackError {
  const retryAfterMs = retryAfterOf(headers)
  if (isProblem(body)) return problemError(body, retryAfterMs)
  return new WritebackError('UNEXPECTED_ANSWER', `The answer, of status ${status}, is not the service's.`, {
    status,
    // By what stands before the service, which passes.
    retryable: [408, 429, 502, 503, 504].includes(status),
    retryAfterMs,
  })
}

const isProblem = (body: unknown): body is Problem =>
  typeof body === 'object' &&
  body !== null &&
  typeof Reflect.get(body, 'code') === 'string' &&
  typeof Reflect.get(body, 'detail') === 'string'

function retryAfterOf(headers: Headers): number | undefined {
  const text = headers.get('retry-after')?.trim()
  if (text === undefined || text === '') return undefined
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now()
  return Number.isNaN(ms) ? undefined : Math.max(0, ms)
}

/** Codes of faults that come before a connection is there. */
const unsentCodes = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
  // of Bun and Deno
  'ConnectionRefused',
])

/** The error that a request without an answer is. */
export function lostError(thrown: unknown): WritebackError {
  const cause: unknown = thrown instanceof Error ? (thrown.cause ?? thrown) : thrown
  const code = codeOf(cause) || codeOf(thrown)
  return new WritebackError('NO_ANSWER', `There was no answer${code === '' ? '' : ` (${code})`}.`, {
    retryable: true,
    wasSent: !unsentCodes.has(code),
    cause: thrown,
  })
}

const codeOf = (value: unknown): string => {
  const code: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, 'code') : undefined
  return typeof code === 'string' ? code : ''
}
