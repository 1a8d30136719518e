import { isDatabaseUnavailable } from '../db/pg-errors.ts'
import { isWritebackError, messageOf } from '../kernel/errors.ts'
import type { Session } from '../model/credentials.ts'
import type { ProviderError } from '../model/outcome.ts'
import type { Provider } from '../providers/provider.ts'

/** A session to send with, and the version that names it when it turns out to have expired. */
export interface SendingSession {
  provider: Provider
  session: Session
  version: number
  /** To be told that the provider took the session, in whatever it then answered. */
  worked: () => void
}

/** Where sessions come from. A rejection means that none can be had now: nothing was sent. */
export interface SessionSource {
  open: (installationId: string) => Promise<SendingSession>
  /** A newer session than the one of `staleVersion`, which the provider refused. */
  refresh: (installationId: string, staleVersion: number) => Promise<SendingSession>
}

/** Why there is no session, as it is recorded with a write. */
export const sessionFailure = (error: unknown): ProviderError => ({
  code: codeOf(error),
  message: messageOf(error),
  fields: [],
})

function codeOf(error: unknown): string {
  if (isWritebackError(error)) return error.code
  return isDatabaseUnavailable(error) ? 'DATABASE_UNAVAILABLE' : 'NO_SESSION'
}
