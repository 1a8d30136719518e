import { WritebackError } from '../kernel/errors.ts'

/** The connection opens no session until it gets new credentials (contract section 6.10). */
export class ConnectionBroken extends WritebackError {
  readonly connectionId: string
  constructor(connectionId: string, reason: string) {
    super('NO_WORKING_CONNECTION', `The connection is broken: ${reason}`, {
      remedy: 'Give the connection new credentials.',
    })
    this.name = 'ConnectionBroken'
    this.connectionId = connectionId
  }
}

/** No session right now, and not by the credentials' fault: it is worth trying again. */
export class SessionUnavailable extends WritebackError {
  readonly connectionId: string
  /** `ambiguous`: the login host may have minted a session whose answer was lost. */
  readonly kind: 'transient' | 'ambiguous'
  constructor(connectionId: string, kind: SessionUnavailable['kind'], reason: string, cause?: unknown) {
    super('PROVIDER_UNREACHABLE', `No session could be opened: ${reason}`, {
      remedy: 'Try again a little later.',
      cause,
    })
    this.name = 'SessionUnavailable'
    this.connectionId = connectionId
    this.kind = kind
  }
}

/** What a provider throws when it opens no session. Known by its shape: its floor is not ours to import. */
export interface MintFailure extends Error {
  kind: 'permanent' | 'transient' | 'ambiguous'
  code: string
}

/** Whether something thrown by a mint is its own word on why it failed. */
export const isMintFailure = (error: unknown): error is MintFailure =>
  error instanceof Error && error.name === 'SessionError' && 'kind' in error && 'code' in error
