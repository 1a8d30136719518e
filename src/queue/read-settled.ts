import type { Sql } from '../db/connect.ts'
import type { ProviderError } from '../model/outcome.ts'
import type { WriteState } from '../model/write.ts'

/** A write as it is recorded now. */
export interface SettledWrite {
  id: string
  state: WriteState
  batchId: string | null
  recordId: string | null
  created: boolean | null
  errors: ProviderError[] | null
}

/** How writes are recorded, for a call that does not know any more. */
export const readSettled = (sql: Sql, ids: string[]): Promise<SettledWrite[]> => sql<SettledWrite[]>`
  select id, state, batch_id as "batchId", record_id as "recordId", created, errors
  from write where id = any (${ids}::uuid[])`
