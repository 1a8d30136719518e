import { ApiError } from './api-error.ts'
import type { Answer } from './api-error.ts'
import type { Call } from './call.ts'
import { limitInfo } from './limits.ts'
import type { Org } from './org.ts'
import type { RequestEntry } from './request-log.ts'
import { checkVersion } from './versions.ts'

/**
 * Runs one call to its answer, in one go: everything it writes is there when this returns, and
 * nothing of it when the call as a whole was refused.
 */
export function execute(org: Org, call: Call, entry: RequestEntry): Answer {
  let counted = false
  let answer: Answer
  try {
    if (!call.route.open) {
      checkSession(org, call)
      counted = true
      const calls = call.route.calls?.(call) ?? 1
      if (!org.countCalls(calls))
        throw new ApiError(403, 'REQUEST_LIMIT_EXCEEDED', 'TotalRequests Limit exceeded.')
      org.requests.charge(entry, calls)
      checkBody(call)
    }
    answer = call.route.handle(org, call)
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    call.tx.rollback()
    answer = error.toAnswer()
  }
  if (!counted) return answer
  const date = new Date(org.now()).toUTCString()
  return { ...answer, headers: { Date: date, ...answer.headers, 'Sforce-Limit-Info': limitInfo(org) } }
}

/** Refuses without a live session; the call is then not executed and not counted (facts 1.4). */
function checkSession(org: Org, call: Call): void {
  if (call.version > 0) checkVersion(call.version)
  const header = call.header('authorization')
  const token = /^(?:Bearer|OAuth)\s+(\S+)$/i.exec(header ?? '')?.[1]
  if (header !== undefined && token === undefined) {
    throw new ApiError(401, 'INVALID_AUTH_HEADER', 'INVALID_HEADER_TYPE')
  }
  const session = org.sessions.use(token ?? '', org.now(), org.settings.sessionSeconds * 1000)
  if (!session) {
    throw new ApiError(401, 'INVALID_SESSION_ID', 'Session expired or invalid', {
      headers: { 'WWW-Authenticate': 'Token' },
    })
  }
  call.session = session
}

function checkBody(call: Call): void {
  const type = call.header('content-type')
  const hasBody = call.rawBody !== '' && ['POST', 'PATCH', 'PUT'].includes(call.method)
  if (hasBody && type !== undefined && !/^application\/json\b/i.test(type)) {
    throw new ApiError(415, 'UNSUPPORTED_MEDIA_TYPE', `Content type ${type} not supported`)
  }
  if (call.bodyError) throw call.bodyError
}
