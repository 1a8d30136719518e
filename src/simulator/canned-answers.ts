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

/** Failures as Salesforce and its edge answer them (facts 6, 7, 1.4), by name. */
export const cannedAnswers = {
  unavailableHtml: html(503, 'Service Unavailable'),
  badGatewayHtml: html(502, 'Bad Gateway'),
  gatewayTimeoutHtml: html(504, 'Gateway Timeout'),
  noRoute: html(420, 'No route to org'),
  emptyServerError: { status: 500 },
  serverUnavailable: error(503, 'SERVER_UNAVAILABLE', 'Server is unavailable. Try again later.'),
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
  queryTimeout: error(400, 'QUERY_TIMEOUT', 'Your query request was running for too long.'),
} satisfies Record<string, Answer>

/** The name of a canned answer. */
export type CannedAnswer = keyof typeof cannedAnswers

/** The page that a wrong host or a login redirect shows with 200 (facts 7.1). */
export const loginPage = html(200, 'Login | Salesforce')
