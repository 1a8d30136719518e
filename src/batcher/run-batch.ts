import pRetry from 'p-retry'
import type { Sql } from '../db/connect.ts'
import { databaseErrorKind } from '../db/pg-errors.ts'
import type { Clock } from '../kernel/clock.ts'
import { isWritebackError, messageOf } from '../kernel/errors.ts'
import { newId } from '../kernel/ids.ts'
import type { Logger } from '../kernel/log.ts'
import type { CallAnswer, ProviderError } from '../model/outcome.ts'
import type { Session } from '../model/credentials.ts'
import {
  recordBatch,
  releaseBatch,
  type BatchFacts,
  type NudgeInTransaction,
  type Recorded,
} from '../outcomes/record-batch.ts'
import type { Provider, ProviderGroup } from '../providers/provider.ts'
import { sendGroup } from './send-group.ts'
import { claimBatch, type ClaimedBatch, type ClaimResult } from '../queue/claim-batch.ts'
import { startBatch } from '../queue/start-batch.ts'

/** Seconds without a sign of life after which a batch is taken from its worker. */
export const LEASE_SECONDS = 30
/** Seconds between two signs of life: two may fail before a lease runs out. */
export const LEASE_HEARTBEAT_SECONDS = 8
/** Bytes of records in one request: far under the provider's 50 MB (facts 6), and a bound on this process's memory. */
const MAX_GROUP_BYTES = 8 * 1024 * 1024
/** Times that one batch's call is made anew with a refreshed session: a fresh session that is refused will not improve. */
const MAX_REFRESHES = 1

/** A session to send with, and the version that names it when it turns out to have expired. */
export interface SendingSession {
  provider: Provider
  session: Session
  version: number
}

/** Where sessions come from. A rejection means that none can be had now: nothing was sent. */
export interface SessionSource {
  open: (installationId: string) => Promise<SendingSession>
  /** A newer session than the one of `staleVersion`, which the provider refused. */
  refresh: (installationId: string, staleVersion: number) => Promise<SendingSession>
}

/** What running a batch needs. */
export interface BatchRunner {
  sql: Sql
  nudge: NudgeInTransaction
  sessions: SessionSource
  clock: Clock
  logger: Logger
  /** Name of this process, kept with its batches. */
  worker: string
  /** Milliseconds that one provider call may take. */
  callTimeoutMs: number
  random: () => number
  /** Batches in flight: the leases to be kept. */
  inFlight: Set<string>
}

/**
 * Runs the next batch of a lane, if it is ready, in named steps: claim, start, write, decide and record.
 * Wherever it dies, the batch row says how far it came.
 *
 * @param session one of the lane's installation
 * @returns what the claim found; `batch` is null when there was nothing to send
 */
export async function runBatch(
  runner: BatchRunner,
  laneId: string,
  session: SendingSession,
  signal: AbortSignal,
): Promise<ClaimResult> {
  const claimed = await claim(runner, laneId)
  if (claimed.batch === null) return claimed
  runner.inFlight.add(claimed.batch.batchId)
  try {
    await send(runner, claimed.batch, session, signal)
  } finally {
    runner.inFlight.delete(claimed.batch.batchId)
  }
  return claimed
}

const claim = (runner: BatchRunner, laneId: string): Promise<ClaimResult> =>
  runner.sql.begin(async (tx) => {
    const id = newId()
    const result = await claimBatch(tx, {
      laneId,
      batchId: id,
      callId: id,
      worker: runner.worker,
      leaseSeconds: LEASE_SECONDS,
      maxBytes: MAX_GROUP_BYTES,
    })
    if (result.nextDueAt !== null && result.installationId !== null) {
      await runner.nudge(tx, [{ laneId, installationId: result.installationId, at: result.nextDueAt }])
    }
    return result
  })

async function send(
  runner: BatchRunner,
  batch: ClaimedBatch,
  session: SendingSession,
  signal: AbortSignal,
): Promise<void> {
  const begun = runner.clock.monotonic()
  const facts: BatchFacts = {
    batchId: batch.batchId,
    laneId: batch.laneId,
    installationId: batch.installationId,
    keyed: batch.type !== 'create',
    called: true,
    onlyExpired: false,
  }
  const release = (): Promise<Recorded> =>
    recorded(runner, () => releaseBatch(runner.sql, runner.nudge, facts, memberIds(batch)))
  if (signal.aborted) {
    await release()
    return
  }
  const started = await startBatch(runner.sql, batch.batchId, LEASE_SECONDS).catch(async (error: unknown) => {
    // It may be marked as started all the same; that nothing was sent is known here and nowhere else.
    await release()
    throw error
  })
  if (!started) {
    runner.logger.warn({ batchId: batch.batchId }, 'a batch was taken over before it was sent')
    return
  }
  const { answer, refreshes, calls } = await write(runner, batch, session, signal)
  const callMs = runner.clock.monotonic() - begun
  const members = batch.members.map((member) => ({
    ...member,
    type: batch.type,
    idempotent: isKeyedCreate(batch),
  }))
  const record = await recorded(runner, () =>
    recordBatch(runner.sql, runner.nudge, facts, batch, members, answer, runner.random),
  )
  logBatch(runner, batch, answer, record, {
    callMs,
    totalMs: runner.clock.monotonic() - begun,
    refreshes,
    calls,
  })
}

