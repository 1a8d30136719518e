import { maxHeaderSize, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Problem } from '../contract/problem.ts'
import { errorCatalogue, isWritebackError, WritebackError, type ErrorCode } from '../kernel/errors.ts'
import { newId } from '../kernel/ids.ts'
import { isStreamed } from './streamed-requests.ts'

/** The one place where codes become statuses (contract section 3). */
const statuses: Record<ErrorCode, number> = {
  INVALID_REQUEST: 400,
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  REQUEST_TIMEOUT: 408,
  CONFLICT: 409,
  IDEMPOTENCY_KEY_IN_USE: 409,
  BODY_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  IDEMPOTENCY_KEY_REUSED: 422,
  NO_WORKING_CONNECTION: 424,
  TOO_MUCH_QUEUED: 429,
  INTERNAL: 500,
  PROVIDER_UNREACHABLE: 502,
  INVALID_SESSION_ID: 502,
  DATABASE_UNAVAILABLE: 503,
  SHUTTING_DOWN: 503,
  PROVIDER_TIMEOUT: 504,
  // 502 when the answer was cut off: the error says so
  OUTCOME_UNKNOWN: 504,
  STILL_TRYING: 504,
  RECORD_BUSY: 504,
}

/** The errors of Fastify's own that a request can cause. Its texts are not ours, so each gets our sentence. */
const fastifyErrors: Record<string, () => WritebackError> = {
  FST_ERR_CTP_BODY_TOO_LARGE: () => bodyTooLarge(),
  FST_ERR_CTP_INVALID_MEDIA_TYPE: () => unsupportedMediaType(),
  FST_ERR_CTP_EMPTY_TYPE: () => unsupportedMediaType(),
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: () =>
    new WritebackError('INVALID_REQUEST', 'The body is not as long as its Content-Length says.', {
      remedy: 'Send the whole body.',
    }),
  FST_ERR_BAD_URL: () =>
    new WritebackError('INVALID_REQUEST', 'The path is not a valid URL path.', {
      remedy: 'Percent-encode the path as UTF-8.',
    }),
  FST_ERR_MAX_PARAM_LENGTH: () =>
    new WritebackError('NOT_FOUND', 'A part of the path is longer than any name.', {
      remedy: 'Check the path.',
    }),
}

/** The refusal of a body over the limit. */
export const bodyTooLarge = (): WritebackError =>
  new WritebackError('BODY_TOO_LARGE', 'The body is larger than this call takes.', {
    remedy: 'Send less at once.',
  })

/** The refusal of anything but JSON. */
export const unsupportedMediaType = (): WritebackError =>
  new WritebackError('UNSUPPORTED_MEDIA_TYPE', 'The body is not declared as JSON.', {
    remedy: 'Send JSON in UTF-8 with Content-Type: application/json and no Content-Encoding.',
  })

const textOf = (error: unknown, key: 'code' | 'message'): string => {
  const value: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, key) : undefined
  return typeof value === 'string' ? value : ''
}

/**
 * What the caller is told of anything thrown: an error of the catalogue as it is, an unreachable database
 * as DATABASE_UNAVAILABLE, what Fastify refused in our words, and everything else as INTERNAL without a
 * word of its own.
 *
 * @param isDatabaseUnavailable tells the database's absence from our mistakes
 */
export function toWritebackError(
  error: unknown,
  isDatabaseUnavailable: (error: unknown) => boolean,
): WritebackError {
  if (isWritebackError(error)) return error.code === 'INTERNAL' ? internalError(error) : error
  if (isDatabaseUnavailable(error))
    return new WritebackError('DATABASE_UNAVAILABLE', 'The database did not answer.', {
      remedy: 'Send the same request again a little later.',
      retryAfter: 2,
      cause: error,
    })
  return fastifyErrors[textOf(error, 'code')]?.() ?? fastifyRefusal(error) ?? internalError(error)
}

