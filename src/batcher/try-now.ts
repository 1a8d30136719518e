import pRetry from 'p-retry'
import { fullJitter, type BackoffBounds } from '../kernel/backoff.ts'
import { newId } from '../kernel/ids.ts'
import { createTurns } from '../kernel/turns.ts'
import { isLookedUp } from '../model/engagement.ts'
import type { NowOutcome, NowRecord } from '../model/now-outcome.ts'
import type { CallAnswer, ProviderError } from '../model/outcome.ts'
import { hasEnded } from '../model/write.ts'
import { describeAnswer, recordSettlements, type Alongside, type Recorded } from '../outcomes/record-batch.ts'
import type { ClaimedBatch, ClaimedWrite } from '../queue/claim-batch.ts'
import { readSettled, type SettledWrite } from '../queue/read-settled.ts'
import type { Settlement } from '../queue/settle-batch.ts'
import { CallEnds, type BatchEnd } from './call-ends.ts'
import { decideNow, isLost, mayBeWritten, type LastTry } from './decide-now.ts'
import { logBatch } from './log-batch.ts'
import { toLate } from './late-records.ts'
import type { NowCall } from './now-call.ts'
import { toNowRecord, toSettledRecord } from './now-result.ts'
import {
  makeTry,
  noDatabase,
  notRecorded,
  outOfTouch,
  reasonOf,
  tooLate,
  unsent,
  type Try,
} from './now-try.ts'
import { factsOf } from './run-call.ts'
import { answerOf } from './record-answers.ts'
import { sessionFailure, type SendingSession } from './sessions.ts'
import { isKeyedCreate } from './to-part.ts'

/** Waits between tries: a lock clears in a second or so, a limit of calls at once takes longer. */
const againBounds: BackoffBounds = { baseMs: 400, capMs: 4_000 }
const throttledBounds: BackoffBounds = { baseMs: 1_500, capMs: 6_000 }
/** Milliseconds that a further try must have at least: one that is cut off leaves more in doubt than it can mend. */
const LEAST_TRY_MS = 500

/** Thrown to be tried again after a wait. */
class Again extends Error {
  readonly delayMs: number
  constructor(delayMs: number) {
    super('to be tried again')
    this.delayMs = delayMs
  }
}

/** What the tries of a batch have come to. */
interface Said {
  /** By the caller's positions. */
  records: (NowRecord | null)[]
  /** How the answer of what is in doubt was lost. */
  doubt: { how: 'timeout' | 'cut_off'; reason: ProviderError | null } | null
}

/**
 * Sends a call's own batches, again while that is safe and the time lasts, with exponential backoff and full
 * jitter. Each try is a batch of its own: what has its outcome is recorded with it, and what is to be
 * tried again moves, still sending, into the batch of the next. So a crash between two tries loses
 * nothing and resends nothing blindly.
 *
 * One try runs at a time: several batches of one call would meet at their records' parents. But while one of
 * them waits for its next try, the others go.
 *
 * @throws {WritebackError} NO_WORKING_CONNECTION when the connection broke before anything was written
 */
export async function tryNow(
  call: NowCall,
  batches: ClaimedBatch[],
  first: SendingSession | ProviderError,
): Promise<NowOutcome> {
  const ends = new CallEnds(batches.length, call.unrecorded === undefined)
  const turns = createTurns()
  let session: SendingSession | ProviderError | null = first
  const next = async (tries: Tries): Promise<BatchEnd> => {
    const opened = session ?? (await openSession(call, tries.installationId))
    session = null
    return tries.next(opened)
  }
  const all = batches.map((batch, place) => {
    const tries = new Tries(call, batch, ends, place)
    return pRetry(() => turns('', () => next(tries)), {
      retries: Infinity,
      minTimeout: 0,
      shouldRetry: ({ error }) => error instanceof Again,
      onFailedAttempt: async ({ error }) => {
        if (error instanceof Again) await call.time.wait(error.delayMs)
      },
    }).finally(() => tries.end())
  })
  // All of them, whatever becomes of one: none is left behind in flight.
  for (const one of await Promise.allSettled(all)) if (one.status === 'rejected') throw one.reason
  return ends.outcome()
}

