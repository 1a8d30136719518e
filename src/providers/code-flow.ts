import type { CallOptions } from './provider.ts'

/** Where a customer is sent to sign in and to allow the app (OAuth's web-server flow with PKCE). */
export interface SignIn {
  /** The login host. */
  loginUrl: string
  clientId: string
  /** Where the login host sends the browser back to, with the state and a code. */
  redirectUri: string
  state: string
  /** The text whose hash the login host is given now and which itself goes with the code. */
  verifier: string
}

/** A code that came back, with what the browser was sent away with. */
export interface CodeExchange extends Omit<SignIn, 'state'> {
  clientSecret?: string
  code: string
}

/** What a code was exchanged for. */
export interface Grant {
  /** Null when the app may not have one, so that the grant would end with its session. */
  refreshToken: string | null
  /** The org's own host, for example `https://example.my.salesforce.com`. */
  instanceUrl: string
}

/** How a CRM lets a customer connect an org in a browser. */
export interface CodeFlow {
  /** The address that the browser is sent to. */
  signInUrl(signIn: SignIn): string
  /**
   * Exchanges a code at the login host that gave it. One request, never repeated: a code works once.
   * @throws {SessionError} with a message that holds no secret
   */
  exchangeCode(exchange: CodeExchange, options: CallOptions): Promise<Grant>
  /**
   * Ends a grant that nobody is going to use, at the login host that gave it. One request, never repeated.
   *
   * @returns whether the login host said so
   */
  revoke(grant: { loginUrl: string; refreshToken: string }, options: CallOptions): Promise<boolean>
  /** Ends idle sockets; the flow is not used afterwards. */
  close(): Promise<void>
}
