import type { Tx } from '../db/connect.ts'

/** The channel on which every change of the set-up is told to all processes. */
export const SETUP_CHANNEL = 'writeback_setup'

/** The things whose changes are told. */
export type SetupKind = 'project' | 'api_key' | 'integration' | 'connection' | 'installation'

/** Tells every process, at commit, that something of the set-up changed. */
export async function announce(tx: Tx, kind: SetupKind, id: string): Promise<void> {
  await tx`select pg_notify(${SETUP_CHANNEL}, ${`${kind} ${id}`})`
}

/** Tells every process, at commit, that a connection has new credentials: what waits for it may go on. */
export async function announceRenewed(tx: Tx, connectionId: string): Promise<void> {
  await tx`select pg_notify(${SETUP_CHANNEL}, ${`connection ${connectionId} renewed`})`
}

/** What an announcement says of a connection. */
export interface AnnouncedConnection {
  id: string
  /** Whether it has new credentials. */
  isRenewed: boolean
}

/** The connection that an announcement is about, or null when it is about something else. */
export function announcedConnection(payload: string): AnnouncedConnection | null {
  const [kind, id, what] = payload.split(' ')
  return kind === 'connection' && id !== undefined ? { id, isRenewed: what === 'renewed' } : null
}
