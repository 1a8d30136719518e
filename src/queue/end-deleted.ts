import type { Sql } from '../db/connect.ts'
import { databaseErrorKind } from '../db/pg-errors.ts'
import type { Telemetry } from '../kernel/telemetry.ts'
import type { ProviderError } from '../model/outcome.ts'
import { endWaiting } from './end-waiting.ts'
import { maybeWritten } from './maybe-written.ts'

/** Writes that one transaction takes: an order lock is held for as long as it lasts. */
const CHUNK = 500

/** What a write is told that waited when its installation was deleted. */
const installationDeleted: ProviderError = {
  code: 'INSTALLATION_DELETED',
  message: 'The installation was deleted while the write waited to be sent.',
  fields: [],
}

/** Installations that were deleted and for which something waits all the same. */
export async function findDeletedWaiting(sql: Sql, limit: number): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select d.id from deleted_installation d
    where exists (select from lane l where l.installation_id = d.id and l.due_at is not null)
    limit ${limit}`
  return rows.map((row) => row.id)
}

/**
 * Ends what waits for an installation that was deleted, in transactions of a bounded size.
 *
 * @param chunks the most transactions
 * @returns how many writes it ended; some may be left when it made all the transactions
 */
export async function endDeleted(
  sql: Sql,
  installationId: string,
  chunks: number,
  telemetry?: Pick<Telemetry, 'ended'>,
): Promise<number> {
  const once = () => sql.begin((tx) => endWaiting(tx, installationId, installationDeleted, CHUNK))
  let all = 0
  for (let made = 0; made < chunks; made += 1) {
    const { cancelled, inDoubt } = await once().catch((error: unknown) => {
      // Two transactions met in a deadlock, and this one gave way.
      if (databaseErrorKind(error) === 'retry') return once()
      throw error
    })
    if (cancelled + inDoubt === 0) break
    telemetry?.ended('cancelled', installationDeleted.code, cancelled)
    telemetry?.ended('in_doubt', maybeWritten.code, inDoubt)
    all += cancelled + inDoubt
  }
  return all
}
