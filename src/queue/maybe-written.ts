import type { ProviderError } from '../model/outcome.ts'

/**
 * What is said first of a queued write that ends without another try after one that may have written it
 * (`lost_in` is set): it is in doubt, whatever ended it.
 */
export const maybeWritten: ProviderError = {
  code: 'OUTCOME_UNKNOWN',
  message:
    'The answer to an earlier try was lost and the write is not sent again: it may or may not have been written.',
  fields: [],
}
