import { orgOf } from '../model/credentials.ts'
import type { CallAnswer, ProviderError } from '../model/outcome.ts'
import { countOutcomes, type Recorded } from '../outcomes/record-batch.ts'
import type { ClaimedBatch } from '../queue/claim-batch.ts'
import type { Settlement } from '../queue/settle-batch.ts'
import { startBatches } from '../queue/start-batch.ts'
import { reportGroup } from './log-batch.ts'
import { withLookUps } from './look-up-lost.ts'
import type { NowCall } from './now-call.ts'
import { reportPace } from './report-pace.ts'
import { sendCall, type CallResult } from './send-call.ts'
import type { SendingSession } from './sessions.ts'
import { toPart } from './to-part.ts'

/** Milliseconds that an answer waits for what it says of the org's limits to be kept. */
const PACE_PATIENCE_MS = 1_000

/** What one try came to. */
export interface Try {
  answer: CallAnswer
  /** Whether a provider call was made: else it was known before that none could be. */
  result: CallResult | null
  callMs: number
}

export const tooLate: ProviderError = {
  code: 'TIMEOUT',
  message: 'The time of the call was over before the request could be sent.',
  fields: [],
}

export const outOfTouch: ProviderError = {
  code: 'PROVIDER_UNREACHABLE',
  message: 'The process was out of touch with the database for too long, so another one took over its write.',
  fields: [],
}

export const noDatabase: ProviderError = {
  code: 'DATABASE_UNAVAILABLE',
  message: 'The database was not available when the request was to be sent.',
  fields: [],
}

/** What is known of settlements that could not be recorded. */
export const notRecorded = (settlements: Settlement[]): Recorded => ({
  applied: false,
  ended: [],
  wake: [],
  ...countOutcomes(settlements),
})

/** A try of which nothing left. */
export const unsent = (error: ProviderError): Try => ({
  answer: { kind: 'not_sent', error },
  result: null,
  callMs: 0,
})

/** What stood in the way: the request's own failure, or the first error of a record without an outcome. */
export function reasonOf(answer: CallAnswer, settlements: Settlement[]): ProviderError | null {
  if (answer.kind === 'not_sent' || answer.kind === 'lost') return answer.error
  if (answer.kind === 'refused') return answer.errors[0] ?? null
  return settlements.find(({ state }) => state === 'queued' || state === 'in_doubt')?.errors?.at(-1) ?? null
}

/** What a try goes with. */
export interface TryAsked {
  session: SendingSession | ProviderError
  /** Milliseconds that must be left for it to be worth while. */
  leastMs: number
  /** The most records that go in one request, where that is known to be less than one takes. */
  maxRecords: number | undefined
}

/** Makes one try of a call's batch; null when the batch is not this process's to send any more. */
export async function makeTry(
  { runner, time, unrecorded }: NowCall,
  batch: ClaimedBatch,
  { session, leastMs, maxRecords }: TryAsked,
): Promise<Try | null> {
  const { installationId, batchId, members } = batch
  const isRecorded = unrecorded === undefined
  if (!('provider' in session)) return unsent(session)
  if (time.leftMs() <= leastMs) return unsent(tooLate)
  if (isRecorded) {
    const started = await startBatches(runner.sql, [batchId], runner.leaseSeconds)
    if (!started.has(batchId)) return null
  }
  const begun = runner.clock.monotonic()
  const limits = { timeoutMs: Math.min(time.leftMs(), runner.callTimeoutMs), signal: time.callSignal }
  const sessions = {
    refresh: (id: string, version: number) => time.within(runner.sessions.refresh(id, version)),
  }
  reportGroup(runner.telemetry, batch, 'synchronous')
  const part = await withLookUps({ ...runner, sql: isRecorded ? runner.sql : null }, batch, toPart(batch))
  if (maxRecords !== undefined) part.maxRecords = maxRecords
  const result = await sendCall(sessions, installationId, session, [part], limits)
  runner.telemetry?.callMade(members.length, result.calls)
  const callMs = runner.clock.monotonic() - begun
  const report = { installationId, org: orgOf(session.session), answers: result.heard, callMs }
  // With an answer in hand nobody waits for a database that is away.
  if (isRecorded) await Promise.race([reportPace(runner, report), time.wait(PACE_PATIENCE_MS)])
  return { answer: result.answers[0] as CallAnswer, result, callMs }
}
