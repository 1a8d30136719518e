import { WritebackError } from '../kernel/errors.ts'
import type { NowOutcome, NowRecord } from '../model/now-outcome.ts'
import type { CallAnswer, ProviderError } from '../model/outcome.ts'
import type { SettledWrite } from '../queue/read-settled.ts'
import type { Settlement } from '../queue/settle-batch.ts'
import { answerOf } from './record-answers.ts'

/** What a settled record is told; null for one without an outcome of its own. */
export function toNowRecord(settlement: Settlement, answer: CallAnswer, position: number): NowRecord | null {
  const said = answerOf(answer, position)
  if (settlement.state === 'succeeded') {
    const { recordId, created } = settlement
    return { ok: true, recordId, created, data: said.raw ?? null }
  }
  if (settlement.state !== 'failed') return null
  const errors = settlement.errors ?? []
  return said.raw === undefined ? { ok: false, errors } : { ok: false, errors, raw: said.raw }
}

/** The same of a record that somebody else settled. */
export function toSettledRecord({ state, recordId, created, errors }: SettledWrite): NowRecord | null {
  if (state === 'succeeded') return { ok: true, recordId, created, data: null }
  return state === 'failed' ? { ok: false, errors: errors ?? [] } : null
}

/** How the tries of a call ended. */
export interface TriesEnd {
  /** By the caller's positions; null where a record has no outcome of its own. */
  records: (NowRecord | null)[]
  /** How a create's answer was lost, when one is in doubt. */
  doubt: 'timeout' | 'cut_off' | null
  /** Whether something was left to the queue. */
  isLeft: boolean
  /** Whether any try reached the provider. */
  reached: boolean
  /** Why the last try did not bring it to an end; null when it did. */
  reason: ProviderError | null
}

/**
 * The outcome that a call is told (contract section 5).
 *
 * @throws {WritebackError} NO_WORKING_CONNECTION when the connection broke before anything was written,
 *   DATABASE_UNAVAILABLE when there was no session for want of the database
 */
export function toNowOutcome(end: TriesEnd): NowOutcome {
  const reason = end.reason?.message ?? 'There was no outcome in time.'
  if (end.doubt !== null) return { kind: 'unknown', because: end.doubt, reason }
  if (end.isLeft) return { kind: 'still_trying', reason }
  if (!end.reached) {
    if (end.reason?.code === 'NO_WORKING_CONNECTION') throw noConnection(reason)
    if (end.reason?.code === 'DATABASE_UNAVAILABLE') throw databaseAway(reason)
    return { kind: 'unreachable', reason }
  }
  return { kind: 'ended', records: end.records.map((record) => record ?? { ok: false, errors: [] }) }
}

/** There is no session to be had without the database, or nothing may be sent without it. */
export const databaseAway = (reason: string): WritebackError =>
  new WritebackError('DATABASE_UNAVAILABLE', reason, {
    remedy: 'Send the same request again a little later.',
    retryAfter: 2,
  })

/** The installation's connection is broken: the call is refused (contract section 6.10). */
export const noConnection = (reason: string): WritebackError =>
  new WritebackError('NO_WORKING_CONNECTION', reason, { remedy: 'Give the connection new credentials.' })
