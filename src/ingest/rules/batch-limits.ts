import type { Issue } from '../../kernel/errors.ts'
import { MAX_REQUEST } from '../../model/write.ts'

/** A batch that a caller builds. */
export interface BuiltBatch {
  /** Its records. */
  count: number
  allOrNone: boolean
}

/**
 * What is wrong with the size of a batch: one with allOrNone is one transaction, and so one request of the
 * provider (contract section 6.6; facts 3).
 *
 * @param path where the caller asks for allOrNone, or names what does
 */
export const findBatchIssues = (
  { count, allOrNone }: BuiltBatch,
  path = '/batchPolicy/allOrNone',
): Issue[] =>
  allOrNone && count > MAX_REQUEST
    ? [
        {
          path,
          message: `cannot be true for ${count} records: they are written together or not at all, which the provider does for ${MAX_REQUEST} at most`,
        },
      ]
    : []
