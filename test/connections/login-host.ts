import type { Mint } from '../../src/connections/sessions.ts'

/** What a provider throws when it opens no session. */
export const failure = (kind: string, code: string, message = code): Error =>
  Object.assign(new Error(message), { name: 'SessionError', kind, code })

export interface LoginHost {
  mints: number
  revoked: boolean
  /** The refresh token that counts at present. */
  valid: string
  /** Runs before anything is done; fails to refuse. */
  before: () => Promise<unknown>
  /** Runs when all is done; fails to lose the answer. */
  after: () => Promise<unknown>
  mint: Mint
}

/** A login host: counts what it minted and, when it rotates, revokes everything if a spent token comes back. */
export function loginHost(options: { rotates?: boolean } = {}): LoginHost {
  const host: LoginHost = {
    mints: 0,
    revoked: false,
    valid: 'token-0',
    before: () => Promise.resolve(),
    after: () => Promise.resolve(),
    mint: async (_provider, credentials) => {
      await host.before()
      const session = { accessToken: `access-${++host.mints}`, instanceUrl: 'https://acme.my.salesforce.com' }
      if (options.rotates !== true || credentials.type !== 'oauth2-refresh-token') return session
      if (credentials.refreshToken !== host.valid) {
        host.revoked = true
        throw failure('permanent', 'invalid_grant')
      }
      host.valid = `token-${host.mints}`
      await host.after()
      return { ...session, rotatedRefreshToken: host.valid }
    },
  }
  return host
}
