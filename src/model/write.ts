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

/** Bytes of records of one group: five of them stay under the provider's 50 MB (facts 6), and bound this process's memory. */
export const MAX_GROUP_BYTES = 6 * 1024 * 1024

/** The most groups that one call may carry (facts 4: collections in a composite request). */
export const MAX_PACKED = 5

/** The most records of one request, and so of one transaction: larger than a group that forms by itself (facts 3). */
export const MAX_REQUEST = 200

/** The most records that one call may carry. */
export const MAX_CALL = MAX_REQUEST * MAX_PACKED

/** The most records of a batch that a caller builds, by the calls that take the most (contract section 8). */
export const MAX_BATCH = 2_000

/** Members of a caller-built batch, in parts that one call each carries. */
export const inCalls = <T>(members: readonly T[]): T[][] =>
  Array.from({ length: Math.ceil(members.length / MAX_CALL) }, (_, call) =>
    members.slice(call * MAX_CALL, (call + 1) * MAX_CALL),
  )
