import type { Sql } from '../db/connect.ts'

/** What is known of the last try of a write whose answer was lost. */
export interface Loss {
  /** Seconds since the try ended. */
  seconds: number
  /** Whether somebody has asked since for the write to be sent again (contract section 7, `:retry`). */
  isAskedFor: boolean
}

/** How long ago answers to writes were lost, by write; of single writes only, which are operations by themselves. */
export async function readLosses(sql: Sql, writeIds: string[]): Promise<Map<string, Loss>> {
  const rows = await sql<(Loss & { id: string })[]>`
    select w.id, coalesce(extract(epoch from now() - coalesce(lost.at, w.last_attempt_at))::float8, 0) as seconds,
      exists (
        select from hand h where h.operation_id = w.id and h.move = 'retry' and h.at > coalesce(lost.at, w.accepted_at)
      ) as "isAskedFor"
    from write w cross join lateral (
      select max(coalesce(b.ended_at, b.started_at, b.claimed_at)) as at from batch b where b.id = any (w.lost_in)
    ) lost
    where w.id = any (${writeIds}::uuid[])`
  return new Map(rows.map(({ id, ...loss }) => [id, loss]))
}
