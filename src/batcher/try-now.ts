import pRetry from 'p-retry'
import { fullJitter, type BackoffBounds } from '../kernel/backoff.ts'
import { newId } from '../kernel/ids.ts'
import { orgOf } from '../model/credentials.ts'
import type { NowEnd, NowOutcome, NowRecord } from '../model/now-outcome.ts'
import type { CallAnswer, ProviderError } from '../model/outcome.ts'
import { hasEnded } from '../model/write.ts'
import {
  countOutcomes,
  describeAnswer,
  recordSettlements,
  type Alongside,
  type Recorded,
} from '../outcomes/record-batch.ts'
import type { ClaimedBatch, ClaimedWrite } from '../queue/claim-batch.ts'
import { readSettled, type SettledWrite } from '../queue/read-settled.ts'
import type { Settlement } from '../queue/settle-batch.ts'
import { startBatches } from '../queue/start-batch.ts'
import { decideNow, isLost, mayBeWritten, type LastTry } from './decide-now.ts'
import { logBatch, reportGroup } from './log-batch.ts'
import { toLate } from './late-records.ts'
import type { NowCall } from './now-call.ts'
import { toNowOutcome, toNowRecord, toSettledRecord } from './now-result.ts'
import { reportPace } from './report-pace.ts'
import { factsOf } from './run-call.ts'
import { sendCall, type CallResult } from './send-call.ts'
import { sessionFailure, type SendingSession } from './sessions.ts'
import { isKeyedCreate, toPart } from './to-part.ts'

/** Waits between tries: a lock clears in a second or so, a limit of calls at once takes longer. */
const againBounds: BackoffBounds = { baseMs: 400, capMs: 4_000 }
const throttledBounds: BackoffBounds = { baseMs: 1_500, capMs: 6_000 }
/** Milliseconds that a further try must have at least: one that is cut off leaves more in doubt than it can mend. */
const LEAST_TRY_MS = 500

/** Milliseconds that an answer waits for what it says of the org's limits to be kept. */
const PACE_PATIENCE_MS = 1_000

/** Thrown to be tried again after a wait. */
class Again extends Error {
  readonly delayMs: number
  constructor(delayMs: number) {
    super('to be tried again')
    this.delayMs = delayMs
  }
}

/** What one try came to. */
interface Try {
  answer: CallAnswer
  /** Whether a provider call was made: else it was known before that none could be. */
  result: CallResult | null
  callMs: number
}

/** What a call's tries have come to. */
interface Said {
  /** By the caller's positions. */
  records: (NowRecord | null)[]
  /** How the answer of what is in doubt was lost. */
  doubt: { how: 'timeout' | 'cut_off'; reason: ProviderError | null } | null
}

/**
 * Sends a call's own batch, again while that is safe and the time lasts, with exponential backoff and full
 * jitter. Each try is a batch of its own: what has its outcome is recorded with it, and what is to be
 * tried again moves, still sending, into the batch of the next. So a crash between two tries loses
 * nothing and resends nothing blindly.
 *
 * @throws {WritebackError} NO_WORKING_CONNECTION when the connection broke before anything was written
 */
export function tryNow(
  call: NowCall,
  batch: ClaimedBatch,
  first: SendingSession | ProviderError,
): Promise<NowOutcome> {
  const tries = new Tries(call, batch)
  let session: SendingSession | ProviderError | null = first
  const outcome = pRetry(
    async () => {
      const opened = session ?? (await openSession(call, batch.installationId))
      session = null
      return tries.next(opened)
    },
    {
      retries: Infinity,
      minTimeout: 0,
      shouldRetry: ({ error }) => error instanceof Again,
      onFailedAttempt: async ({ error }) => {
        if (error instanceof Again) await call.time.wait(error.delayMs)
      },
    },
  )
  return outcome.finally(() => tries.end())
}

/** A session within the call's time, or why there is none. */
export const openSession = (
  { runner, time }: NowCall,
  installationId: string,
): Promise<SendingSession | ProviderError> =>
  time.within(runner.sessions.open(installationId)).catch(sessionFailure)

class Tries {
  readonly #call: NowCall
  /** The batch of the present try: its id changes from one to the next, its members become fewer. */
  #batch: ClaimedBatch
  readonly #place: ReadonlyMap<string, number>
  #said: Said
  /** How the last answer was lost, of those whose was. */
  #lost: 'timeout' | 'cut_off' | null = null
  #count = 0
  #reached = false

