import type { Answer } from './api-error.ts'

const html = (status: number, title: string): Answer => ({
  status,
  body: `<!DOCTYPE html><html><head><title>${title}</title></head><body><h1>${title}</h1></body></html>`,
  headers: { 'Content-Type': 'text/html;charset=UTF-8' },
})

const error = (status: number, errorCode: string, message: string): Answer => ({
  status,
  body: [{ message, errorCode }],
})

const maintenance = {
  statusCode: 'INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE',
  message: 'Insert, update, and delete operations are not allowed during maintenance.',
}

/** Failures as Salesforce and its edge answer them (facts 6, 7, 1.4), by name. */
export const cannedAnswers = {
  unavailableHtml: html(503, 'Service Unavailable'),
  badGatewayHtml: html(502, 'Bad Gateway'),
  gatewayTimeoutHtml: html(504, 'Gateway Timeout'),
  noRoute: html(420, 'No route to org'),
  serverErrorHtml: html(500, 'Internal Server Error'),
  emptyServerError: { status: 500 },
  serverUnavailable: error(503, 'SERVER_UNAVAILABLE', 'Server is unavailable. Try again later.'),
  /** The read-only window of a maintenance, said of a whole request (facts 6, 7). */
  maintenance: error(503, maintenance.statusCode, maintenance.message),
  unknownException: error(
    500,
    'UNKNOWN_EXCEPTION',
    'An unexpected error occurred. Please include this ErrorId if you contact support: 1234567890-12345 (-123456789)',
  ),
  totalRequests: error(403, 'REQUEST_LIMIT_EXCEEDED', 'TotalRequests Limit exceeded.'),
  concurrentRequests: error(
    403,
    'REQUEST_LIMIT_EXCEEDED',
    'ConcurrentRequests (Concurrent API Requests) Limit exceeded.',
  ),
  concurrentLongTxn: error(403, 'REQUEST_LIMIT_EXCEEDED', 'ConcurrentPerOrgLongTxn Limit exceeded.'),
  apiDisabled: error(403, 'API_DISABLED_FOR_ORG', 'API is not enabled for this Organization or Partner'),
  invalidSession: error(401, 'INVALID_SESSION_ID', 'Session expired or invalid'),
  sessionNotForRest: error(401, 'INVALID_SESSION_ID', 'This session is not valid for use with the REST API'),
  /** As if the org took fewer records than the usual 200; to be bound to a size by `moreThan` (facts 3). */
  exceededIdLimit: error(
    400,
    'EXCEEDED_ID_LIMIT',
    'record limit reached. cannot submit more than 200 records into this call',
  ),
  queryTimeout: error(400, 'QUERY_TIMEOUT', 'Your query request was running for too long.'),
} satisfies Record<string, Answer>

/** The name of a canned answer. */
export type CannedAnswer = keyof typeof cannedAnswers

/** An error of records, and whether it strikes all records of a call together. */
export interface CannedRecordError {
  statusCode: string
  message: string
  everyRecord: boolean
}

/** The wrapper that the platform puts around a trigger's failure (facts 7). */
const inTrigger = (text: string): CannedRecordError => ({
  statusCode: 'CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY',
  message: `RecordTrigger: execution of BeforeInsert caused by: ${text}`,
  everyRecord: true,
})

/** Failures of records as the org's triggers and state cause them (facts 3, 7, 8), by name. */
export const cannedRecordErrors = {
  /** Its code is not documented, only its text. */
  tooManyBatchRetries: {
    statusCode: 'CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY',
    message: 'Too many batch retries in the presence of Apex triggers and partial failures.',
    everyRecord: true,
  },
  apexCpuLimit: inTrigger('System.LimitException: Apex CPU time limit exceeded'),
  apexQueryLimit: inTrigger('System.LimitException: Too many SOQL queries: 101'),
  apexLock: inTrigger(
    'System.DmlException: Update failed. First exception on row 0; first error: UNABLE_TO_LOCK_ROW, ' +
      'unable to obtain exclusive access to this record: []',
  ),
  lockedRow: {
    statusCode: 'UNABLE_TO_LOCK_ROW',
    message: 'unable to obtain exclusive access to this record',
    everyRecord: false,
  },
  maintenance: { ...maintenance, everyRecord: true },
} satisfies Record<string, CannedRecordError>

/** The name of a canned record error. */
export type CannedRecordErrorName = keyof typeof cannedRecordErrors

/** The page that a wrong host or a login redirect shows with 200 (facts 7.1). */
export const loginPage = html(200, 'Login | Salesforce')
