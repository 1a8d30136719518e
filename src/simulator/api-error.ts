import type { DuplicateMatch } from './duplicate-rules.ts'

/** Where an error keeps what a duplicate rule found: JSON leaves symbols out, so no collections item shows it. */
export const foundDuplicates: unique symbol = Symbol('found duplicates')

/** One thing wrong with one record; a collections item carries it as it is (facts 3.1). */
export interface RecordError {
  statusCode: string
  message: string
  fields: string[]
  [foundDuplicates]?: DuplicateMatch
}

/** An answer before it is put on the wire. A string body goes out as it is, anything else as JSON. */
export interface Answer {
  status: number
  body?: unknown
  headers?: Record<string, string>
}

/** Ends a request, or one composite subrequest, with an error body in the request-level shape (facts 2). */
export class ApiError extends Error {
  readonly status: number
  readonly errors: { message: string; errorCode: string; fields?: string[] }[]
  readonly headers: Record<string, string> | undefined

  constructor(
    status: number,
    errorCode: string,
    message: string,
    extras: { fields?: string[]; headers?: Record<string, string> } = {},
  ) {
    super(message)
    this.name = 'ApiError'
    this.status = status
    this.errors = [{ message, errorCode, ...(extras.fields ? { fields: extras.fields } : {}) }]
    this.headers = extras.headers
  }

  /** The error as an answer. */
  toAnswer(): Answer {
    return { status: this.status, body: this.errors, ...(this.headers ? { headers: this.headers } : {}) }
  }
}

/** A record error in the request-level shape: single calls say `errorCode` where collections say `statusCode`. */
export const toRequestError = ({
  message,
  statusCode,
  fields,
}: RecordError): { message: string; errorCode: string; fields: string[] } => ({
  message,
  errorCode: statusCode,
  fields,
})

/** The refusal of a path that names nothing. */
export const notFound = (): ApiError =>
  new ApiError(404, 'NOT_FOUND', 'The requested resource does not exist')

/** The refusal of a method that a resource does not know. */
export const methodNotAllowed = (method: string, allowed: string[]): ApiError =>
  new ApiError(
    405,
    'METHOD_NOT_ALLOWED',
    `HTTP Method '${method}' not allowed. Allowed are ${allowed.join(',')}`,
    {
      headers: { Allow: allowed.join(',') },
    },
  )
