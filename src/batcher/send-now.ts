import { isWritebackError, WritebackError } from '../kernel/errors.ts'
import { newId } from '../kernel/ids.ts'
import type { NowOutcome } from '../model/now-outcome.ts'
import type { OperationState } from '../model/operation.ts'
import type { ProviderError } from '../model/outcome.ts'
import { inCalls, type WriteType } from '../model/write.ts'
import { failBatch, releaseBatch, type Alongside, type Recorded } from '../outcomes/record-batch.ts'
import type { ClaimedBatch } from '../queue/claim-batch.ts'
import type { Submission } from '../queue/insert-writes.ts'
import { claimOperation, findQueuedOperation, type OperationClaim } from '../queue/promote-operation.ts'
import { CallTime } from './call-time.ts'
import { answerKeeper } from './keep-answer.ts'
import { keepLeases } from './keep-leases.ts'
import type { NowCall } from './now-call.ts'
import { databaseAway, noConnection } from './now-result.ts'
import type { OutcomeWaiter } from './outcome-watch.ts'
import { createLateRecords, toLate } from './late-records.ts'
import { factsOf, type CallRunner } from './run-call.ts'
import { sendAhead } from './send-ahead.ts'
import type { SendingSession } from './sessions.ts'
import { openSession, tryNow } from './try-now.ts'
import { sendRecorded } from './unrecorded.ts'

/** Options of {@link createSendNow}. */
export interface SendNowOptions extends Omit<CallRunner, 'inFlight'> {
  waiter: OutcomeWaiter
}

/** What became of a promotion. */
export type Promoted =
  /** The project has no such operation. */
  | { kind: 'not_found' }
  /** It is being sent or has ended; nothing was changed. */
  | { kind: 'refused'; state: OperationState }
  | { kind: 'sent'; outcome: NowOutcome; written: WrittenOperation }

/** An operation as its answer needs it. */
export interface WrittenOperation {
  isBatch: boolean
  type: WriteType
  /** The records as they were sent, by the caller's positions. */
  records: string[]
}

/** Makes synchronous calls. */
export interface SendNow {
  /**
   * Records a submission as being sent, sends it at once and records what came of it; what is recorded
   * agrees with what is answered, whether or not the caller is still there.
   *
   * @param timeMs milliseconds that it may take, retries and the wait for earlier writes included
   * @throws {WritebackError} NO_WORKING_CONNECTION: nothing was sent; SHUTTING_DOWN; or the database's own error
   */
  send: (submission: Submission, timeMs: number) => Promise<NowOutcome>
  /**
   * Takes an operation over that is still queued and sends it at once. What is not written within the time
   * goes back into the queue, unless its answer was lost and it is not safe to send twice.
   *
   * @throws as `send`
   */
  promote: (projectId: string, operationId: string, timeMs: number) => Promise<Promoted>
  /** Calls under way. */
  readonly active: number
  /** Takes no more calls, lets what is in flight finish for `drainMs`, then cuts it off and records that. */
  stop: (drainMs: number) => Promise<void>
}

/**
 * Synchronous calls (design): the same steps that a group of the queue goes through, made at once by the
 * process that has the call. They wait for nothing but what is ahead of them at their own records.
 */
export function createSendNow(options: SendNowOptions): SendNow {
  const { waiter, ...rest } = options
  const runner: CallRunner = { ...rest, inFlight: new Set() }
  const cut = new AbortController()
  const running = new Set<Promise<unknown>>()
  const stopLeases = keepLeases(runner)
  let isStopping = false

  const keep = <T>(work: Promise<T>): Promise<T> => {
    const settled = work.then(
      () => undefined,
      () => undefined,
    )
    running.add(settled)
    void settled.then(() => running.delete(settled))
    return work
  }
  const late = createLateRecords({ runner, cut: cut.signal, keep })
  const within = <T>(
    timeMs: number,
    part: Pick<NowCall, 'fromQueue' | 'answers'>,
    run: (call: NowCall) => Promise<T>,
  ): Promise<T> => {
    if (isStopping)
      return Promise.reject(
        new WritebackError('SHUTTING_DOWN', 'The process is stopping.', { retryAfter: 1 }),
      )
    const time = new CallTime(runner.clock, timeMs, cut.signal)
    return keep(run({ runner, waiter, time, cut: cut.signal, keep, late, ...part }).finally(() => time.end()))
  }

  return {
    send: (submission, timeMs) => {
      const answers = answerKeeper(runner.sql, runner.logger, submission)
      return within(timeMs, { fromQueue: false, answers }, async (call) => {
        const outcome = await sendNow(call, submission)
        runner.telemetry?.accepted('synchronous', submission.lane.type, submission.writes.length)
        return outcome
      })
    },
    promote: (projectId, operationId, timeMs) =>
      within(timeMs, { fromQueue: true }, (call) => promoteNow(call, projectId, operationId)),
    get active() {
      return running.size
    },
    stop: async (drainMs) => {
      isStopping = true
      const cancel = runner.clock.after(drainMs, () => cut.abort())
      while (running.size > 0) await Promise.all(running)
      cancel()
      stopLeases()
      late.stop()
    },
  }
}

