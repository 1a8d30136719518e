import { randomText } from './random.ts'

/** The OAuth grants that an app may use (facts 1.1). */
export type GrantType = 'authorization_code' | 'refresh_token' | 'client_credentials' | 'jwt-bearer'

/** A connected app of the org. */
export interface ConnectedApp {
  clientId: string
  clientSecret: string
  /** Default: all. */
  grants?: GrantType[]
  /** Usernames that approved the app; the first one is the run-as user unless `runAs` is given. */
  users?: string[]
  /** The user of client credentials; null: none is configured. */
  runAs?: string | null
  /** Refresh tokens that exist from the start, for the first user. */
  refreshTokens?: string[]
  /** PEM of the RSA key that JWT assertions are checked with; none: every assertion is refused. */
  publicKeyPem?: string
  /** Whether the secret may be left out of a refresh. Default true: it may not. */
  requireSecret?: boolean
  rotateRefreshTokens?: boolean
  scope?: string
  /** Whether only `users` may use it in a browser; default false: everybody of the org may allow it. */
  approvedOnly?: boolean
  /** Whether a code gives no refresh token although its scope is allowed. Default false. */
  withholdsRefreshTokens?: boolean
}

/** A user of the org. */
export interface OrgUser {
  id: string
  username: string
  active: boolean
}

/** One live approval: a refresh token, those it replaced, and the access tokens that came of it. */
interface Grant {
  app: ConnectedApp
  user: OrgUser
  refreshToken: string
  accessTokens: Set<string>
  live: boolean
}

/** An access token's session. */
export interface Session {
  accessToken: string
  app: ConnectedApp
  user: OrgUser
  expiresAt: number
}

/** What a refresh came to: a grant to mint from, or the reason there is none. */
export type RefreshResult = { grant: Grant; rotatedTo?: string } | 'expired' | 'inactive'

const maxGrants = 5

/** Access tokens, refresh tokens and the rules that revoke them (facts 1.1, 1.2). */
export class SessionStore {
  /** How often a rotated-away refresh token was presented. Any number above 0 is a client's bug. */
  oldRefreshTokensPresented = 0
  /** Successful answers of the token endpoint. */
  minted = 0
  readonly #random: () => number
  readonly #orgId: string
  readonly #sessions = new Map<string, Session>()
  readonly #refreshTokens = new Map<string, Grant>()
  readonly #grants: Grant[] = []

  constructor(orgId: string, random: () => number) {
    this.#orgId = orgId
    this.#random = random
  }

  /** Approves an app for a user. The sixth live approval silently revokes the oldest. */
  authorize(app: ConnectedApp, user: OrgUser, refreshToken = this.#newRefreshToken()): string {
    const grant: Grant = { app, user, refreshToken, accessTokens: new Set(), live: true }
    const live = this.#grants.filter((g) => g.live && g.user === user && g.app.clientId === app.clientId)
    if (live.length >= maxGrants && live[0]) this.#revoke(live[0])
    this.#grants.push(grant)
    this.#refreshTokens.set(refreshToken, grant)
    return refreshToken
  }

  /** Uses a refresh token of an app. An old one revokes its grant with everything that came of it. */
  refresh(app: ConnectedApp, refreshToken: string, rotate: boolean): RefreshResult {
    const grant = this.#refreshTokens.get(refreshToken)
    if (!grant || grant.app.clientId !== app.clientId) return 'expired'
    if (grant.refreshToken !== refreshToken) {
      this.oldRefreshTokensPresented++
      this.#revoke(grant)
    }
    if (!grant.live) return 'expired'
    if (!grant.user.active) return 'inactive'
    if (!rotate) return { grant }
    grant.refreshToken = this.#newRefreshToken()
    this.#refreshTokens.set(grant.refreshToken, grant)
    return { grant, rotatedTo: grant.refreshToken }
  }

  /** A new access token; `now` and its life in milliseconds. */
  mint(app: ConnectedApp, user: OrgUser, now: number, lifeMs: number, grant?: Grant): Session {
    if (this.#sessions.size > 10_000) this.#forgetExpired(now)
    const accessToken = `${this.#orgId.slice(0, 15)}!AQ${randomText(this.#random, 64)}`
    const session: Session = { accessToken, app, user, expiresAt: now + lifeMs }
    this.#sessions.set(accessToken, session)
    grant?.accessTokens.add(accessToken)
    this.minted++
    return session
  }

  /** The live session of a token, its life extended by this use; undefined when it expired or never was. */
  use(accessToken: string, now: number, lifeMs: number): Session | undefined {
    const session = this.#sessions.get(accessToken)
    if (!session || session.expiresAt <= now || !session.user.active) return undefined
    session.expiresAt = now + lifeMs
    return session
  }

  /** Ends every session; refresh tokens stay good. */
  expireAll(): void {
    this.#sessions.clear()
  }

  /** Revokes one access or refresh token, as a user or admin would. */
  revokeToken(token: string): boolean {
    const grant = this.#refreshTokens.get(token)
    if (grant) this.#revoke(grant)
    return grant !== undefined || this.#sessions.delete(token)
  }

  /** Forgets everything. */
  clear(): void {
    this.#sessions.clear()
    this.#refreshTokens.clear()
    this.#grants.length = 0
    this.oldRefreshTokensPresented = 0
    this.minted = 0
  }

  liveSessions(now: number): number {
    return [...this.#sessions.values()].filter((session) => session.expiresAt > now).length
  }

  liveGrants(): number {
    return this.#grants.filter((grant) => grant.live).length
  }

  #revoke(grant: Grant): void {
    grant.live = false
    for (const token of grant.accessTokens) this.#sessions.delete(token)
  }

  #forgetExpired(now: number): void {
    for (const [token, session] of this.#sessions) if (session.expiresAt <= now) this.#sessions.delete(token)
  }

  #newRefreshToken(): string {
    return `5Aep861${randomText(this.#random, 72)}`
  }
}