/** Makes the call; a session that the provider refuses is refreshed and the call made anew: nothing was written. */
async function write(
  runner: BatchRunner,
  batch: ClaimedBatch,
  first: SendingSession,
  signal: AbortSignal,
): Promise<{ answer: CallAnswer; refreshes: number; calls: number }> {
  let sending = first
  let calls = 0
  for (let refreshes = 0; ; refreshes += 1) {
    const limits = { timeoutMs: runner.callTimeoutMs, signal }
    const { answer, calls: made } = await sendGroup(sending.provider, sending.session, toGroup(batch), limits)
    calls += made
    const refused = answer.kind === 'refused' && answer.errorClass === 'auth'
    if (!refused || refreshes >= MAX_REFRESHES) return { answer, refreshes, calls }
    const next = await runner.sessions.refresh(batch.installationId, sending.version).catch(noSession)
    if ('kind' in next) return { answer: next, refreshes, calls }
    sending = next
  }
}

const memberIds = (batch: ClaimedBatch): string[] => batch.members.map((member) => member.id)

/** A create whose record carries the write's id in an external-id field: sent as an upsert. */
const isKeyedCreate = (batch: ClaimedBatch): boolean =>
  batch.type === 'create' && batch.externalIdField !== null

const toGroup = (batch: ClaimedBatch): ProviderGroup => ({
  objectName: batch.objectName,
  type: isKeyedCreate(batch) ? 'upsert' : batch.type,
  externalIdField: batch.externalIdField,
  allOrNone: batch.allOrNone,
  headers: batch.headers,
  records: batch.members.map((member) => member.record),
})

/** No new session in place of one that was refused: nothing was written. */
const noSession = (error: unknown): CallAnswer & { kind: 'not_sent' } => ({
  kind: 'not_sent',
  error: sessionFailure(error),
})

/** Why there is no session, as it is recorded with a write. */
export const sessionFailure = (error: unknown): ProviderError => ({
  code: isWritebackError(error) ? error.code : 'NO_SESSION',
  message: messageOf(error),
  fields: [],
})

/** Kinds of database trouble that may be gone at the next try. */
const passing = ['unavailable', 'retry']

/**
 * Records, trying again while the lease lasts: the provider has answered, and losing the answer to a
 * passing database fault would leave the outcome unknown. Recording twice changes nothing the second time.
 */
const recorded = (runner: BatchRunner, record: () => Promise<Recorded>): Promise<Recorded> =>
  pRetry(record, {
    retries: Infinity,
    minTimeout: 100,
    maxTimeout: 1_000,
    maxRetryTime: LEASE_SECONDS * 1000,
    shouldRetry: ({ error }) => passing.includes(databaseErrorKind(error)),
    onFailedAttempt: ({ error, attemptNumber }) => {
      runner.logger.warn(
        { error: messageOf(error), attemptNumber },
        'a batch could not be recorded; trying again',
      )
    },
  })

interface Timing {
  callMs: number
  totalMs: number
  refreshes: number
  calls: number
}

/** One wide line per batch: everything that is asked about it later. */
function logBatch(
  runner: BatchRunner,
  batch: ClaimedBatch,
  answer: CallAnswer,
  record: Recorded,
  timing: Timing,
): void {
  const usage = answer.kind === 'answered' || answer.kind === 'refused' ? answer.usage : null
  runner.logger.info(
    {
      batchId: batch.batchId,
      laneId: batch.laneId,
      installationId: batch.installationId,
      projectId: batch.projectId,
      objectName: batch.objectName,
      type: batch.type,
      size: batch.members.length,
      trigger: batch.lateMs > 0 ? 'deadline' : 'full',
      lateMs: Math.max(0, Math.round(batch.lateMs)),
      answer: answer.kind,
      providerStatus: answer.kind === 'not_sent' ? null : answer.status,
      callMs: Math.round(timing.callMs),
      totalMs: Math.round(timing.totalMs),
      refreshes: timing.refreshes,
      calls: timing.calls,
      succeeded: record.succeeded,
      failed: record.failed,
      retried: record.retried,
      inDoubt: record.inDoubt,
      codes: record.codes,
      apiUsed: usage?.used,
      apiLimit: usage?.limit,
      recorded: record.applied,
    },
    'batch sent',
  )
}
