import { createActions, type Actions } from './actions/actions.ts'
import { callersReadRoutes, type ReadPort } from './api/compat/callers-reads.ts'
import { floqerOptionRoutes } from './api/compat/floqer-options.ts'
import { recordsQueryRoutes } from './api/compat/records-query.ts'
import { reportPace } from './batcher/report-pace.ts'
import type { SendingSession } from './batcher/sessions.ts'
import type { Clock } from './kernel/clock.ts'
import type { Provider } from './providers/provider.ts'
import type { ReadingProvider } from './providers/reading-provider.ts'

/** A provider for those who write and for those who read. */
export type OrgProvider = Provider & ReadingProvider

/** A session for both. */
export interface OrgSession extends SendingSession {
  provider: OrgProvider
}

/** Where the sessions of all provider calls come from. */
export interface OrgSessions {
  open: (installationId: string) => Promise<OrgSession>
  refresh: (installationId: string, staleVersion: number) => Promise<OrgSession>
}

/** What reading from orgs needs of the process. */
export interface ActionsOptions {
  sessions: OrgSessions
  /** What keeps the limits of orgs, as those who write learn them. */
  pace: Parameters<typeof reportPace>[0]
  clock: Clock
  callTimeoutMs: number
  installation: ReadPort['installation']
}

/** The synchronous reads, and the calls by which they are asked for. */
export interface Reading {
  actions: Actions
  routes: ReturnType<typeof callersReadRoutes>[]
}

/** Wires the actions floor. */
export function wireActions({ pace, installation, ...rest }: ActionsOptions): Reading {
  const actions = createActions({
    ...rest,
    note: ({ answer, ...call }) => reportPace(pace, { ...call, answers: [answer] }),
  })
  const port = { actions, installation }
  return { actions, routes: [callersReadRoutes(port), recordsQueryRoutes(port), floqerOptionRoutes(port)] }
}
