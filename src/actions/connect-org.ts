import {
  NotStored,
  type Attempt,
  type AttemptRefusal,
  type Connected,
  type ConnectLinks,
  type Link,
  type NewLink,
} from '../connections/connect-links.ts'
import { messageOf } from '../kernel/errors.ts'
import type { Logger } from '../kernel/log.ts'
import type { CodeFlow, Grant } from '../providers/code-flow.ts'
import { SessionError } from '../providers/provider.ts'

export type { Link, NewLink } from '../connections/connect-links.ts'

/** Milliseconds that the login host may take to exchange a code: a person waits for it. */
const EXCHANGE_MS = 15_000
/** Milliseconds that it may take to end a grant that cannot be kept. */
const REVOKE_MS = 5_000

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
 * Why a sign-in came to nothing. `replaced`: another one has begun with the same link; `deleted`: the project is no
 * more; after it, what the login host or the customer said.
 */
export type NotConnected =
  | AttemptRefusal
  | 'replaced'
  | 'deleted'
  | 'denied'
  | 'not_approved'
  | 'not_installed'
  | 'not_from_here'
  | 'other_org'
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
      const again = result.reason === 'deleted' ? null : linkUrl(publicUrl(), attempt.token)
      return { ...result, again, host: URL.parse(attempt.loginUrl)?.host ?? null }
    },
  }
}

const notConnected = (reason: NotConnected, said: string | null = null) =>
  ({ kind: 'not_connected', reason, said, again: null, host: null }) satisfies SignInResult

async function connect(
  options: ConnectOrgOptions,
  attempt: Attempt,
  { code, error, errorDescription }: Callback,
): Promise<SignInResult> {
  const { codeFlow, logger, changed } = options
  if (error !== null)
    return notConnected(reasonOf(error, errorDescription ?? ''), saidWith(error, errorDescription))
  if (code === null) return notConnected('failed')
  const grant = await exchange(codeFlow(attempt.provider), attempt, code)
  if ('kind' in grant) return grant
  if (grant.refreshToken === null) return notConnected('no_refresh_token')
  const done = await store(options, attempt, grant.refreshToken)
  if (typeof done === 'string') return notConnected(done)
  changed()
  const { connection, isNew } = done
  const { projectId, linkId, projectName, groupRef, returnUrl } = attempt
  const instanceHost = new URL(grant.instanceUrl).host
  logger.info({ projectId, linkId, connectionId: connection.id, isNew, instanceHost }, 'an org was connected')
  return { kind: 'connected', linkId, projectName, groupRef, instanceHost, isNew, returnUrl }
}

/**
 * Stores what was granted, or else ends the grant: the login host keeps a few for each user and app, and ends the
 * oldest for another one, which may be the one in use. A grant that may have been stored is left alone.
 */
async function store(
  { links, logger, codeFlow }: ConnectOrgOptions,
  attempt: Attempt,
  refreshToken: string,
): Promise<Connected | 'replaced' | 'deleted'> {
  const { app, loginUrl, provider, projectId, linkId } = attempt
  const revoke = async (): Promise<void> => {
    const limits = { timeoutMs: REVOKE_MS }
    const isRevoked = await codeFlow(provider).revoke({ loginUrl, refreshToken }, limits)
    logger.warn({ projectId, linkId, isRevoked }, 'a grant was given back, since it was not stored')
  }
  try {
    const credentials = { type: 'oauth2-refresh-token', ...app, refreshToken, loginUrl } as const
    const done = await links.complete(attempt, credentials)
    if (typeof done === 'string') await revoke()
    return done
  } catch (error) {
    if (!(error instanceof NotStored)) throw error
    await revoke()
    throw error.cause
  }
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
    const said = messageOf(thrown).replace(/^The login host refused with /, '')
    return notConnected(thrown.kind === 'permanent' ? reasonOf(thrown.code, said) : 'unreachable', said)
  }
}

/** Where one code stands for several things, the login host's words tell which. */
const wordings: [RegExp, NotConnected][] = [
  [/\binstalled\b/i, 'not_installed'],
  [/\bip restricted\b|\blogin hours\b/i, 'not_from_here'],
]

/** Errors of login hosts, when they send the browser back and when they are given the code. */
const reasons = new Map<string, NotConnected>([
  ['access_denied', 'denied'],
  ['OAUTH_APP_ACCESS_DENIED', 'not_approved'],
  ['OAUTH_APP_BLOCKED', 'not_approved'],
  ['OAUTH_APPROVAL_ERROR_GENERIC', 'not_approved'],
  ['OAUTH_AUTHORIZATION_BLOCKED', 'other_org'],
  ['OAUTH_EC_APP_NOT_FOUND', 'not_installed'],
  ['invalid_client_id', 'app_unknown'],
  ['invalid_client', 'app_refused'],
  ['inactive_user', 'not_approved'],
  ['inactive_org', 'not_approved'],
  ['redirect_uri_mismatch', 'redirect_mismatch'],
  ['invalid_scope', 'scope_missing'],
  ['invalid_grant', 'code_refused'],
  ['rate_limit_exceeded', 'unreachable'],
  ['server_error', 'unreachable'],
  ['temporarily_unavailable', 'unreachable'],
])

const reasonOf = (code: string, words: string): NotConnected =>
  wordings.find(([wording]) => wording.test(words))?.[1] ?? reasons.get(code) ?? 'failed'

/** The most that is repeated of a login host's words. */
const MAX_SAID = 300

function saidWith(error: string, description: string | null): string {
  const said = description === null || description === '' ? error : `${error}: ${description}`
  return said.replace(/\p{C}/gu, ' ').slice(0, MAX_SAID)
}