/** A session within the call's time, or why there is none. */
export const openSession = (
  { runner, time }: NowCall,
  installationId: string,
): Promise<SendingSession | ProviderError> =>
  time
    .within(runner.sessions.open(installationId))
    .catch((error: unknown) => (time.isOver(error) ? tooLate : sessionFailure(error)))

class Tries {
  readonly #call: NowCall
  /** The batch of the present try: its id changes from one to the next, its members become fewer. */
  #batch: ClaimedBatch
  readonly #place: ReadonlyMap<string, number>
  readonly #ends: CallEnds
  /** The batch's place among those of the call. */
  readonly #batchPlace: number
  /** The most records that go in one request, where the org took less than one may hold. */
  #maxRecords: number | undefined
  #said: Said
  /** How the last answer was lost, of those whose was. */
  #lost: 'timeout' | 'cut_off' | null = null
  #count = 0

  constructor(call: NowCall, batch: ClaimedBatch, ends: CallEnds, batchPlace: number) {
    this.#call = call
    this.#batch = batch
    this.#ends = ends
    this.#batchPlace = batchPlace
    this.#place = new Map(batch.members.map((member, place) => [member.id, place]))
    this.#said = { records: batch.members.map(() => null), doubt: null }
  }

  get installationId(): string {
    return this.#batch.installationId
  }

