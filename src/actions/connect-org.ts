import type { Attempt, AttemptRefusal, ConnectLinks, Link, NewLink } from '../connections/connect-links.ts'
import { messageOf } from '../kernel/errors.ts'
import type { Logger } from '../kernel/log.ts'
import type { CodeFlow, Grant } from '../providers/code-flow.ts'
import { SessionError } from '../providers/provider.ts'

export type { Link, NewLink } from '../connections/connect-links.ts'

/** Milliseconds that the login host may take to exchange a code: a person waits for it. */
const EXCHANGE_MS = 15_000

/** What connecting an org needs. */
export interface ConnectOrgOptions {
  links: ConnectLinks
  logger: Logger
  /** By the provider's name. */
  codeFlow: (provider: string) => CodeFlow
  /** Base of links and of the redirect URI, without a slash at its end. */
  publicUrl: () => string
  /** Told when connections have changed. */
  changed: () => void
}

/** A sign-in that has begun. */
export interface BegunSignIn {
  /** Where the browser goes. */
  url: string
  /** What the browser keeps, to be known by when it comes back. */
  browser: string
}

/**
 * Why a sign-in came to nothing. `replaced`: another one has begun with the same link; after it, what the login
 * host or the customer said.
 */
export type NotConnected =
  | AttemptRefusal
  | 'replaced'
  | 'denied'
  | 'not_approved'
  | 'app_unknown'
  | 'app_refused'
  | 'redirect_mismatch'
  | 'scope_missing'
  | 'no_refresh_token'
  | 'code_refused'
  | 'unreachable'
  | 'failed'

/** What a browser came back with from the login host, as far as its texts can be anything. */
export interface Callback {
  state: string
  code: string | null
  error: string | null
  errorDescription: string | null
}

/** What a sign-in came to. */
export type SignInResult =
  | {
      kind: 'connected'
      linkId: string
      projectName: string
      groupRef: string
      /** The org's own host. */
      instanceHost: string
      /** Whether the group had no connection before. */
      isNew: boolean
      returnUrl: string | null
    }
  | {
      kind: 'not_connected'
      reason: NotConnected
      /** What the login host said, without anything secret. */
      said: string | null
      /** The link to start again with, for the browser that began; null when it can do nothing more. */
      again: string | null
      /** The login host. */
      host: string | null
    }

/** Connecting a customer's org in a browser (OAuth's web-server flow with PKCE). */
export interface ConnectOrg {
  /** @throws {WritebackError} NOT_FOUND when the project was deleted */
  createLink(projectId: string, input: NewLink): Promise<{ id: string; url: string; expiresAt: Date }>
  /** The link of a token, null when there is none. */
  open(token: string): Promise<Link | null>
  /** Begins a sign-in at a login host; null when the link was used or expired meanwhile. */
  begin(link: Link, token: string, loginUrl: string): Promise<BegunSignIn | null>
  /**
   * Takes up what a browser came back with: exchanges the code and gives the group's connection the refresh
   * token. Nothing of it is kept unless all of it is.
   *
   * @param browserOf what the browser at hand kept for a link
   */
  finish(callback: Callback, browserOf: (linkId: string) => string | null): Promise<SignInResult>
}

const linkUrl = (base: string, token: string): string => `${base}/connect/${token}`
/** Where login hosts send browsers back to. */
const redirectUri = (base: string): string => `${base}/connect/callback`

