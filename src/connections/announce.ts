import type { Tx } from '../db/connect.ts'

/** The channel on which every change of the set-up is told to all processes. */
export const SETUP_CHANNEL = 'writeback_setup'

/** The things whose changes are told. */
export type SetupKind = 'project' | 'api_key' | 'integration' | 'connection' | 'installation'

/** Tells every process, at commit, that something of the set-up changed. */
export async function announce(tx: Tx, kind: SetupKind, id: string): Promise<void> {
  await tx`select pg_notify(${SETUP_CHANNEL}, ${`${kind} ${id}`})`
}

/** The id of the connection that an announcement is about, or null when it is about something else. */
export const announcedConnection = (payload: string): string | null =>
  payload.startsWith('connection ') ? payload.slice('connection '.length) : null
