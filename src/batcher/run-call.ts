import pRetry from 'p-retry'
import type { Sql } from '../db/connect.ts'
import { databaseErrorKind } from '../db/pg-errors.ts'
import type { Clock } from '../kernel/clock.ts'
import { messageOf } from '../kernel/errors.ts'
import type { Logger } from '../kernel/log.ts'
import type { Telemetry } from '../kernel/telemetry.ts'
import { createTurns } from '../kernel/turns.ts'
import { orgOf } from '../model/credentials.ts'
import { isLookedUp } from '../model/engagement.ts'
import type { CallSettings } from '../model/object-entry.ts'
import type { CallAnswer } from '../model/outcome.ts'
import { MAX_GROUP_BYTES } from '../model/write.ts'
import {
  recordBatch,
  releaseBatch,
  type BatchFacts,
  type NudgeInTransaction,
  type Recorded,
} from '../outcomes/record-batch.ts'
import type { ClaimedBatch } from '../queue/claim-batch.ts'
import { claimCall, type ClaimedCall } from '../queue/claim-call.ts'
import { startBatches } from '../queue/start-batch.ts'
import { withLookUps } from './look-up-lost.ts'
import { logBatch, reportGroup, reportSettled, type CallTiming } from './log-batch.ts'
import { reportPace } from './report-pace.ts'
import { sendCall, type CallPart, type CallResult } from './send-call.ts'
import type { SendingSession, SessionSource } from './sessions.ts'
import { isKeyedCreate, toPart } from './to-part.ts'

/** What making calls needs. */
export interface CallRunner {
  sql: Sql
  nudge: NudgeInTransaction
  sessions: SessionSource
  /** How an installation's calls are made. */
  settingsOf: (installationId: string) => Promise<CallSettings>
  clock: Clock
  logger: Logger
  /** Name of this process, kept with its batches. */
  worker: string
  /** Milliseconds that one provider call may take. */
  callTimeoutMs: number
  /** Seconds without a sign of life after which a batch is taken from this process. */
  leaseSeconds: number
  /** Calls that an installation may have in flight at once, over all processes. */
  maxConcurrency: number
  random: () => number
  /** Batches in flight: the leases to be kept. */
  inFlight: Set<string>
  telemetry?: Telemetry
}

/** The lane that was woken. */
export interface WokenFor {
  laneId: string
  installationId: string
}

/**
 * Makes the next call of a lane's installation, if one is ready, in named steps: claim, start, send, decide
 * and record. Wherever it dies, the batches' rows say how far it came.
 *
 * @param session one of the installation
 * @returns what the claim found; without batches when there was nothing to send, or nothing may leave
 */
export async function runCall(
  runner: CallRunner,
  woken: WokenFor,
  session: SendingSession,
  signal: AbortSignal,
): Promise<ClaimedCall> {
  const settings = await runner.settingsOf(woken.installationId)
  const claimed = await claim(runner, woken, session, settings)
  if (claimed.batches.length === 0) return claimed
  const ids = claimed.batches.map((batch) => batch.batchId)
  for (const id of ids) runner.inFlight.add(id)
  try {
    await sendClaimed(runner, claimed, session, signal)
  } finally {
    for (const id of ids) runner.inFlight.delete(id)
  }
  return claimed
}

/** Claims of one installation come one after the other in any case: those of this process wait here, not each on a connection. */
const claimTurns = createTurns()

const claim = (
  runner: CallRunner,
  woken: WokenFor,
  { session }: SendingSession,
  settings: CallSettings,
): Promise<ClaimedCall> => claimTurns(woken.installationId, () => claimNow(runner, woken, session, settings))

const claimNow = (
  runner: CallRunner,
  woken: WokenFor,
  session: SendingSession['session'],
  settings: CallSettings,
): Promise<ClaimedCall> =>
  runner.sql.begin(async (tx) => {
    const call = await claimCall(tx, {
      ...woken,
      ...settings,
      org: orgOf(session),
      maxConcurrency: runner.maxConcurrency,
      worker: runner.worker,
      leaseSeconds: runner.leaseSeconds,
      maxBytes: MAX_GROUP_BYTES,
    })
    await runner.nudge(tx, call.wake)
    return call
  })

