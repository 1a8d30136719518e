import { OAuth2 } from 'jsforce/lib/oauth2.js'
import type { Clock } from '../../kernel/clock.ts'
import type { Credentials, MintedSession } from '../../model/credentials.ts'
import { normaliseRecordId } from '../../model/salesforce-id.ts'
import { SessionError, type CallOptions } from '../provider.ts'
import type { HttpAnswer, HttpClient, HttpFailure } from './http.ts'
import { audienceOf, signAssertion } from './jwt-assertion.ts'
import {
  checkInstanceUrl,
  checkLoginUrl,
  HOST_NOT_ALLOWED,
  OutboundRefused,
  type OutboundPolicy,
} from './outbound.ts'
import { removeSecrets } from './remove-secrets.ts'
import { CallTransport, isRedirect } from './transport.ts'

/** What opening a session needs. */
export interface SessionOpener {
  http: HttpClient
  policy: OutboundPolicy
  clock: Clock
}

type OAuthCredentials = Exclude<Credentials, { type: 'access-token' }>

const PRODUCTION_LOGIN = 'https://login.salesforce.com'
const JWT_GRANT = 'urn:ietf:params:oauth:grant-type:jwt-bearer'

/** OAuth errors after which the same credentials may work again; every other one is permanent (facts 1.3). */
const nothingDone: ReadonlySet<string> = new Set(['rate_limit_exceeded'])
/** The login host's own faults: what it did before is not known. */
const serverFaults: ReadonlySet<string> = new Set([
  'server_error',
  'temporarily_unavailable',
  'unknown_error',
])
/** Statuses with which an edge turns a request away unprocessed: no route, too many. */
const turnedAway: ReadonlySet<number> = new Set([420, 425, 429])

/** Runs a check of the outbound policy, its refusal as a permanent session error. */
export function allowed<T>(check: () => T): T {
  try {
    return check()
  } catch (error) {
    if (error instanceof OutboundRefused) throw new SessionError('permanent', error.code, error.message)
    throw error
  }
}

/** A token goes into a header as it is; one that cannot must not reach the wire or an error message. */
function checkToken(token: string): string {
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new SessionError(
      'permanent',
      'INVALID_ACCESS_TOKEN',
      'The access token has characters that no token has.',
    )
  }
  return token
}

/** Characters of a login host's text that are read, and that a message holds. */
const MAX_READ = 4_000
const MAX_SHOWN = 300

/** Takes what was sent and is secret out of a text of the login host, and cuts it to what a message needs. */
const withoutSecrets = (text: string, { secrets }: CallTransport): string =>
  removeSecrets(text.slice(0, MAX_READ), secrets).slice(0, MAX_SHOWN)

/** Posts the grant through jsforce. Its own reading of the answer is left aside: it loses the status. */
async function postGrant(
  credentials: OAuthCredentials,
  loginUrl: string,
  transport: CallTransport,
  clock: Clock,
): Promise<void> {
  const { clientId } = credentials
  const secret = 'clientSecret' in credentials ? credentials.clientSecret : undefined
  const withAssertion = credentials.type === 'oauth2-jwt-bearer'
  const oauth2 = new OAuth2({
    loginUrl,
    ...(withAssertion ? {} : { clientId }),
    ...(secret === undefined ? {} : { clientSecret: secret }),
  })
  oauth2._transport = transport
  let posted: Promise<unknown>
  if (credentials.type === 'oauth2-jwt-bearer') {
    const audience = audienceOf(new URL(loginUrl).hostname)
    const claims = { clientId, username: credentials.username, audience }
    const assertion = signAssertion(claims, credentials.privateKey, clock.now())
    posted = oauth2.requestToken({ grant_type: JWT_GRANT, assertion })
  } else if (credentials.type === 'oauth2-client-credentials') {
    posted = oauth2.requestToken({ grant_type: 'client_credentials' })
  } else {
    posted = oauth2.refreshToken(credentials.refreshToken)
  }
  // Every way it can end is in the transport's outcome.
  await posted.catch(() => undefined)
}

/**
 * What a lost answer means: under refresh token rotation the token may be used up, and using it again
 * would revoke the whole grant (facts 1.2); the other grants can simply be asked again.
 */
const lostKind = (credentials: OAuthCredentials): SessionError['kind'] =>
  credentials.type === 'oauth2-refresh-token' ? 'ambiguous' : 'transient'

/**
 * The error for a call without a usable answer.
 *
 * @param lost what it means when the login host may have done what it was asked for
 */
