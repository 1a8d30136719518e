/** One thing wrong with an input: where, as a JSON pointer, and what. */
export interface Issue {
  path: string
  message: string
}

/**
 * The catalogue of errors that are not a write's own outcome. A code never changes its meaning; the
 * HTTP floor alone turns codes into statuses (contract section 3).
 */
export const errorCatalogue = {
  INVALID_REQUEST: { title: 'The request is invalid', retryable: false },
  UNAUTHENTICATED: { title: 'No valid API key', retryable: false },
  FORBIDDEN: { title: 'Not allowed', retryable: false },
  NOT_FOUND: { title: 'Not found', retryable: false },
  CONFLICT: { title: 'Conflict with the present state', retryable: false },
  IDEMPOTENCY_KEY_IN_USE: { title: 'The first call with this idempotency key is running', retryable: true },
  IDEMPOTENCY_KEY_REUSED: { title: 'The idempotency key belongs to another request', retryable: false },
  BODY_TOO_LARGE: { title: 'The body is too large', retryable: false },
  UNSUPPORTED_MEDIA_TYPE: { title: 'The media type is not supported', retryable: false },
  METHOD_NOT_ALLOWED: { title: 'The method is not allowed here', retryable: false },
  REQUEST_TIMEOUT: { title: 'The request took too long to arrive', retryable: true },
  NO_WORKING_CONNECTION: { title: 'The installation has no working connection', retryable: false },
  TOO_MUCH_QUEUED: { title: 'Too much is queued', retryable: true },
  PROVIDER_UNREACHABLE: { title: 'The provider could not be reached', retryable: true },
  INVALID_SESSION_ID: { title: 'The provider refused a new session too', retryable: false },
  OUTCOME_UNKNOWN: { title: 'It is not known whether the write was made', retryable: false },
  STILL_TRYING: { title: 'The write is still being tried', retryable: false },
  RECORD_BUSY: { title: 'An earlier write to the same record is not done', retryable: true },
  PROVIDER_TIMEOUT: { title: 'The provider did not answer in time', retryable: true },
  DATABASE_UNAVAILABLE: { title: 'The database is not available', retryable: true },
  SHUTTING_DOWN: { title: 'The service is shutting down', retryable: true },
  INTERNAL: { title: 'Something failed inside the service', retryable: false },
} as const

/** A code of the catalogue. */
export type ErrorCode = keyof typeof errorCatalogue

/** What an error may carry besides its code and detail. */
export interface ErrorExtras {
  /** What the caller can do about it, in one sentence. */
  remedy?: string
  /** Every issue of a refused input, at once. */
  issues?: Issue[]
  /** Seconds after which trying again makes sense. */
  retryAfter?: number
  /** The operation that it is about. */
  operationId?: string
  /** The status, where the code leaves a choice. */
  status?: number
  /** The underlying error; logged, never sent out. */
  cause?: unknown
}

/** An error of the catalogue; `message` is the sentence that says what was wrong. */
export class WritebackError extends Error {
  readonly code: ErrorCode
  readonly remedy: string | undefined
  readonly issues: Issue[] | undefined
  readonly retryAfter: number | undefined
  readonly operationId: string | undefined
  readonly status: number | undefined

  constructor(code: ErrorCode, detail: string, extras: ErrorExtras = {}) {
    super(detail, extras.cause === undefined ? undefined : { cause: extras.cause })
    this.name = 'WritebackError'
    this.code = code
    this.remedy = extras.remedy
    this.issues = extras.issues
    this.retryAfter = extras.retryAfter
    this.operationId = extras.operationId
    this.status = extras.status
  }
}

/** Whether a value is one of our errors, optionally of one code. */
export const isWritebackError = (error: unknown, code?: ErrorCode): error is WritebackError =>
  error instanceof WritebackError && (code === undefined || error.code === code)

/** The message of anything thrown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
