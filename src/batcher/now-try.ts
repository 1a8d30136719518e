import type { CallAnswer, ProviderError } from '../model/outcome.ts'
import { countOutcomes, type Recorded } from '../outcomes/record-batch.ts'
import type { Settlement } from '../queue/settle-batch.ts'
import type { CallResult } from './send-call.ts'

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
