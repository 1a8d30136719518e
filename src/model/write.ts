/** What a write asks for. Deletes are part of the model; see the write call for what is accepted. */
export type WriteType = 'create' | 'update' | 'upsert' | 'delete'

/** The states of one write (contract section 7; design, Tables). */
export type WriteState = 'queued' | 'sending' | 'succeeded' | 'failed' | 'in_doubt' | 'cancelled'

/**
 * Every legal move of a write. Each is made by one guarded update that names the state it leaves; the
 * suite runs those updates on a database that refuses every other move.
 */
export const moves: Record<WriteState, readonly WriteState[]> = {
  queued: ['sending', 'failed', 'in_doubt', 'cancelled'],
  sending: ['succeeded', 'failed', 'queued', 'in_doubt'],
  in_doubt: ['queued', 'succeeded', 'failed'],
  failed: ['queued'],
  succeeded: [],
  cancelled: [],
}

/** Whether a write in this state has ended (it may still be moved by hand, see {@link moves}). */
export const hasEnded = (state: WriteState): boolean => state !== 'queued' && state !== 'sending'

/** The most records that one group may hold (contract section 6.3). */
export const MAX_GROUP = 100

/** The most groups that one call may carry (facts 4: collections in a composite request). */
export const MAX_PACKED = 5
