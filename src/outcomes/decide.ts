import type { LostTry } from '../model/lost-try.ts'
import { fullJitter, type BackoffBounds } from '../kernel/backoff.ts'
import type { CallAnswer, ErrorClass, ProviderError, RecordAnswer } from '../model/outcome.ts'
import type { WriteType } from '../model/write.ts'

/** What deciding needs to know of a write. */
export interface Decidable {
  type: WriteType
  /** Whether a create carries a key by which the provider knows it again (contract section 6.5). */
  idempotent: boolean
  /** Provider calls made, the one just answered included. */
  attempts: number
  /** Seconds until retries end; negative when they have. */
  deadlineSeconds: number
}

/** What is to become of a write. */
export type Decision =
  | { move: 'succeed'; recordId: string | null; created: boolean | null }
  | { move: 'fail'; errors: ProviderError[] }
  | Retry
  /** A limit of the org turned the call away: again once the installation may send, no attempt spent. */
  | { move: 'defer'; errors: ProviderError[] }
  | { move: 'doubt'; errors: ProviderError[]; lost?: LostTry }

/** It is sent again. */
export interface Retry {
  move: 'retry'
  delaySeconds: number
  errors: ProviderError[]
  /** Its group was undone by another's error, and it goes again without that one. */
  rolledBack?: true
  /** The size of the groups that it may go in from now on. */
  maxRecords?: number
  /** It was sent as one with other writes to its record and failed with them: from now on it goes by itself. */
  alone?: true
  /** The answer was lost: it may have been written already. */
  lost?: LostTry
  /** The answers to earlier tries were lost, and this one shows that they wrote nothing. */
  unwritten?: true
}

/** First wait up to 1 s, doubling up to 5 minutes: a lock clears in seconds, a quota within the next call (facts 8, contract 6.9). */
export const retryBounds: BackoffBounds = { baseMs: 1_000, capMs: 300_000 }

/**
 * Decides what becomes of one member of a group from what came of its call: a pure function of the
 * answer, the write and one random number (design, Deciding).
 *
 * @param position the member's place in the request: answers are matched by it
 * @param random a number in [0, 1), for the jitter
 */
export function decide(answer: CallAnswer, position: number, write: Decidable, random: number): Decision {
  switch (answer.kind) {
    case 'answered': {
      const record = answer.records[position]
      // A record that the provider forgot may have been written: never success, never blindly again.
      if (record === undefined) return decideLost(write, [forgotten], random)
      if (record.ok) return succeed(record, write)
      return decideFailure(record, write, random)
    }
    case 'refused':
      return decideFailure(answer, write, random)
    case 'not_sent':
      return retry(write, [answer.error], random)
    case 'lost':
      return decideLost(write, [answer.error], random)
  }
}

/** A create that was sent as an upsert made its record, even when a resend found it there already. */
const succeed = (record: RecordAnswer & { ok: true }, write: Decidable): Decision => ({
  move: 'succeed',
  recordId: record.recordId,
  created: write.type === 'create' ? true : record.created,
})

const forgotten: ProviderError = {
  code: 'NO_ANSWER_FOR_RECORD',
  message: 'The provider answered the request without an answer for this record.',
  fields: [],
}

/** A failure as the provider classed it, of one record or of the whole request. */
interface Failure {
  errors: ProviderError[]
  errorClass: ErrorClass
  maxRetries?: number
}

function decideFailure(failure: Failure, write: Decidable, random: number): Decision {
  const { errors, errorClass, maxRetries = Infinity } = failure
  if (errorClass === 'ambiguous') return decideLost(write, errors, random)
  if (errorClass === 'throttled') return defer(write, errors)
  if (errorClass === 'permanent' || write.attempts > maxRetries) return { move: 'fail', errors }
  return retry(write, errors, random)
}

/**
 * The answer was lost: what is safe to send twice is sent again, a plain create is not (contract section
 * 6.5). When no time is left to send it again, what the org holds is not known, whatever the write was.
 */
function decideLost(write: Decidable, errors: ProviderError[], random: number): Decision {
  const isSafe = write.type !== 'create' || write.idempotent
  const decision = isSafe ? retry(write, errors, random) : null
  if (decision?.move === 'retry') return { ...decision, lost: byItself }
  return lostInDoubt(errors)
}

const byItself: LostTry = { company: null }

/** For what is not sent again although its answer was lost. */
export const lostInDoubt = (errors: ProviderError[]): Decision => ({
  move: 'doubt',
  errors: [noAnswer, ...errors],
  lost: byItself,
})

const noAnswer: ProviderError = {
  code: 'OUTCOME_UNKNOWN',
  message: 'The request was sent but no usable answer came: the record may or may not have been written.',
  fields: [],
}

const noEarlierAnswer: ProviderError = {
  code: 'OUTCOME_UNKNOWN',
  message:
    'The answer to an earlier try was lost: it may or may not have written the record. What ended it now does not tell.',
  fields: [],
}

/** For what ends otherwise than by success although an earlier try may have written it. */
export const inDoubt = (errors: ProviderError[]): Decision => ({
  move: 'doubt',
  errors: [noEarlierAnswer, ...errors],
})

/** Again after a jittered wait; the last try comes at the deadline itself, and none after it. */
export function retry(write: Decidable, errors: ProviderError[], random: number): Decision {
  if (write.deadlineSeconds <= 0) return { move: 'fail', errors }
  const waitSeconds = fullJitter(Math.max(write.attempts, 1), retryBounds, random) / 1000
  return { move: 'retry', delaySeconds: Math.min(waitSeconds, write.deadlineSeconds), errors }
}

/** How long the installation pauses is not the write's to say (design, Deciding); after its deadline it ends. */
const defer = (write: Decidable, errors: ProviderError[]): Decision =>
  write.deadlineSeconds <= 0 ? { move: 'fail', errors } : { move: 'defer', errors }

/** At once, in another round of its group; none after the deadline. */
export const resend = (write: Decidable, errors: ProviderError[]): Decision =>
  write.deadlineSeconds <= 0
    ? { move: 'fail', errors }
    : { move: 'retry', delaySeconds: 0, errors, rolledBack: true }
