import { fullJitter, type BackoffBounds } from '../kernel/backoff.ts'
import { newId } from '../kernel/ids.ts'
import { MAX_GROUP_BYTES } from '../model/write.ts'
import { claimBatch, lockForClaim, type ClaimedBatch } from '../queue/claim-batch.ts'
import { claimWrites } from '../queue/claim-write.ts'
import { findAhead, type WriteAhead } from '../queue/find-ahead.ts'
import { joinMerged } from '../queue/merge-waiting.ts'
import { sendClaimed } from './run-call.ts'
import type { NowCall } from './now-call.ts'
import { OutcomeWatch } from './outcome-watch.ts'

/** How often what is ahead is looked at, in case its end was not heard of. */
const LOOK_MS = 1_000
/** Waits between the tries that one call makes of one earlier write. */
const againBounds: BackoffBounds = { baseMs: 500, capMs: 5_000 }

/**
 * Gets what is ahead of a call's own writes out of their way (contract section 6.4): what waits in the
 * queue is claimed and sent first, in order and like any group; what is in flight is waited for. Each
 * round looks at the heads of the records' chains only, since what is behind a head is not free yet.
 *
 * What it sends is not cut off when the call's time is over: it goes on, and is recorded, without the call.
 *
 * @returns false when the time was over first
 */
export async function sendAhead(
  call: NowCall,
  installationId: string,
  own: readonly ClaimedBatch[],
): Promise<boolean> {
  const ids = own.flatMap((batch) => batch.members.map((member) => member.id))
  const tries = new Tries(call)
  const watch = new OutcomeWatch(call.waiter)
  try {
    for (;;) {
      const heads = await findAhead(call.runner.sql, installationId, ids)
      if (heads.length === 0) return true
      if (call.time.leftMs() <= 0) return false
      const ready = heads.filter((head) => head.waits && tries.waitMs(head.id) <= 0)
      if (ready.length > 0 && (await sendLanes(call, installationId, ready, tries))) continue
      // Whoever is newly waited for may have ended before the watch began: that takes another look.
      if (watch.set(heads, call.time.leftMs())) continue
      const waits = heads.map((head) => tries.waitMs(head.id)).filter((ms) => ms > 0)
      await watch.next(call.time, Math.min(LOOK_MS, ...waits))
    }
  } finally {
    watch.end()
  }
}

/** Sends the heads lane by lane; false when nothing of them could be claimed. */
async function sendLanes(
  call: NowCall,
  installationId: string,
  heads: WriteAhead[],
  tries: Tries,
): Promise<boolean> {
  let sent = false
  for (const [laneId, ofLane] of Map.groupBy(heads, (head) => head.laneId)) {
    if (call.time.leftMs() <= 0) break
    const session = await call.time.within(call.runner.sessions.open(installationId)).catch(() => null)
    for (const head of ofLane) tries.count(head.id)
    if (session === null) continue
    const batch = await claimHeads(call, laneId, ofLane)
    if (batch === null) continue
    sent = true
    const { runner, cut } = call
    const { batchId } = batch
    runner.inFlight.add(batchId)
    const sending = sendClaimed(
      runner,
      { callId: batchId, batches: [{ ...batch, leftAs: 'ahead' }] },
      session,
      cut,
    )
    const kept = call.keep(sending.finally(() => runner.inFlight.delete(batchId)))
    await call.time.within(kept).catch((error: unknown) => {
      if (!call.time.isOver(error)) throw error
    })
  }
  return sent
}

/** Claims the heads of one lane, together with what is to be sent as one with them; a batch that goes whole, whole. */
const claimHeads = ({ runner }: NowCall, laneId: string, heads: WriteAhead[]): Promise<ClaimedBatch | null> =>
  runner.sql.begin(async (tx) => {
    const batchId = newId()
    const claim = {
      laneId,
      batchId,
      worker: runner.worker,
      leaseSeconds: runner.leaseSeconds,
      maxBytes: MAX_GROUP_BYTES,
    }
    await lockForClaim(tx, [laneId])
    if (heads.some((head) => head.goesWhole)) {
      const result = await claimBatch(tx, {
        ...claim,
        callId: batchId,
        rides: true,
        synchronous: true,
        heldParents: [],
      })
      const { batch, nextDueAt, installationId } = result
      if (nextDueAt !== null && installationId !== null)
        await runner.nudge(tx, [{ laneId, installationId, at: nextDueAt }])
      return batch
    }
    const batch = await claimWrites(tx, {
      ...claim,
      writeIds: heads.map((head) => head.id),
      whole: false,
      own: false,
    })
    if (batch?.merge === true) await joinMerged(tx, batch)
    return batch
  })

/** The tries that a call makes of earlier writes, and when each may have its next. */
class Tries {
  readonly #call: NowCall
  readonly #tried = new Map<string, { count: number; notBefore: number }>()

  constructor(call: NowCall) {
    this.#call = call
  }

  /** Milliseconds until the write may be tried; 0 or less when it may. */
  waitMs(id: string): number {
    return (this.#tried.get(id)?.notBefore ?? 0) - this.#call.runner.clock.monotonic()
  }

  count(id: string): void {
    const { clock, random } = this.#call.runner
    const count = (this.#tried.get(id)?.count ?? 0) + 1
    this.#tried.set(id, { count, notBefore: clock.monotonic() + fullJitter(count, againBounds, random()) })
  }
}
