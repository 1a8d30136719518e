import type { Sql } from '../db/connect.ts'
import { messageOf } from '../kernel/errors.ts'
import type { Logger } from '../kernel/log.ts'
import type { NowOutcome } from '../model/now-outcome.ts'
import type { Alongside } from '../outcomes/record-batch.ts'
import { keepAnswer, type KeptAnswer } from '../queue/idempotency-keys.ts'
import type { Submission } from '../queue/insert-writes.ts'

/** Keeps what a synchronous call with an idempotency key answers; does nothing for one without. */
export interface AnswerKeeper {
  /** For the transaction that settles the call's writes, so that the answer stands or falls with them. */
  alongside: (outcome: () => NowOutcome) => Alongside
  /** By itself: when another process has settled them. */
  now: (outcome: NowOutcome) => Promise<void>
}

/** Keeps the answers of one call. */
export function answerKeeper(sql: Sql, logger: Logger, submission: Submission): AnswerKeeper {
  const answerTo = submission.key?.answerTo ?? null
  const answerOf = (outcome: () => NowOutcome): KeptAnswer | null => {
    if (answerTo === null) return null
    try {
      return answerTo(outcome())
    } catch {
      // The call is refused after all, so there is nothing to keep; whoever asks for the outcome is told why.
      return null
    }
  }
  return {
    alongside: (outcome) => {
      const answer = answerOf(outcome)
      return async (tx) => {
        if (answer !== null) await keepAnswer(tx, submission, answer)
      }
    },
    now: async (outcome) => {
      const answer = answerOf(() => outcome)
      if (answer === null) return
      // What is recorded of the writes answers a repeated call where this does not.
      await keepAnswer(sql, submission, answer).catch((error: unknown) => {
        logger.warn({ error: messageOf(error) }, 'an answer could not be kept with its idempotency key')
      })
    },
  }
}