export function failedCall(
  failure: HttpFailure,
  lost: SessionError['kind'],
  transport: CallTransport,
): SessionError {
  if (failure.code === HOST_NOT_ALLOWED) return new SessionError('permanent', failure.code, failure.message)
  const message = withoutSecrets(failure.message, transport)
  return failure.sent
    ? new SessionError(lost, failure.code, `The login host's answer was lost: ${message}`)
    : new SessionError('transient', failure.code, `The login host could not be reached: ${message}`)
}

/** The JSON object that a text holds; an empty one for anything else. */
export function parseObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

/**
 * The error for an answer that holds no session (facts 1.3).
 *
 * @param lost what it means when the login host may have done what it was asked for
 */
export function refusal(
  answer: HttpAnswer,
  lost: SessionError['kind'],
  transport: CallTransport,
): SessionError {
  const { status, headers } = answer
  if (isRedirect(status)) {
    const target = URL.parse(headers.location ?? '')?.host ?? 'another host'
    return new SessionError(
      'permanent',
      'UNEXPECTED_REDIRECT',
      `The login host redirects to ${target}; the login URL is wrong.`,
    )
  }
  const { error, error_description: description } = parseObject(answer.body)
  if (typeof error === 'string' && status < 500 && !turnedAway.has(status)) {
    const kind = nothingDone.has(error) ? 'transient' : serverFaults.has(error) ? lost : 'permanent'
    const detail = typeof description === 'string' ? `: ${description}` : ''
    const message = withoutSecrets(`The login host refused with ${error}${detail}`, transport)
    return new SessionError(kind, withoutSecrets(error, transport), message)
  }
  const message = `The login host answered ${status} without a session.`
  const code = `HTTP_${status}`
  if (turnedAway.has(status)) return new SessionError('transient', code, message)
  const isRefusal = status >= 400 && status < 500 && status !== 408
  const isPage = /^\s*</.test(answer.body)
  return new SessionError(isRefusal && !isPage ? 'permanent' : lost, code, message)
}

/** The org's id, 18 characters, from the identity URL `…/id/<orgId>/<userId>` (facts 1.1); else null. */
function orgIdOf(identityUrl: unknown): string | null {
  const id =
    typeof identityUrl === 'string' ? /\/id\/(00D[^/]*)\/[^/]+\/?$/.exec(identityUrl)?.[1] : undefined
  return id === undefined ? null : normaliseRecordId(id)
}

function readSession(
  answer: HttpAnswer,
  credentials: OAuthCredentials,
  policy: OutboundPolicy,
  transport: CallTransport,
): MintedSession {
  const token = answer.status === 200 ? parseObject(answer.body) : {}
  const { access_token: accessToken, instance_url: instanceUrl, refresh_token: refreshToken } = token
  if (typeof accessToken !== 'string' || typeof instanceUrl !== 'string')
    throw refusal(answer, lostKind(credentials), transport)
  const orgId = orgIdOf(token.id)
  const session: MintedSession = {
    accessToken: checkToken(accessToken),
    instanceUrl: allowed(() => checkInstanceUrl(instanceUrl, policy)),
    ...(orgId === null ? {} : { orgId }),
  }
  if (credentials.type !== 'oauth2-refresh-token' || typeof refreshToken !== 'string') return session
  return refreshToken === credentials.refreshToken || refreshToken === ''
    ? session
    : { ...session, rotatedRefreshToken: refreshToken }
}

/**
 * Mints a session from credentials (facts 1.1); `access-token` credentials are checked and given back.
 * One request at most, never repeated.
 * @throws {SessionError}
 */
export async function openSession(
  { http, policy, clock }: SessionOpener,
  credentials: Credentials,
  options: CallOptions,
): Promise<MintedSession> {
  if (credentials.type === 'access-token') {
    const instanceUrl = allowed(() => checkInstanceUrl(credentials.instanceUrl, policy))
    return { accessToken: checkToken(credentials.accessToken), instanceUrl }
  }
  const loginUrl = allowed(() => checkLoginUrl(credentials.loginUrl ?? PRODUCTION_LOGIN, policy))
  const transport = new CallTransport(http, options)
  await postGrant(credentials, loginUrl.href, transport, clock)
  const { outcome } = transport
  if (outcome.kind === 'failure') throw failedCall(outcome, lostKind(credentials), transport)
  return readSession(outcome, credentials, policy, transport)
}