  /** One try. @throws {Again} when another is to follow */
  async next(session: SendingSession | ProviderError): Promise<BatchEnd> {
    this.#count += 1
    // As a further try of the call, where another batch of it had the first.
    const leastMs = this.#count === 1 && this.#ends.reached ? LEAST_TRY_MS : 0
    const asked = { session, leastMs, maxRecords: this.#maxRecords }
    const made = await makeTry(this.#call, this.#batch, asked).catch((error: unknown) => ({
      kind: 'not_started' as const,
      error,
    }))
    if (made !== null && 'kind' in made) return this.#giveUp(made.error)
    if (made === null) return this.#takenOver()
    const { answer } = made
    this.#ends.reached ||= answer.kind !== 'not_sent'
    const delayMs = this.#delayMs(answer)
    const last = this.#lastOr(answer, delayMs)
    // Nothing was sent and nothing is to be told of it: the batch stays claimed as it is.
    if (last === null && made.result === null) throw new Again(delayMs)
    const settlements = this.#decide(made, last)
    const kept = settlements.filter(({ state }) => state === 'sending')
    const next = kept.length === 0 ? null : { batchId: newId(), leaseSeconds: this.#call.runner.leaseSeconds }
    const said = this.#hear(answer, settlements)
    const end = this.#endOf(said, answer, settlements)
    const record = await this.#record(made, settlements, next, next === null ? this.#keep(end) : undefined)
    if (record === null) return next === null ? this.#end({ ...end, unrecorded: true }) : this.#stopHere(made)
    if (!record.applied && !(await this.#isRecorded(settlements, next?.batchId))) return this.#takenOver()
    this.#said = said
    if (next === null) return this.#end(end)
    this.#goOn(next.batchId, kept)
    throw new Again(delayMs)
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
    return this.#ends.reached ? 'time' : 'unreached'
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
    const { allOrNone } = this.#batch
    const rules = {
      allOrNone,
      ...(this.#maxRecords === undefined ? {} : { maxRecords: this.#maxRecords }),
    }
    const decided = decideNow(answer, members, rules, last, runner.random(), fromQueue)
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
    const groups = result?.heard.length ?? 1
    const timing = { callId: batch.batchId, callMs, groups, calls, refreshes, totalMs: callMs }
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
  #stopHere(made: Try): BatchEnd {
    const settlements = this.#decide(made, this.#ends.reached ? 'time' : 'unreached')
    const said = this.#hear(made.answer, settlements)
    const end = this.#endOf(said, made.answer, settlements)
    const write = this.#recording(made, settlements, null, this.#keep(end))
    this.#call.late.later(toLate(this.#batch), write)
    return this.#end({ ...end, unrecorded: true })
  }

  /** What is to be said once the try is recorded. */
  #hear(answer: CallAnswer, settlements: Settlement[]): Said {
    const records = [...this.#said.records]
    let { doubt } = this.#said
    for (const [position, settlement] of settlements.entries()) {
      const place = this.#place.get(settlement.writeId)
      if (place !== undefined) records[place] = toNowRecord(settlement, answer, position)
      if (isLost(answer, position)) this.#lost = this.#howLost(answer, position)
      if (settlement.state === 'in_doubt')
        doubt ??= { how: this.#lost ?? 'cut_off', reason: reasonOf(answer, settlements) }
    }
    return { records, doubt }
  }

  /** The database was away when the batch was to be marked as started: nothing was sent, which is known here only. */
  #giveUp(error: unknown): BatchEnd {
    const made = unsent(noDatabase)
    if (this.#ends.reached) return this.#stopHere(made)
    const settlements = this.#decide(made, 'unreached')
    const end = this.#endOf(this.#hear(made.answer, settlements), made.answer, settlements)
    this.#call.late.later(toLate(this.#batch), this.#recording(made, settlements, null))
    return this.#end({ ...end, unrecorded: true, failure: error })
  }

  #goOn(batchId: string, kept: Settlement[]): void {
    const { inFlight } = this.#call.runner
    inFlight.delete(this.#batch.batchId)
    inFlight.add(batchId)
    const lostBatch = this.#batch.batchId
    const members = new Map(this.#batch.members.map((member) => [member.id, member]))
    const sizes = kept.flatMap(({ maxRecords }) => maxRecords ?? [])
    if (sizes.length > 0) this.#maxRecords = Math.min(...sizes)
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

  #endOf({ records, doubt }: Said, answer: CallAnswer, settlements: Settlement[]): BatchEnd {
    const isLeft = settlements.some(({ state }) => state === 'queued')
    // Nobody goes on with it, and whoever sends it again may write it twice.
    const isUnknown = isLeft && this.#call.unrecorded !== undefined && isLookedUp(this.#batch)
    return {
      records,
      doubt: doubt?.how ?? (isUnknown ? (this.#lost ?? 'timeout') : null),
      isLeft: isLeft && !isUnknown,
      reason: doubt?.reason ?? reasonOf(answer, settlements),
    }
  }

  #end(end: BatchEnd): BatchEnd {
    this.#ends.end(this.#batchPlace, end)
    return end
  }

  /** What the call answers is kept with the last of its batches that ends. */
  #keep(end: BatchEnd): Alongside | undefined {
    if (!this.#ends.isLast(this.#batchPlace)) return undefined
    return this.#call.answers?.alongside(() => this.#ends.outcome(end))
  }

  #howLost(answer: CallAnswer, position: number): 'timeout' | 'cut_off' {
    const said = answerOf(answer, position)
    if (!said.ok && said.errors[0]?.code === 'TIMEOUT') return 'timeout'
    const isLate = answer.kind === 'lost' && this.#call.time.leftMs() <= 0 && !this.#call.cut.aborted
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
  async #takenOver(): Promise<BatchEnd> {
    this.#call.runner.logger.warn({ batchId: this.#batch.batchId }, 'a synchronous call was taken over')
    const rows = await this.#readSettled()
    const records = [...this.#said.records]
    for (const [id, row] of rows) records[this.#place.get(id) ?? 0] = toSettledRecord(row)
    const states = [...rows.values()].map((row) => row.state)
    const isDoubtful = states.includes('in_doubt')
    const doubt = this.#said.doubt ?? (isDoubtful ? { how: 'cut_off' as const, reason: outOfTouch } : null)
    const end: BatchEnd = {
      records,
      doubt: doubt?.how ?? null,
      isLeft: states.some((state) => !hasEnded(state)),
      reason: doubt?.reason ?? outOfTouch,
    }
    this.#ends.reached = true
    this.#end(end)
    if (this.#ends.isLast(this.#batchPlace)) await this.#call.answers?.now(this.#ends.outcome())
    return end
  }

  async #readSettled(): Promise<Map<string, SettledWrite>> {
    const ids = this.#batch.members.map((member) => member.id)
    const rows = await readSettled(this.#call.runner.sql, ids)
    return new Map(rows.map((row) => [row.id, row]))
  }
}
