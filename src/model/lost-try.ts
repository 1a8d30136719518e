import { createHash } from 'node:crypto'

/*
 * What a write keeps of the tries whose answers were lost (`write.lost_in`): the id of each try's batch,
 * and behind it, where the write was sent as one record with others, the mark of that company. The two are
 * told apart by their version: a batch's id is a UUIDv7, a mark a UUIDv8.
 */

/** How a write was in a try whose answer was lost. */
export interface LostTry {
  /** The mark of those that it was one record with ({@link companyOf}); null when it was sent by itself. */
  company: string | null
}

/** The mark of a company of which no more is known: never that of any other. */
export const UNKNOWN_COMPANY = '00000000-0000-8000-8000-000000000000'

/** The mark of the writes that are sent as one record: the same for the same writes, so for the same record. */
export function companyOf(writeIds: readonly string[]): string {
  const hash = createHash('sha256')
    .update([...writeIds].sort().join())
    .digest('hex')
  return [
    hash.slice(0, 8),
    hash.slice(8, 12),
    `8${hash.slice(12, 15)}`,
    `8${hash.slice(15, 18)}`,
    hash.slice(18, 30),
  ].join('-')
}

const isCompany = (id: string): boolean => id[14] === '8'

/** The batches of the tries that were lost. */
export const batchesOf = (lostIn: readonly string[]): string[] => lostIn.filter((id) => !isCompany(id))

/** Whether each of the lost tries sent the write as one record with this company; with null, by itself. */
export function wasSentAs(lostIn: readonly string[], company: string | null): boolean {
  const companies = lostIn.filter(isCompany)
  if (company === null) return companies.length === 0
  return companies.length * 2 === lostIn.length && companies.every((one) => one === company)
}
