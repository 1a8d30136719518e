import { isForeignKeyViolation } from '../db/pg-errors.ts'
import { WritebackError } from '../kernel/errors.ts'

/**
 * What is made under a project or an integration that is deleted at the same moment.
 *
 * @throws {WritebackError} NOT_FOUND when that one came first
 */
export const underParent = <T>(making: Promise<T>): Promise<T> =>
  making.catch((error: unknown) => {
    if (!isForeignKeyViolation(error)) throw error
    throw new WritebackError('NOT_FOUND', 'What it was to be a part of has been deleted.', {
      remedy: 'Check the path.',
    })
  })
