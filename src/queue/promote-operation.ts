import type { Sql, Tx } from '../db/connect.ts'
import { operationStateOf, type OperationState } from '../model/operation.ts'
import { inCalls, type WriteState } from '../model/write.ts'
import { lockForClaim, type ClaimedBatch } from './claim-batch.ts'
import { claimWrites } from './claim-write.ts'

/** An operation that a synchronous call is to take over from the queue. */
export interface QueuedOperation {
  installationId: string
  laneId: string
  /** Its writes, by the caller's positions. */
  members: string[]
  /** Whether it is a caller-built batch. */
  isBatch: boolean
}

/** A write of its own or a caller-built batch of a project; null when the project has none of that id. */
export async function findQueuedOperation(
  sql: Sql,
  projectId: string,
  operationId: string,
): Promise<QueuedOperation | null> {
  const [found] = await sql<QueuedOperation[]>`
    select w.installation_id as "installationId", w.lane_id as "laneId", array[w.id] as members, false as "isBatch"
    from write w where w.id = ${operationId} and w.project_id = ${projectId} and w.operation_id is null
    union all
    select o.installation_id, w.lane_id, o.members, true
    from operation o join write w on w.id = o.members[1]
    where o.id = ${operationId} and o.project_id = ${projectId}`
  return found ?? null
}

/** Who takes an operation over. */
export interface OperationClaim {
  /** One for each call that its writes take. */
  batchIds: string[]
  worker: string
  leaseSeconds: number
}

/**
 * Claims all the writes of a queued operation for a synchronous call: the same guarded move that a group
 * makes, so that whoever comes first, the batcher or this, sends it and the other does not. Writes that
 * wait behind earlier ones to their records are claimed with their places, to be sent when those have ended.
 *
 * @returns the batches, one for each call, or the operation's state when it is not wholly queued: nothing
 *   was moved then
 */
export async function claimOperation(
  sql: Sql,
  { laneId, members }: QueuedOperation,
  claim: OperationClaim,
): Promise<ClaimedBatch[] | OperationState> {
  const { batchIds, ...rest } = claim
  const claimAll = async (tx: Tx): Promise<ClaimedBatch[]> => {
    await lockForClaim(tx, [laneId])
    const batches: ClaimedBatch[] = []
    for (const [call, writeIds] of inCalls(members).entries()) {
      const batch = await claimWrites(tx, {
        ...rest,
        batchId: batchIds[call] as string,
        laneId,
        writeIds,
        maxBytes: Number.MAX_SAFE_INTEGER,
        whole: true,
        // A caller has heard of it long ago: if this process dies, it goes back into the queue.
        own: false,
      })
      if (batch === null) throw new NotQueued()
      batches.push(batch)
    }
    return batches
  }
  const batches = await sql.begin(claimAll).catch((error: unknown) => {
    if (error instanceof NotQueued) return null
    throw error
  })
  if (batches !== null) return batches
  const rows = await sql<{ state: WriteState }[]>`select state from write where id = any (${members}::uuid[])`
  return operationStateOf(rows.map((row) => row.state))
}

/** Undoes the claim of an operation of which not all is queued. */
class NotQueued extends Error {
  constructor() {
    super('The operation is not wholly queued.')
    this.name = 'NotQueued'
  }
}
