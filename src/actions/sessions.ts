import type { Session } from '../model/credentials.ts'
import type { CallAnswer } from '../model/outcome.ts'
import type { ConfiguredObject } from '../model/object-entry.ts'
import type { ReadingProvider } from '../providers/reading-provider.ts'

/** A session to read with, and the version that names it when it turns out to have expired. */
export interface ReadingSession {
  provider: ReadingProvider
  session: Session
  version: number
  /** To be told that the provider took the session, in whatever it then answered. */
  worked: () => void
}

/** Where sessions come from. */
export interface ReadingSessions {
  /** @throws {WritebackError} NO_WORKING_CONNECTION or PROVIDER_UNREACHABLE */
  open: (installationId: string) => Promise<ReadingSession>
  /** A newer session than the one of `staleVersion`, which the provider refused. */
  refresh: (installationId: string, staleVersion: number) => Promise<ReadingSession>
}

/** A call that was made, as far as its org's limits are concerned. */
export interface MadeCall {
  installationId: string
  /** What the org is known by, for its limits. */
  org: string
  answer: CallAnswer
  /** Milliseconds that the call took. */
  callMs: number
}

/** The installation that a call is for. */
export interface ReadTarget {
  id: string
  /** Objects that may be written, by name; null when every one may. */
  objects: ReadonlyMap<string, ConfiguredObject> | null
}