/** Any other refusal of Fastify's: a status below 500 says that the request was at fault. */
function fastifyRefusal(error: unknown): WritebackError | null {
  const status: unknown = typeof error === 'object' && error !== null && Reflect.get(error, 'statusCode')
  const isRefusal = typeof status === 'number' && status >= 400 && status < 500
  if (!isRefusal || !textOf(error, 'code').startsWith('FST_')) return null
  return new WritebackError('INVALID_REQUEST', textOf(error, 'message'), { cause: error })
}

const internalError = (cause: unknown): WritebackError =>
  new WritebackError('INTERNAL', 'Something failed inside the service.', {
    remedy: 'If it stays, tell the operator the requestId.',
    cause,
  })

/** The status of an error, unless it carries one of its own. */
export const statusOf = (code: ErrorCode): number => statuses[code]

/** The body that tells of an error (RFC 9457). */
export function problemOf(error: WritebackError, requestId: string, now: number): Problem {
  const { title, retryable } = errorCatalogue[error.code]
  return {
    type: `urn:writeback:problem:${error.code.toLowerCase().replaceAll('_', '-')}`,
    title,
    status: error.status ?? statuses[error.code],
    detail: error.message,
    instance: `urn:writeback:request:${encodeURIComponent(requestId)}`,
    code: error.code,
    requestId,
    time: new Date(now).toISOString(),
    retryable,
    ...(error.operationId !== undefined && { operationId: error.operationId }),
    ...(error.remedy !== undefined && { remedy: error.remedy }),
    ...(error.retryAfter !== undefined && {
      retryAfter: new Date(now + error.retryAfter * 1000).toISOString(),
    }),
    ...(error.issues !== undefined && { issues: error.issues }),
  }
}

/** What the error handler needs. */
export interface ErrorHandlerOptions {
  isDatabaseUnavailable: (error: unknown) => boolean
  now: () => number
  /** Told of each problem that is answered. */
  onProblem?: (code: ErrorCode) => void
}

/** Answers a request with the problem that an error is; leaves the error on the request for its log line. */
export function createErrorHandler(options: ErrorHandlerOptions) {
  return (thrown: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    const error = toWritebackError(thrown, options.isDatabaseUnavailable)
    const problem = problemOf(error, request.id, options.now())
    options.onProblem?.(error.code)
    request.failure = thrown
    if (error.retryAfter !== undefined) reply.header('retry-after', String(Math.ceil(error.retryAfter)))
    if (error.code === 'UNAUTHENTICATED') reply.header('www-authenticate', 'Bearer')
    if (error.code === 'BODY_TOO_LARGE') letTheBodyPass(request.raw, reply)
    reply.status(problem.status).type('application/problem+json').header('x-request-id', request.id)
    void reply.send(problem)
  }
}

/**
 * Closing while the client is still sending would reset the connection and with it the answer, so the
 * rest of the body is read and dropped. The server's request timeout bounds it.
 */
function letTheBodyPass(request: IncomingMessage, reply: FastifyReply): void {
  reply.removeHeader('connection')
  request.resume()
}

/** What is wrong with bytes that never became a request. */
function clientErrorOf(code: string): { status: number; error: WritebackError } {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    const error = new WritebackError('REQUEST_TIMEOUT', 'The request took too long to arrive.')
    return { status: statuses.REQUEST_TIMEOUT, error }
  }
  if (code === 'HPE_HEADER_OVERFLOW') {
    const detail = `The headers are larger than ${maxHeaderSize} bytes.`
    return { status: 431, error: new WritebackError('INVALID_REQUEST', detail) }
  }
  return { status: 400, error: new WritebackError('INVALID_REQUEST', 'This is not a valid HTTP request.') }
}

/** Answers what the HTTP parser refused or gave up waiting for, and closes the connection. */
export function answerClientError(failure: Error & { code?: string }, socket: Socket): void {
  if (failure.code === 'ERR_HTTP_REQUEST_TIMEOUT' && isStreamed(socket)) return
  if (failure.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const { status, error } = clientErrorOf(failure.code ?? '')
  const requestId = newId()
  const body = JSON.stringify({ ...problemOf(error, requestId, Date.now()), status })
  const head = [
    `HTTP/1.1 ${status} ${error.code}`,
    'Content-Type: application/problem+json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Request-Id: ${requestId}`,
    'Connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy())
}
