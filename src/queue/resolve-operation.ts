import type { Tx } from '../db/connect.ts'
import type { Resolution } from '../model/by-hand.ts'

/**
 * Settles writes in doubt as somebody found them to be. Of a failed one the errors stay that say why its
 * answer was lost; that its outcome is unknown is true no more. Call it with their lane locked.
 *
 * @returns how many were settled
 */
export async function resolveWrites(
  tx: Tx,
  writeIds: string[],
  { success, recordId }: Resolution,
): Promise<{ moved: number }> {
  const resolved = await tx`
    update write w set
      state = ${success ? 'succeeded' : 'failed'},
      record_id = coalesce(${recordId}, w.record_id),
      created = case when ${success} and l.type = 'create' then true else w.created end,
      errors = case when not ${success} then coalesce((
        select jsonb_agg(error order by place) from jsonb_array_elements(w.errors) with ordinality as e (error, place)
        where error ->> 'code' <> 'OUTCOME_UNKNOWN'
      ), w.errors) end,
      lost_in = null,
      ended_at = statement_timestamp(),
      updated_at = statement_timestamp()
    from lane l
    where w.id = any (${writeIds}::uuid[]) and l.id = w.lane_id and w.state = 'in_doubt'
    returning w.id`
  return { moved: resolved.length }
}
