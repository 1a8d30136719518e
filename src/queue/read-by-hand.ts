import type { Sql } from '../db/connect.ts'
import type { HandView } from '../model/by-hand.ts'

/** What was done to an operation by hand, in order. */
export const readByHand = (sql: Sql, operationId: string): Promise<HandView[]> => sql<HandView[]>`
  select move, key_id as "keyId", records, success, record_id as "recordId", at
  from hand where operation_id = ${operationId} order by number`
