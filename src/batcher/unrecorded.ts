import { isDatabaseUnavailable, mayBeCommitted } from '../db/pg-errors.ts'
import { messageOf } from '../kernel/errors.ts'
import type { NowOutcome } from '../model/now-outcome.ts'
import type { CallAnswer, ProviderError } from '../model/outcome.ts'
import { inCalls } from '../model/write.ts'
import {
  countOutcomes,
  describeAnswer,
  failBatch,
  recordSettlements,
  unsettled,
  type BatchFacts,
  type Recorded,
} from '../outcomes/record-batch.ts'
import type { ClaimedBatch } from '../queue/claim-batch.ts'
import { releaseKey } from '../queue/idempotency-keys.ts'
import { findSending, insertSending } from '../queue/insert-sending.ts'
import type { Submission } from '../queue/insert-writes.ts'
import type { OperationClaim } from '../queue/promote-operation.ts'
import type { Settlement } from '../queue/settle-batch.ts'
import { toLate } from './late-records.ts'
import type { NowCall } from './now-call.ts'
import { databaseAway } from './now-result.ts'
import { factsOf } from './run-call.ts'
import type { SendingSession } from './sessions.ts'
import { tryNow } from './try-now.ts'

/*
 * Synchronous calls with the database away (contract section 5): they go through, nothing is recorded of
 * them, and the order against what is queued is not kept.
 *
 * When the database went away in the very moment of recording the call as being sent, or has not committed
 * that in good time, its rows may be there all the same. Then what came of the call is recorded as soon as
 * the database is back, so that they neither stay open nor are taken for those of a lost process.
 */

/** The part of a call's time, within bounds in milliseconds, after which a database that has not committed counts as away. */
const PATIENCE = { part: 0.5, leastMs: 2_000, mostMs: 5_000 }

/** Records a call as being sent, and makes it. */
export async function sendRecorded(
  call: NowCall,
  submission: Submission,
  claim: OperationClaim,
  session: SendingSession | ProviderError,
  sendInTurn: (batches: ClaimedBatch[]) => Promise<NowOutcome>,
): Promise<NowOutcome> {
  const insert = insertSending(call.runner.sql, { submission, ...claim })
  const inserted = await inGoodTime(call, insert)
  if (inserted !== null) return sendInTurn(inserted)
  const batches = batchesOf(submission, claim.batchIds)
  if (submission.key !== undefined) {
    forget(call, submission, batches, insert)
    throw databaseAway('The database is away, and a call with an idempotency key cannot go without it.')
  }
  return sendUnrecorded(call, batches, session, insert)
}

/** Null when the database is away. */
async function inGoodTime(call: NowCall, insert: Promise<ClaimedBatch[]>): Promise<ClaimedBatch[] | null> {
  const { runner, time } = call
  const { promise: late, resolve } = Promise.withResolvers<null>()
  const patienceMs = Math.max(PATIENCE.leastMs, Math.min(time.leftMs() * PATIENCE.part, PATIENCE.mostMs))
  const cancel = runner.clock.after(patienceMs, () => resolve(null))
  try {
    return await Promise.race([insert, late])
  } catch (error) {
    if (!isDatabaseUnavailable(error)) throw error
    runner.logger.debug({ error: messageOf(error) }, 'a synchronous call cannot be recorded')
    return null
  } finally {
    cancel()
  }
}

async function sendUnrecorded(
  call: NowCall,
  batches: ClaimedBatch[],
  session: SendingSession | ProviderError,
  insert: Promise<ClaimedBatch[]>,
): Promise<NowOutcome> {
  const settlements = new Map<string, Settlement>()
  const tries: { answer: CallAnswer; ids: Set<string> }[] = []
  const note = (answer: CallAnswer, decided: Settlement[]): void => {
    tries.push({ answer, ids: new Set(decided.map(({ writeId }) => writeId)) })
    for (const settlement of decided) settlements.set(settlement.writeId, settlement)
  }
  const settle = (batch: ClaimedBatch): void => {
    const ended = batch.members.map(({ id }) => toEnded(id, settlements.get(id)))
    const last = tries.findLast(({ ids }) => batch.members.some(({ id }) => ids.has(id)))
    const answer = last?.answer ?? neverTried
    settleIfThere(call, batch, insert, (facts) => {
      const { sql, nudge } = call.runner
      const record = { ...facts, ...describeAnswer(answer), called: answer.kind !== 'not_sent', next: null }
      return recordSettlements(sql, nudge, record, ended)
    })
  }
  return tryNow({ ...call, unrecorded: note }, batches, session).finally(() => batches.forEach(settle))
}