async function sendNow(call: NowCall, submission: Submission): Promise<NowOutcome> {
  const session = await sessionFor(call, submission.lane.installationId)
  return holding(call, submission.writes, (claim) =>
    sendRecorded(call, submission, claim, session, (batches) => sendInTurn(call, batches, session)),
  )
}

async function promoteNow(call: NowCall, projectId: string, operationId: string): Promise<Promoted> {
  const { sql } = call.runner
  const operation = await findQueuedOperation(sql, projectId, operationId)
  if (operation === null) return { kind: 'not_found' }
  const session = await sessionFor(call, operation.installationId)
  return holding(call, operation.members, async (claim) => {
    const batches = await claimOperation(sql, operation, claim)
    if (typeof batches === 'string') return { kind: 'refused', state: batches }
    const records = batches.flatMap(({ members }) => members.map(({ record }) => record))
    const written = { isBatch: operation.isBatch, type: batches[0]?.type ?? 'create', records }
    return { kind: 'sent', outcome: await sendInTurn(call, batches, session), written }
  })
}

/** Without a connection nothing is recorded; any other fault may pass within the time. */
async function sessionFor(call: NowCall, installationId: string): Promise<SendingSession | ProviderError> {
  const session = await openSession(call, installationId)
  if ('code' in session && session.code === 'NO_WORKING_CONNECTION') throw noConnection(session.message)
  if ('code' in session && session.code === 'DATABASE_UNAVAILABLE') throw databaseAway(session.message)
  return session
}

/** Runs with the ids of the batches that an operation's writes take, whose leases are kept meanwhile. */
async function holding<T>(
  { runner }: NowCall,
  writes: readonly unknown[],
  run: (claim: OperationClaim) => Promise<T>,
): Promise<T> {
  const { worker, leaseSeconds } = runner
  const batchIds = inCalls(writes).map(() => newId())
  for (const id of batchIds) runner.inFlight.add(id)
  try {
    return await run({ batchIds, worker, leaseSeconds })
  } finally {
    for (const id of batchIds) runner.inFlight.delete(id)
  }
}

/** Sends a call's claimed batches once what is ahead of them at their records is out of their way. */
async function sendInTurn(
  call: NowCall,
  batches: ClaimedBatch[],
  session: SendingSession | ProviderError,
): Promise<NowOutcome> {
  const installationId = batches[0]?.installationId ?? ''
  const isFirst = await sendAhead(call, installationId, batches).catch((error: unknown) => {
    for (const batch of batches) abandon(call, batch, error)
    throw error
  })
  if (isFirst) return tryNow(call, batches, session)
  const busy: NowOutcome = { kind: 'record_busy' }
  const records: (Recorded | null)[] = []
  for (const batch of batches) {
    const keep = batch === batches.at(-1) ? call.answers?.alongside(() => busy) : undefined
    const settle = settleUnsent(call, batch, recordBusy, keep)
    records.push(await call.late.inTime(call.time, toLate(batch), settle))
  }
  if (records.includes(null)) return { ...busy, unrecorded: true }
  if (records.every((record) => record?.applied === true) && !call.fromQueue) return busy
  // It is in the queue: it was there before, or another process took this one for lost and released it.
  const left: NowOutcome = { kind: 'still_trying', reason: recordBusy.message }
  await call.answers?.now(left)
  return left
}

const recordBusy: ProviderError = {
  code: 'RECORD_BUSY',
  message: 'Earlier writes to the same record took all the time of the call; this one was not sent.',
  fields: [],
}

/** Ends a batch of which nothing was sent; what the queue had before, it gets back. */
const settleUnsent = (
  { runner, fromQueue }: NowCall,
  batch: ClaimedBatch,
  error: ProviderError,
  alongside?: Alongside,
) => {
  const { sql, nudge } = runner
  const ids = batch.members.map((member) => member.id)
  return () =>
    fromQueue
      ? releaseBatch(sql, nudge, factsOf(batch), ids)
      : failBatch(sql, nudge, factsOf(batch), ids, error, alongside)
}

/** Gives up a call that cannot go on: it must not keep its place ahead of later writes until its lease runs out. */
function abandon(call: NowCall, batch: ClaimedBatch, error: unknown): void {
  const code = isWritebackError(error) ? error.code : 'INTERNAL'
  const reason = { code, message: 'The call failed before its write was sent.', fields: [] }
  call.late.later(toLate(batch), settleUnsent(call, batch, reason))
}
