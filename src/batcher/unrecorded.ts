import { isDatabaseUnavailable, mayBeCommitted } from '../db/pg-errors.ts'
import { messageOf } from '../kernel/errors.ts'
import type { NowOutcome } from '../model/now-outcome.ts'
import type { CallAnswer, ProviderError } from '../model/outcome.ts'
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
import type { NowCall } from './now-call.ts'
import { databaseAway } from './now-result.ts'
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
  sendInTurn: (batch: ClaimedBatch) => Promise<NowOutcome>,
): Promise<NowOutcome> {
  const insert = insertSending(call.runner.sql, { submission, ...claim })
  const batch = await inGoodTime(call, insert)
  if (batch !== null) return sendInTurn(batch)
  if (submission.key !== undefined) {
    forget(call, submission, claim.batchId, insert)
    throw databaseAway('The database is away, and a call with an idempotency key cannot go without it.')
  }
  return sendUnrecorded(call, submission, claim.batchId, session, insert)
}

/** Null when the database is away. */
async function inGoodTime(call: NowCall, insert: Promise<ClaimedBatch>): Promise<ClaimedBatch | null> {
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
  submission: Submission,
  batchId: string,
  session: SendingSession | ProviderError,
  insert: Promise<ClaimedBatch>,
): Promise<NowOutcome> {
  const settlements = new Map<string, Settlement>()
  let last: CallAnswer | null = null
  const note = (answer: CallAnswer, decided: Settlement[]): void => {
    last = answer
    for (const settlement of decided) settlements.set(settlement.writeId, settlement)
  }
  const settle = (): void => {
    const ended = submission.writes.map(({ id }) => toEnded(id, settlements.get(id)))
    settleIfThere(call, submission, batchId, insert, (facts) => {
      const { sql, nudge } = call.runner
      const answer = last ?? neverTried
      const batch = { ...facts, ...describeAnswer(answer), called: answer.kind !== 'not_sent', next: null }
      return recordSettlements(sql, nudge, batch, ended)
    })
  }
  return tryNow({ ...call, unrecorded: note }, batchOf(submission, batchId), session).finally(settle)
}

/** A keyed call that was refused: nothing was sent, and its key is free again. */
function forget(call: NowCall, submission: Submission, batchId: string, insert: Promise<ClaimedBatch>): void {
  const { sql, nudge } = call.runner
  const ids = submission.writes.map(({ id }) => id)
  settleIfThere(call, submission, batchId, insert, async (facts) => {
    const record = await failBatch(sql, nudge, facts, ids, notSent)
    await releaseKey(sql, submission)
    return record
  })
}

/** Settles the batch of a call if it was committed after all, or will be. */
function settleIfThere(
  { runner, late }: NowCall,
  submission: Submission,
  batchId: string,
  insert: Promise<ClaimedBatch>,
  settle: (facts: BatchFacts) => Promise<Recorded>,
): void {
  const { lane, writes } = submission
  const bytes = writes.reduce((sum, write) => sum + write.bytes, 0)
  // Whether it may be there is known once its insert has ended; there is nothing to wait for if it is not.
  const isThere = insert.then(() => true, mayBeCommitted)
  let isKnownGone = false
  void isThere.then((is) => {
    isKnownGone = !is
  })
  const write = async (): Promise<Recorded> => {
    const laneId = (await isThere) ? await findSending(runner.sql, batchId) : null
    if (laneId === null) return nothing
    const { installationId, type } = lane
    const facts = {
      batchId,
      laneId,
      installationId,
      keyed: type !== 'create',
      called: true,
      onlyExpired: false,
    }
    return settle(facts)
  }
  // One turn later: an insert that has failed for good is known to have by then.
  setImmediate(() => {
    if (!isKnownGone) late.later({ batchId, bytes }, write)
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
function batchOf({ lane, operation, writes }: Submission, batchId: string): ClaimedBatch {
  const { installationId, projectId, objectName, type, externalIdField, allOrNone } = lane
  const { onRollback, merge, headers, options } = lane
  return {
    installationId,
    projectId,
    objectName,
    type,
    externalIdField,
    allOrNone,
    onRollback,
    merge,
    headers,
    options,
    batchId,
    laneId: '',
    isCallersBatch: operation !== null,
    lateMs: 0,
    members: writes.map(({ id, record, ifEmpty, deadlineSeconds }, position) => ({
      id,
      position,
      record,
      ifEmpty,
      deadlineSeconds,
      attempts: 0,
      rollbacks: 0,
      lostIn: [],
    })),
  }
}