/** Binds connecting to the links that are kept and to the ways of signing in. */
export function createConnectOrg(options: ConnectOrgOptions): ConnectOrg {
  const { links, logger, codeFlow, publicUrl } = options
  return {
    async createLink(projectId, input) {
      const { id, token, expiresAt } = await links.create(projectId, input)
      logger.info({ projectId, linkId: id }, 'a link to connect an org was made')
      return { id, url: linkUrl(publicUrl(), token), expiresAt }
    },
    open: (token) => links.find(token),
    async begin(link, token, loginUrl) {
      const uri = redirectUri(publicUrl())
      const begun = await links.begin(link.id, { loginUrl, token, redirectUri: uri })
      if (begun === null) return null
      const { state, verifier, browser, app } = begun
      const signIn = { loginUrl, clientId: app.clientId, redirectUri: uri, state, verifier }
      return { url: codeFlow(link.provider).signInUrl(signIn), browser }
    },
    async finish(callback, browserOf) {
      const attempt = await links.take(callback.state, browserOf)
      if (typeof attempt === 'string') {
        // anybody can ask with anything
        logger.debug({ reason: attempt }, 'a sign-in that came back was not taken up')
        return notConnected(attempt)
      }
      const result = await connect(options, attempt, callback)
      if (result.kind === 'connected') return result
      const { linkId, projectId } = attempt
      logger.warn({ projectId, linkId, reason: result.reason, said: result.said }, 'an org was not connected')
      const host = URL.parse(attempt.loginUrl)?.host ?? null
      return { ...result, again: linkUrl(publicUrl(), attempt.token), host }
    },
  }
}

const notConnected = (reason: NotConnected, said: string | null = null) =>
  ({ kind: 'not_connected', reason, said, again: null, host: null }) satisfies SignInResult

async function connect(
  { links, logger, codeFlow, changed }: ConnectOrgOptions,
  attempt: Attempt,
  { code, error, errorDescription }: Callback,
): Promise<SignInResult> {
  if (error !== null) return notConnected(reasonOf(error), saidWith(error, errorDescription))
  if (code === null) return notConnected('failed')
  const grant = await exchange(codeFlow(attempt.provider), attempt, code)
  if ('kind' in grant) return grant
  if (grant.refreshToken === null) return notConnected('no_refresh_token')
  const { projectId, linkId, app, loginUrl } = attempt
  const credentials = {
    type: 'oauth2-refresh-token',
    ...app,
    refreshToken: grant.refreshToken,
    loginUrl,
  } as const
  const done = await links.complete(attempt, credentials)
  if (done === null) return notConnected('replaced')
  changed()
  const { connection, isNew } = done
  logger.info({ projectId, linkId, connectionId: connection.id, isNew }, 'an org was connected')
  const { projectName, groupRef, returnUrl } = attempt
  const instanceHost = new URL(grant.instanceUrl).host
  return { kind: 'connected', linkId, projectName, groupRef, instanceHost, isNew, returnUrl }
}

async function exchange(flow: CodeFlow, attempt: Attempt, code: string): Promise<Grant | SignInResult> {
  const { app, loginUrl, redirectUri, verifier } = attempt
  try {
    return await flow.exchangeCode(
      { ...app, loginUrl, redirectUri, verifier, code },
      { timeoutMs: EXCHANGE_MS },
    )
  } catch (thrown) {
    if (!(thrown instanceof SessionError)) throw thrown
    const reason = thrown.kind === 'permanent' ? reasonOf(thrown.code) : 'unreachable'
    return notConnected(reason, messageOf(thrown).replace(/^The login host refused with /, ''))
  }
}

/** Errors of login hosts, when they send the browser back and when they are given the code. */
const reasons: Record<string, NotConnected> = {
  access_denied: 'denied',
  OAUTH_APP_ACCESS_DENIED: 'not_approved',
  OAUTH_APP_BLOCKED: 'not_approved',
  OAUTH_APPROVAL_ERROR_GENERIC: 'not_approved',
  OAUTH_EC_APP_NOT_FOUND: 'app_unknown',
  invalid_client_id: 'app_unknown',
  invalid_client: 'app_refused',
  inactive_user: 'not_approved',
  inactive_org: 'not_approved',
  redirect_uri_mismatch: 'redirect_mismatch',
  invalid_scope: 'scope_missing',
  invalid_grant: 'code_refused',
  rate_limit_exceeded: 'unreachable',
  server_error: 'unreachable',
  temporarily_unavailable: 'unreachable',
}

const reasonOf = (code: string): NotConnected => reasons[code] ?? 'failed'

/** The most that is repeated of a login host's words. */
const MAX_SAID = 300

function saidWith(error: string, description: string | null): string {
  const said = description === null || description === '' ? error : `${error}: ${description}`
  return said.replace(/\p{C}/gu, ' ').slice(0, MAX_SAID)
}
