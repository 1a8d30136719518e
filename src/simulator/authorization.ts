import { createHash } from 'node:crypto'
import { randomText } from './random.ts'
import type { ConnectedApp, OrgUser } from './sessions.ts'

/** What a browser came to the authorize page with. */
export interface AuthorizationRequest {
  app: ConnectedApp
  redirectUri: string
  /** Scopes asked for, or those of the app. */
  scope: string
  state: string | null
  codeChallenge: string | null
}

/** Somebody on the way from the login page to their answer. */
export interface Visit extends AuthorizationRequest {
  /** Set once they have logged in. */
  user?: OrgUser
}

/** A code that can still be exchanged, or was. */
interface IssuedCode extends AuthorizationRequest {
  user: OrgUser
  expiresAt: number
  isUsed: boolean
}

/** Milliseconds that a code is good for. */
const CODE_MS = 15 * 60_000

/** What a code is exchanged with. */
export interface Exchange {
  app: ConnectedApp
  redirectUri: string
  verifier: string | null
}

/** Why a code is not taken, as the token endpoint words it. */
export type CodeRefusal =
  | 'invalid authorization code'
  | 'expired authorization code'
  | 'redirect_uri must match configuration'
  | 'invalid code verifier'

/** Visits of the login and consent pages, and the codes that came of them. */
export class AuthorizationStore {
  readonly #random: () => number
  readonly #visits = new Map<string, Visit>()
  readonly #codes = new Map<string, IssuedCode>()

  constructor(random: () => number) {
    this.#random = random
  }

  /** Lets somebody in, who is known by the answer from then on. */
  open(request: AuthorizationRequest): string {
    const id = randomText(this.#random, 32)
    this.#visits.set(id, { ...request })
    return id
  }

  visit(id: string): Visit | undefined {
    return this.#visits.get(id)
  }

  /** Ends a visit, with a code when it was allowed. */
  close(id: string): void {
    this.#visits.delete(id)
  }

  /** A code for a user who has allowed what was asked for. */
  issue(request: AuthorizationRequest, user: OrgUser, now: number): string {
    const code = `aPrx${randomText(this.#random, 64)}==`
    this.#codes.set(code, { ...request, user, expiresAt: now + CODE_MS, isUsed: false })
    return code
  }

  /** Takes a code: once, for the app and the redirect URI that it was given for, with the verifier of its challenge. */
  exchange(code: string, exchange: Exchange, now: number): { user: OrgUser; scope: string } | CodeRefusal {
    const issued = this.#codes.get(code)
    if (!issued || issued.isUsed || issued.app.clientId !== exchange.app.clientId)
      return 'invalid authorization code'
    if (issued.redirectUri !== exchange.redirectUri) return 'redirect_uri must match configuration'
    if (!proves(exchange.verifier, issued.codeChallenge)) return 'invalid code verifier'
    issued.isUsed = true
    return issued.expiresAt <= now ? 'expired authorization code' : { user: issued.user, scope: issued.scope }
  }

  clear(): void {
    this.#visits.clear()
    this.#codes.clear()
  }
}

/** Whether a verifier is the one whose hash was given (S256). */
function proves(verifier: string | null, challenge: string | null): boolean {
  if (challenge === null) return true
  return verifier !== null && createHash('sha256').update(verifier).digest('base64url') === challenge
}
