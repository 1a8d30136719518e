import type { Sql, Tx } from '../db/connect.ts'
import { announceOn, putInOutbox } from './outbox.ts'

const CHANNEL = 'writeback_outcome'
/** Ids that one notification carries: 36 characters and a comma each, within the 8,000 bytes of a payload. */
const IDS_PER_NOTE = 200

/**
 * Says, when the transaction commits, that these operations have ended: a hint to those who wait, who also
 * look. Their project's destinations are told too, for certain (contract section 7), unless it is only their
 * own caller whom they concern.
 *
 * @param operationIds operations of one installation
 * @param isAwaited whether a synchronous call that is still there made them and answers with their outcome
 */
export async function announceEnded(tx: Tx, operationIds: string[], isAwaited = false): Promise<void> {
  for (let from = 0; from < operationIds.length; from += IDS_PER_NOTE) {
    const ids = operationIds.slice(from, from + IDS_PER_NOTE)
    const payload = ids.join(',')
    if (isAwaited) await tx`select pg_notify(${CHANNEL}, ${payload})`
    else {
      const [said] = await announceOn(tx, CHANNEL, payload, ids[0] ?? '')
      if (said?.hasDestinations === true) await putInOutbox(tx, ids)
    }
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
