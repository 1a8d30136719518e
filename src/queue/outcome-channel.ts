import type { Sql, Tx } from '../db/connect.ts'

const CHANNEL = 'writeback_outcome'
/** Ids that one notification carries: 36 characters and a comma each, within the 8,000 bytes of a payload. */
const IDS_PER_NOTE = 200

/** Says, when the transaction commits, that these writes have ended. A hint: who waits also looks. */
export async function announceEnded(tx: Tx, writeIds: string[]): Promise<void> {
  for (let from = 0; from < writeIds.length; from += IDS_PER_NOTE) {
    await tx`select pg_notify(${CHANNEL}, ${writeIds.slice(from, from + IDS_PER_NOTE).join(',')})`
  }
}

/**
 * Listens for ended writes. `onGap` is called whenever listening begins anew, since what was said in
 * between is unknown.
 */
export async function onEnded(
  sql: Sql,
  listener: (writeIds: string[]) => void,
  onGap: () => void,
): Promise<() => Promise<void>> {
  const subscription = await sql.listen(CHANNEL, (payload) => listener(payload.split(',')), onGap)
  return () => subscription.unlisten()
}
