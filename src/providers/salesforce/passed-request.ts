import type { CallAnswer } from '../../model/outcome.ts'
import type { Session } from '../../model/credentials.ts'
import type { Passed, PassedRequest } from '../reading-provider.ts'
import { parseAnswer, readFailure } from './answer.ts'
import { failedCall, refusedHere, type CallSeries } from './call-series.ts'
import type { HttpAnswer } from './http.ts'
import { removeSecrets } from './remove-secrets.ts'

/**
 * Whether a path stays what it is as a part of the instance's URL: anything that reading the URL would
 * change (dots, backslashes, line ends) could lead elsewhere than its text says.
 */
function staysHere(path: string, { instanceUrl }: Session, apiVersion: string): boolean {
  const whole = path.startsWith('/services/') ? path : `/services/data/v${apiVersion}${path}`
  const url = URL.parse(instanceUrl + whole)
  return (
    path.startsWith('/') &&
    !path.startsWith('//') &&
    url !== null &&
    url.origin === URL.parse(instanceUrl)?.origin &&
    url.username === '' &&
    url.password === '' &&
    url.pathname + url.search === whole
  )
}

/** Passes a request on, in one call; the answer comes back whatever its status. */
export async function passRequest(
  series: CallSeries,
  request: PassedRequest,
  session: Session,
  apiVersion: string,
): Promise<Passed> {
  if (!staysHere(request.path, session, apiVersion))
    return refusedHere('INVALID_PATH', 'The path does not stay within the instance.', 'permanent')
  const outcome = await series.send(request)
  if (outcome.kind === 'failure') return failedCall(outcome)
  const { status, headers, body } = outcome
  return { kind: 'passed', status, headers: shown(headers, session), body, said: saidBy(outcome, request) }
}

/** Headers of an answer that mean something to whoever made the request; none sets a cookie. */
const shownHeaders: ReadonlySet<string> = new Set([
  ...['content-type', 'content-language', 'etag', 'last-modified', 'location', 'retry-after'],
  ...['sforce-limit-info', 'sforce-locator', 'sforce-numberofrecords', 'warning', 'allow', 'vary'],
])

const shown = (headers: Record<string, string>, { accessToken }: Session): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers)
      .filter(([name]) => shownHeaders.has(name))
      .map(([name, value]) => [name, removeSecrets(value, [accessToken.replace(/^00D[^!]*!/, '')])]),
  )

function saidBy(answer: HttpAnswer, { method }: PassedRequest): CallAnswer {
  const parsed = parseAnswer(answer)
  if (answer.status < 400)
    return { kind: 'answered', status: answer.status, records: [], usage: parsed.usage }
  // An answer to HEAD has no body to tell why it was refused.
  if (method === 'HEAD' && answer.status === 401)
    return { ...refusedHere('INVALID_SESSION_ID', 'The session was refused.', 'auth'), status: 401 }
  return readFailure(parsed, 'update')
}
