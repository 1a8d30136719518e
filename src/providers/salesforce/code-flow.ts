import { createHash } from 'node:crypto'
import { OAuth2 } from 'jsforce/lib/oauth2.js'
import { systemClock, type Clock } from '../../kernel/clock.ts'
import { noTelemetry, type Telemetry } from '../../kernel/telemetry.ts'
import type { CodeExchange, CodeFlow, Grant, SignIn } from '../code-flow.ts'
import { SessionError, type CallOptions } from '../provider.ts'
import { createHttpClient } from './http.ts'
import { observeHttp } from './observed-http.ts'
import { checkInstanceUrl, checkLoginUrl, type OutboundPolicy } from './outbound.ts'
import { allowed, failedCall, parseObject, refusal, type SessionOpener } from './session.ts'
import { CallTransport } from './transport.ts'

/** What is asked for: calls to the API, and to go on without the customer. */
const SCOPE = 'api refresh_token'

/** Settings of {@link createCodeFlow}. */
export interface CodeFlowOptions {
  /** Allows private and loopback hosts, and plain http to those: the simulator, tests. */
  allowInsecure: boolean
  clock?: Clock
  telemetry?: Pick<Telemetry, 'providerCalled'>
}

/** Salesforce's web-server flow with PKCE, through jsforce, over sockets of its own. */
export function createCodeFlow({
  allowInsecure,
  clock = systemClock,
  telemetry = noTelemetry,
}: CodeFlowOptions): CodeFlow {
  const policy: OutboundPolicy = { allowInsecure }
  const http = observeHttp(createHttpClient({ policy, clock }), clock, telemetry)
  return {
    signInUrl,
    exchangeCode: (exchange, options) => exchangeCode({ http, policy }, exchange, options),
    async revoke({ loginUrl, refreshToken }, options) {
      const transport = new CallTransport(http, options)
      const oauth2 = new OAuth2({ loginUrl: allowed(() => checkLoginUrl(loginUrl, policy)).href })
      oauth2._transport = transport
      await oauth2.revokeToken(refreshToken).catch(() => undefined)
      return transport.outcome.kind === 'answer' && transport.outcome.status === 200
    },
    close: () => http.close(),
  }
}

/** `prompt=consent`: whoever is signed in to another org already sees which one they are about to connect. */
const signInUrl = ({ loginUrl, clientId, redirectUri, state, verifier }: SignIn): string =>
  new OAuth2({ loginUrl, clientId, redirectUri }).getAuthorizationUrl({
    scope: SCOPE,
    state,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    prompt: 'consent',
  })

async function exchangeCode(
  { http, policy }: Pick<SessionOpener, 'http' | 'policy'>,
  exchange: CodeExchange,
  options: CallOptions,
): Promise<Grant> {
  const { clientId, clientSecret, redirectUri, code, verifier } = exchange
  const loginUrl = allowed(() => checkLoginUrl(exchange.loginUrl, policy)).href
  const transport = new CallTransport(http, options)
  const oauth2 = new OAuth2({
    ...{ loginUrl, clientId, redirectUri },
    ...(clientSecret === undefined ? {} : { clientSecret }),
  })
  oauth2._transport = transport
  const form = { grant_type: 'authorization_code', code, code_verifier: verifier }
  // Every way it can end is in the transport's outcome.
  await oauth2.requestToken(form).catch(() => undefined)
  const { outcome } = transport
  // The customer can simply start again, whatever the login host made of the code.
  if (outcome.kind === 'failure') throw failedCall(outcome, 'transient', transport)
  const token = outcome.status === 200 ? parseObject(outcome.body) : {}
  const { access_token: accessToken, instance_url: instanceUrl, refresh_token: refreshToken } = token
  if (typeof accessToken !== 'string' || typeof instanceUrl !== 'string')
    throw refusal(outcome, 'transient', transport)
  const origin = allowed(() => checkInstanceUrl(instanceUrl, policy))
  if (typeof refreshToken !== 'string' || refreshToken === '')
    return { refreshToken: null, instanceUrl: origin }
  if (!/^[\x21-\x7e]+$/.test(refreshToken))
    throw new SessionError('permanent', 'INVALID_REFRESH_TOKEN', 'The refresh token is none.')
  return { refreshToken, instanceUrl: origin }
}
