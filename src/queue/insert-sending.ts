import type { Sql } from '../db/connect.ts'
import { newId } from '../kernel/ids.ts'
import { inCalls } from '../model/write.ts'
import type { ClaimedBatch } from './claim-batch.ts'
import { claimWrites } from './claim-write.ts'
import { ensureLane, keepLanes, LaneGone } from './ensure-lane.ts'
import { KeyTaken, takeKeys } from './idempotency-keys.ts'
import { insertOperations } from './insert-operations.ts'
import { insertWrites, type Submission } from './insert-writes.ts'
import { lockOrder } from './record-order.ts'

/** What a synchronous call brings, and who makes it. */
export interface SendingRequest {
  submission: Submission
  /** One for each call that its writes take. */
  batchIds: string[]
  worker: string
  leaseSeconds: number
}

/** The lane of a batch that is open; null when there is no such batch. */
export async function findSending(sql: Sql, batchId: string): Promise<string | null> {
  const [row] = await sql<{ laneId: string }[]>`
    select lane_id as "laneId" from batch where id = ${batchId} and state <> 'ended'`
  return row?.laneId ?? null
}

/**
 * Records a synchronous call's writes as being sent, each with its place in the order of its record, and
 * the batches that will carry them, one for each call, as claimed by this process. So later writes to their
 * records are blocked behind them from here on, and no worker can take them.
 *
 * They join the lane that asynchronous ones of their kind would: what is left to the queue goes on there.
 *
 * @throws {KeyTaken} when the call's idempotency key belongs to an earlier call: nothing is recorded
 */
export async function insertSending(sql: Sql, request: SendingRequest): Promise<ClaimedBatch[]> {
  try {
    return await insertOnce(sql, request)
  } catch (error) {
    if (!(error instanceof LaneGone)) throw error
    return insertOnce(sql, request)
  }
}

async function insertOnce(sql: Sql, request: SendingRequest): Promise<ClaimedBatch[]> {
  const { submission, batchIds, worker, leaseSeconds } = request
  const { operation, writes } = submission
  const laneId = operation === null ? await ensureLane(sql, submission.lane) : newId()
  const installations = writes.flatMap(({ recordKey, installationId }) =>
    recordKey === null ? [] : [installationId],
  )
  return sql.begin(async (tx) => {
    if ((await takeKeys(tx, [submission])).size > 0) throw new KeyTaken()
    // Sent together, run in this order. Blocked writes are in no lane's count and in no claim's index.
    const [, , , ...claimed] = await Promise.all([
      installations.length > 0 ? lockOrder(tx, installations) : null,
      operation === null ? keepLanes(tx, [laneId]) : insertOperations(tx, [{ laneId, submission }]),
      insertWrites(
        tx,
        writes.map((write) => ({ ...write, laneId, blocked: true })),
      ),
      ...inCalls(writes).map((some, call) =>
        claimWrites(tx, {
          laneId,
          writeIds: some.map((write) => write.id),
          batchId: batchIds[call] as string,
          worker,
          leaseSeconds,
          maxBytes: Number.MAX_SAFE_INTEGER,
          whole: true,
          own: true,
        }),
      ),
    ])
    return claimed.map((batch) => {
      if (batch === null) throw new LaneGone()
      return batch
    })
  })
}