/** Sends claimed groups as one call and records what came of it: a group that is claimed is settled here, whatever happens. */
export async function sendClaimed(
  runner: CallRunner,
  call: Pick<ClaimedCall, 'callId' | 'batches'>,
  session: SendingSession,
  signal: AbortSignal,
): Promise<void> {
  const begun = runner.clock.monotonic()
  const release = async (batches: ClaimedBatch[]): Promise<void> => {
    for (const batch of batches) {
      const free = () => releaseBatch(runner.sql, runner.nudge, factsOf(batch), memberIds(batch))
      await recorded(runner, free, signal)
    }
  }
  if (signal.aborted) return release(call.batches)
  const ids = call.batches.map((batch) => batch.batchId)
  const started = await startBatches(runner.sql, ids, runner.leaseSeconds).catch(async (error: unknown) => {
    // They may be marked as started all the same; that nothing was sent is known here and nowhere else.
    await release(call.batches)
    throw error
  })
  const batches = call.batches.filter((batch) => started.has(batch.batchId))
  if (batches.length < call.batches.length)
    runner.logger.warn({ callId: call.callId }, 'a batch was taken over before it was sent')
  const [first] = batches
  if (first === undefined) return
  for (const batch of batches) reportGroup(runner.telemetry, batch)
  const limits = { timeoutMs: runner.callTimeoutMs, signal }
  const parts: CallPart[] = []
  for (const batch of batches) parts.push(await withLookUps(runner, batch, toPart(batch)))
  const result = await sendCall(runner.sessions, first.installationId, session, parts, limits)
  const timing: CallTiming = {
    callId: call.callId,
    callMs: runner.clock.monotonic() - begun,
    groups: batches.length,
    calls: result.calls,
    refreshes: result.refreshes,
  }
  const writes = batches.reduce((sum, batch) => sum + batch.members.length, 0)
  runner.telemetry?.callMade(writes, result.calls)
  // Before the outcomes: what goes back into the queue must find the pause that its refusal brings.
  await reportPace(runner, {
    installationId: first.installationId,
    org: orgOf(session.session),
    answers: result.heard,
    callMs: timing.callMs,
  })
  await record(runner, batches, result, { ...timing, begun, signal })
}

/** Each batch in a transaction of its own: one that cannot be recorded does not keep the others from it. */
async function record(
  runner: CallRunner,
  batches: ClaimedBatch[],
  { answers }: CallResult,
  { begun, signal, ...timing }: CallTiming & { begun: number; signal: AbortSignal },
): Promise<void> {
  const failures: unknown[] = []
  for (const [place, batch] of batches.entries()) {
    const answer = answers[place] as CallAnswer
    const members = batch.members.map((member) => ({
      ...member,
      type: batch.type,
      idempotent: isKeyedCreate(batch),
    }))
    try {
      const settle = () =>
        recordBatch(runner.sql, runner.nudge, factsOf(batch), batch, members, answer, runner.random)
      const outcome = await recorded(runner, settle, signal)
      logBatch(runner.logger, batch, answer, outcome, {
        ...timing,
        totalMs: runner.clock.monotonic() - begun,
      })
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 0) throw failures[0]
}

const memberIds = (batch: ClaimedBatch): string[] => batch.members.map((member) => member.id)

/** The fence of a batch and what its settlement needs to know of it. */
export const factsOf = (batch: ClaimedBatch): BatchFacts => ({
  batchId: batch.batchId,
  laneId: batch.laneId,
  installationId: batch.installationId,
  keyed: batch.type !== 'create' || isLookedUp(batch),
  called: true,
  onlyExpired: false,
})

/** Milliseconds for which an answer in hand is tried to be recorded while the database is away: longer than failovers take. */
const RECORD_PATIENCE_MS = 3_600_000

/** Whether a failed settlement may pass at the next try; once cut off, only what needs no wait is tried again. */
function mayPass(error: unknown, cut: AbortSignal | undefined): boolean {
  const kind = databaseErrorKind(error)
  return kind === 'retry' || (kind === 'unavailable' && cut?.aborted !== true)
}

const isPowerOfTwo = (count: number): boolean => (count & (count - 1)) === 0

/**
 * Records, trying again while the database is away: the provider has answered, and losing the answer would
 * leave the outcome unknown. For as long as this process gives signs of life, nobody else settles the
 * batch; if somebody has, this changes nothing. Recording twice changes nothing the second time either.
 *
 * @param cut aborted when the process is to end: then there is no more waiting
 */
export async function recorded(
  { logger, telemetry }: Pick<CallRunner, 'logger' | 'telemetry'>,
  write: () => Promise<Recorded>,
  cut?: AbortSignal,
): Promise<Recorded> {
  const record = await pRetry(write, {
    retries: Infinity,
    minTimeout: 100,
    maxTimeout: 1_000,
    maxRetryTime: RECORD_PATIENCE_MS,
    shouldRetry: ({ error }) => mayPass(error, cut),
    onFailedAttempt: ({ error, attemptNumber }) => {
      if (isPowerOfTwo(attemptNumber))
        logger.warn({ error: messageOf(error), attemptNumber }, 'a batch could not be recorded; trying again')
    },
  })
  reportSettled(telemetry, record)
  return record
}