  constructor(call: NowCall, batch: ClaimedBatch) {
    this.#call = call
    this.#batch = batch
    this.#place = new Map(batch.members.map((member, place) => [member.id, place]))
    this.#said = { records: batch.members.map(() => null), doubt: null }
  }

  /** One try. @throws {Again} when another is to follow */
  async next(session: SendingSession | ProviderError): Promise<NowOutcome> {
    this.#count += 1
    const made = await this.#send(session).catch((error: unknown) => ({
      kind: 'not_started' as const,
      error,
    }))
    if (made !== null && 'kind' in made) return this.#giveUp(made.error)
    if (made === null) return this.#takenOver()
    const { answer } = made
    this.#reached ||= answer.kind !== 'not_sent'
    const delayMs = this.#delayMs(answer)
    const last = this.#lastOr(answer, delayMs)
    // Nothing was sent and nothing is to be told of it: the batch stays claimed as it is.
    if (last === null && made.result === null) throw new Again(delayMs)
    const settlements = this.#decide(made, last)
    const kept = settlements.filter(({ state }) => state === 'sending')
    const next = kept.length === 0 ? null : { batchId: newId(), leaseSeconds: this.#call.runner.leaseSeconds }
    const said = this.#hear(answer, settlements)
    const outcome = (): NowOutcome => this.#outcome(said, answer, settlements)
    const keep = next === null ? this.#call.answers?.alongside(outcome) : undefined
    const record = await this.#record(made, settlements, next, keep)
    if (record === null) return next === null ? { ...outcome(), unrecorded: true } : this.#stopHere(made)
    if (!record.applied && !(await this.#isRecorded(settlements, next?.batchId))) return this.#takenOver()
    this.#said = said
    if (next === null) return outcome()
    this.#goOn(next.batchId, kept)
    throw new Again(delayMs)
  }

  /** Null when the batch is not this process's to send any more. */
  async #send(session: SendingSession | ProviderError): Promise<Try | null> {
    const { runner, time } = this.#call
    const batch = this.#batch
    if (!('provider' in session)) return unsent(session)
    if (time.leftMs() <= 0) return unsent(tooLate)
    if (this.#call.unrecorded === undefined) {
      const started = await startBatches(runner.sql, [batch.batchId], runner.leaseSeconds)
      if (!started.has(batch.batchId)) return null
    }
    const begun = runner.clock.monotonic()
    const limits = { timeoutMs: Math.min(time.leftMs(), runner.callTimeoutMs), signal: time.callSignal }
    const sessions = {
      refresh: (id: string, version: number) => time.within(runner.sessions.refresh(id, version)),
    }
    reportGroup(runner.telemetry, batch, 'synchronous')
    const result = await sendCall(sessions, batch.installationId, session, [toPart(batch)], limits)
    runner.telemetry?.callMade(batch.members.length, result.calls)
    const callMs = runner.clock.monotonic() - begun
    const { installationId } = batch
    const report = { installationId, org: orgOf(session.session), answers: result.answers, callMs }
    // With an answer in hand nobody waits for a database that is away.
    if (this.#call.unrecorded === undefined)
      await Promise.race([reportPace(runner, report), time.wait(PACE_PATIENCE_MS)])
    return { answer: result.answers[0] as CallAnswer, result, callMs }
  }

  #delayMs(answer: CallAnswer): number {
    const isThrottled = answer.kind === 'refused' && answer.errorClass === 'throttled'
    return fullJitter(this.#count, isThrottled ? throttledBounds : againBounds, this.#call.runner.random())
  }

  /** Why this try was the last, if it was. */
  #lastOr(answer: CallAnswer, delayMs: number): LastTry | null {
    const isDaily = answer.kind === 'refused' && answer.throttle === 'daily'
    const isBroken = answer.kind === 'not_sent' && answer.error.code === 'NO_WORKING_CONNECTION'
    const isAway = answer.kind === 'not_sent' && answer.error.code === 'DATABASE_UNAVAILABLE'
    if (isDaily || isBroken || isAway) return 'hopeless'
    if (this.#call.time.leftMs() >= delayMs + LEAST_TRY_MS) return null
    return this.#reached ? 'time' : 'unreached'
  }

  #decide({ answer, result }: Try, last: LastTry | null): Settlement[] {
    const { type } = this.#batch
    const idempotent = isKeyedCreate(this.#batch)
    const members = this.#batch.members.map((member) => ({
      ...member,
      type,
      idempotent,
      attempts: member.attempts + (result === null ? 0 : 1),
    }))
    const { runner, fromQueue, unrecorded } = this.#call
    const decided = decideNow(answer, members, this.#batch, last, runner.random(), fromQueue)
    if (unrecorded === undefined) return decided
    // No queue goes on with it: what is known not to be written has failed.
    return decided.map((settlement, index) => {
      const member = members[index]
      const isUnknown = member !== undefined && mayBeWritten(answer, member)
      return settlement.state === 'queued' && !isUnknown ? { ...settlement, state: 'failed' } : settlement
    })
  }

  /** Null when the database is away; what ends the call is recorded once it is back. */
  async #record(
    made: Try,
    settlements: Settlement[],
    next: { batchId: string; leaseSeconds: number } | null,
    keep?: Alongside,
  ): Promise<Recorded | null> {
    const { runner, late, time, unrecorded } = this.#call
    const batch = this.#batch
    const { answer, result, callMs } = made
    unrecorded?.(answer, settlements)
    const isRecorded = unrecorded === undefined
    const write = this.#recording(made, settlements, next, keep)
    const record = isRecorded ? await late.inTime(time, toLate(batch), write, next === null) : null
    const { calls = 0, refreshes = 0 } = result ?? {}
    const timing = { callId: batch.batchId, callMs, groups: 1, calls, refreshes, totalMs: callMs }
    logBatch(runner.logger, batch, answer, record ?? notRecorded(settlements), timing)
    return isRecorded ? record : { ...notRecorded(settlements), applied: true }
  }

  #recording(
    { answer, result }: Try,
    settlements: Settlement[],
    next: { batchId: string; leaseSeconds: number } | null,
    keep?: Alongside,
  ): () => Promise<Recorded> {
    const { sql, nudge } = this.#call.runner
    const facts = { ...factsOf(this.#batch), called: result !== null, ...describeAnswer(answer), next }
    return () => recordSettlements(sql, nudge, facts, settlements, keep)
  }

  /** The database went away between two tries: what is known now is told, and recorded later. */
  #stopHere(made: Try): NowOutcome {
    const settlements = this.#decide(made, this.#reached ? 'time' : 'unreached')
    const said = this.#hear(made.answer, settlements)
    const outcome = (): NowOutcome => this.#outcome(said, made.answer, settlements)
    const write = this.#recording(made, settlements, null, this.#call.answers?.alongside(outcome))
    this.#call.late.later(toLate(this.#batch), write)
    return { ...outcome(), unrecorded: true }
  }

  /** What is to be said once the try is recorded. */
  #hear(answer: CallAnswer, settlements: Settlement[]): Said {
    const records = [...this.#said.records]
    let { doubt } = this.#said
    for (const [position, settlement] of settlements.entries()) {
      const place = this.#place.get(settlement.writeId)
      if (place !== undefined) records[place] = toNowRecord(settlement, answer, position)
      if (isLost(answer, position)) this.#lost = this.#howLost(answer)
      if (settlement.state === 'in_doubt')
        doubt ??= { how: this.#lost ?? 'cut_off', reason: reasonOf(answer, settlements) }
    }
    return { records, doubt }
  }

  /** The database was away when the batch was to be marked as started: nothing was sent, which is known here only. */
  #giveUp(error: unknown): NowOutcome {
    if (!this.#reached) {
      const made = unsent(noDatabase)
      const settlements = this.#decide(made, 'unreached')
      this.#call.late.later(toLate(this.#batch), this.#recording(made, settlements, null))
      throw error
    }
    return this.#stopHere(unsent(noDatabase))
  }

  #goOn(batchId: string, kept: Settlement[]): void {
    const { inFlight } = this.#call.runner
    inFlight.delete(this.#batch.batchId)
    inFlight.add(batchId)
    const lostBatch = this.#batch.batchId
    const members = new Map(this.#batch.members.map((member) => [member.id, member]))
    this.#batch = {
      ...this.#batch,
      batchId,
      members: kept.map(({ writeId, spent, lost }, position) => {
        const member = members.get(writeId) as ClaimedWrite
        const lostIn = lost ? [...member.lostIn, lostBatch] : member.lostIn
        return { ...member, position, attempts: member.attempts + (spent ? 1 : 0), lostIn }
      }),
    }
  }

  /** No sign of life is given for it any more. */
  end(): void {
    this.#call.runner.inFlight.delete(this.#batch.batchId)
  }

  #outcome({ records, doubt }: Said, answer: CallAnswer, settlements: Settlement[]): NowOutcome {
    const outcome = toNowOutcome({
      records,
      doubt: doubt?.how ?? null,
      isLeft: settlements.some(({ state }) => state === 'queued'),
      reached: this.#reached,
      reason: doubt?.reason ?? reasonOf(answer, settlements),
    })
    if (this.#call.unrecorded === undefined) return outcome
    const told: NowEnd = outcome.kind === 'still_trying' ? { ...outcome, kind: 'given_up' } : outcome
    return { ...told, unrecorded: true }
  }

  #howLost(answer: CallAnswer): 'timeout' | 'cut_off' {
    if (answer.kind !== 'lost') return 'cut_off'
    const isLate =
      answer.error.code === 'TIMEOUT' || (this.#call.time.leftMs() <= 0 && !this.#call.cut.aborted)
    return isLate ? 'timeout' : 'cut_off'
  }

  /** Whether it was this call that settled the batch, by a commit whose answer was lost. */
  async #isRecorded(settlements: Settlement[], nextBatchId: string | undefined): Promise<boolean> {
    const rows = await this.#readSettled()
    return settlements.every(({ writeId, state }) => {
      const row = rows.get(writeId)
      const batchId = state === 'sending' ? nextBatchId : this.#batch.batchId
      return row?.state === state && row.batchId === batchId
    })
  }

  /** Another process took this one for lost and settled the batch: what is recorded is told. */
  async #takenOver(): Promise<NowOutcome> {
    this.#call.runner.logger.warn({ batchId: this.#batch.batchId }, 'a synchronous call was taken over')
    const rows = await this.#readSettled()
    const records = [...this.#said.records]
    for (const [id, row] of rows) records[this.#place.get(id) ?? 0] = toSettledRecord(row)
    const states = [...rows.values()].map((row) => row.state)
    const isDoubtful = states.includes('in_doubt')
    const doubt = this.#said.doubt ?? (isDoubtful ? { how: 'cut_off' as const, reason: outOfTouch } : null)
    const outcome = toNowOutcome({
      records,
      doubt: doubt?.how ?? null,
      isLeft: states.some((state) => !hasEnded(state)),
      reached: true,
      reason: doubt?.reason ?? outOfTouch,
    })
    await this.#call.answers?.now(outcome)
    return outcome
  }

  async #readSettled(): Promise<Map<string, SettledWrite>> {
    const ids = this.#batch.members.map((member) => member.id)
    const rows = await readSettled(this.#call.runner.sql, ids)
    return new Map(rows.map((row) => [row.id, row]))
  }
}

const tooLate: ProviderError = {
  code: 'TIMEOUT',
  message: 'The time of the call was over before the request could be sent.',
  fields: [],
}

const outOfTouch: ProviderError = {
  code: 'PROVIDER_UNREACHABLE',
  message: 'The process was out of touch with the database for too long, so another one took over its write.',
  fields: [],
}

const noDatabase: ProviderError = {
  code: 'DATABASE_UNAVAILABLE',
  message: 'The database was not available when the request was to be sent.',
  fields: [],
}

const notRecorded = (settlements: Settlement[]): Recorded => ({
  applied: false,
  ended: [],
  wake: [],
  ...countOutcomes(settlements),
})

const unsent = (error: ProviderError): Try => ({
  answer: { kind: 'not_sent', error },
  result: null,
  callMs: 0,
})

/** What stood in the way: the request's own failure, or the first error of a record without an outcome. */
function reasonOf(answer: CallAnswer, settlements: Settlement[]): ProviderError | null {
  if (answer.kind === 'not_sent' || answer.kind === 'lost') return answer.error
  if (answer.kind === 'refused') return answer.errors[0] ?? null
  return settlements.find(({ state }) => state === 'queued' || state === 'in_doubt')?.errors?.at(-1) ?? null
}
