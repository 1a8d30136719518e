/** What a connection holds to open sessions with (contract section 4). Never logged, never returned. */
export type Credentials =
  | {
      type: 'oauth2-refresh-token'
      clientId: string
      clientSecret?: string
      refreshToken: string
      loginUrl?: string
    }
  | { type: 'oauth2-client-credentials'; clientId: string; clientSecret: string; loginUrl: string }
  | { type: 'oauth2-jwt-bearer'; clientId: string; username: string; privateKey: string; loginUrl?: string }
  | { type: 'access-token'; accessToken: string; instanceUrl: string }

/** A session as minted by a login host: what API calls need. Kept encrypted, shared by all processes. */
export interface Session {
  accessToken: string
  /** Base of every API call, for example `https://example.my.salesforce.com`. */
  instanceUrl: string
  /** The org's id as the login host told it; absent where none was told. */
  orgId?: string
}

/** What the org of a session is known by: calls of one org draw on one allocation (facts 6). */
export const orgOf = (session: Session): string =>
  session.orgId ?? URL.parse(session.instanceUrl)?.host ?? session.instanceUrl

/** A minted session, and the refresh token that replaces the one used when the app rotates them (facts 1.2). */
export interface MintedSession extends Session {
  rotatedRefreshToken?: string
}