/** A keyed call that was refused: nothing was sent, and its key is free again. */
function forget(
  call: NowCall,
  submission: Submission,
  batches: ClaimedBatch[],
  insert: Promise<ClaimedBatch[]>,
): void {
  const { sql, nudge } = call.runner
  for (const batch of batches) {
    const ids = batch.members.map(({ id }) => id)
    settleIfThere(call, batch, insert, async (facts) => {
      const record = await failBatch(sql, nudge, facts, ids, notSent)
      // Which keeps it until the last of the call's batches has failed.
      await releaseKey(sql, submission)
      return record
    })
  }
}

/** Settles the batch of a call if it was committed after all, or will be. */
function settleIfThere(
  { runner, late }: NowCall,
  batch: ClaimedBatch,
  insert: Promise<ClaimedBatch[]>,
  settle: (facts: BatchFacts) => Promise<Recorded>,
): void {
  const { batchId } = batch
  // Whether it may be there is known once its insert has ended; there is nothing to wait for if it is not.
  const isThere = insert.then(() => true, mayBeCommitted)
  let isKnownGone = false
  void isThere.then((is) => {
    isKnownGone = !is
  })
  const write = async (): Promise<Recorded> => {
    const laneId = (await isThere) ? await findSending(runner.sql, batchId) : null
    return laneId === null ? nothing : settle({ ...factsOf(batch), laneId })
  }
  // One turn later: an insert that has failed for good is known to have by then.
  setImmediate(() => {
    if (!isKnownGone) late.later(toLate(batch), write)
  })
}

const nothing: Recorded = { applied: false, ended: [], wake: [], ...countOutcomes([]) }

/** What a write came to that nobody goes on with. */
function toEnded(writeId: string, settlement: Settlement | undefined): Settlement {
  if (settlement === undefined) return { ...unsettled, writeId, state: 'failed', errors: [notSent] }
  if (settlement.state !== 'queued' && settlement.state !== 'sending') return settlement
  return { ...settlement, state: 'in_doubt', errors: [unknown, ...(settlement.errors ?? [])] }
}

const notSent: ProviderError = {
  code: 'DATABASE_UNAVAILABLE',
  message: 'The database was away when the call came; nothing was sent.',
  fields: [],
}

const neverTried: CallAnswer = { kind: 'not_sent', error: notSent }

const unknown: ProviderError = {
  code: 'OUTCOME_UNKNOWN',
  message: 'The request was sent but no usable answer came: the record may or may not have been written.',
  fields: [],
}

/** A submission as what would have been claimed of it. */
function batchesOf({ lane, operation, writes }: Submission, batchIds: string[]): ClaimedBatch[] {
  const { installationId, projectId, objectName, type, externalIdField, allOrNone } = lane
  const { onRollback, merge, headers, options } = lane
  const ofAll = { installationId, projectId, objectName, type, externalIdField, allOrNone, onRollback, merge }
  return inCalls(writes).map((some, call) => ({
    ...ofAll,
    headers,
    options,
    batchId: batchIds[call] as string,
    laneId: '',
    isCallersBatch: operation !== null,
    lateMs: 0,
    members: some.map(({ id, record, ifEmpty, deadlineSeconds }, position) => ({
      id,
      position,
      record,
      ifEmpty,
      deadlineSeconds,
      attempts: 0,
      rollbacks: 0,
      lostIn: [],
    })),
  }))
}
