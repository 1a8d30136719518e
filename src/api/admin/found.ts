import { WritebackError } from '../../kernel/errors.ts'
import { isUuid } from '../../kernel/ids.ts'

/**
 * What an id in a path stands for.
 *
 * @throws {WritebackError} NOT_FOUND when it is no id or nothing has it
 */
export async function findById<T>(
  what: string,
  id: string,
  get: (id: string) => Promise<T | null>,
): Promise<T> {
  const found = isUuid(id) ? await get(id) : null
  if (found !== null) return found
  throw new WritebackError('NOT_FOUND', `There is no ${what} ${JSON.stringify(id.slice(0, 255))}.`, {
    remedy: 'Check the path.',
  })
}
