import type { CallAnswer, RecordAnswer } from '../model/outcome.ts'

/** What a call says of one of its records. */
export function answerOf(answer: CallAnswer, position: number): RecordAnswer {
  switch (answer.kind) {
    case 'answered':
      return answer.records[position] ?? { ok: false, errors: [forgotten], errorClass: 'ambiguous' }
    case 'refused': {
      const { errors, errorClass, maxRetries, cause, raw } = answer
      return {
        ok: false,
        errors,
        errorClass,
        ...(maxRetries === undefined ? {} : { maxRetries }),
        ...(cause === undefined ? {} : { cause }),
        ...(raw === undefined ? {} : { raw }),
      }
    }
    case 'not_sent':
      return { ok: false, errors: [answer.error], errorClass: 'transient' }
    case 'lost':
      return { ok: false, errors: [answer.error], errorClass: 'ambiguous' }
  }
}

const forgotten = {
  code: 'NO_ANSWER_FOR_RECORD',
  message: 'The provider answered the request without an answer for this record.',
  fields: [],
}
