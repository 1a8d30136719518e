import type { Sql } from '../db/connect.ts'
import { operationStateOf, type OperationState } from '../model/operation.ts'
import type { WriteState } from '../model/write.ts'
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
  batchId: string
  worker: string
  leaseSeconds: number
}

/**
 * Claims all the writes of a queued operation for a synchronous call: the same guarded move that a group
 * makes, so that whoever comes first, the batcher or this, sends it and the other does not. Writes that
 * wait behind earlier ones to their records are claimed with their places, to be sent when those have ended.
 *
 * @returns the batch, or the operation's state when it is not wholly queued: nothing was moved then
 */
export async function claimOperation(
  sql: Sql,
  { laneId, members }: QueuedOperation,
  claim: OperationClaim,
): Promise<ClaimedBatch | OperationState> {
  const batch = await sql.begin(async (tx) => {
    await lockForClaim(tx, [laneId])
    return claimWrites(tx, {
      ...claim,
      laneId,
      writeIds: members,
      maxBytes: Number.MAX_SAFE_INTEGER,
      whole: true,
      // A caller has heard of it long ago: if this process dies, it goes back into the queue.
      own: false,
    })
  })
  if (batch !== null) return batch
  const rows = await sql<{ state: WriteState }[]>`select state from write where id = any (${members}::uuid[])`
  return operationStateOf(rows.map((row) => row.state))
}
