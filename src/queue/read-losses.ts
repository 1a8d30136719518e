import type { Sql } from '../db/connect.ts'

/** What is known of a write whose answer was lost. */
export interface Loss {
  /** Seconds since its last such try ended. */
  seconds: number
  /** Seconds since its first such try began. */
  sinceSeconds: number
  /** Whether somebody has asked since for the write to be sent again (contract section 7, `:retry`). */
  isAskedFor: boolean
  /** The records of other writes with its key that were sent shortly before it or later. */
  others: string[]
}

/** What else was sent is looked for from this long before a try: its group may have been claimed by then. */
const CLAIMED_BEFORE = '30 minutes'

/**
 * What is known of lost answers, by write: of single writes of one lane, which are operations by themselves.
 * Other writes with the key of one are of the same lane.
 */
export async function readLosses(
  sql: Sql,
  { installationId, laneId }: { installationId: string; laneId: string },
  writeIds: string[],
): Promise<Map<string, Loss>> {
  const rows = await sql<(Loss & { id: string })[]>`
    with lost as materialized (
      select w.id, w.record_key, w.accepted_at, w.last_attempt_at, tried.*
      from write w cross join lateral (
        select max(coalesce(b.ended_at, b.started_at, b.claimed_at)) as until,
          coalesce(min(b.started_at), w.accepted_at) as since
        from batch b where b.id = any (w.lost_in)
      ) tried
      where w.id = any (${writeIds}::uuid[])
    ), known as materialized (
      select e.id, e.record_key, e.record_id
      from batch b join write e on e.id = any (b.members)
      where b.installation_id = ${installationId} and b.lane_id = ${laneId}
        and b.id > uuid_at((select min(since) from lost) - ${CLAIMED_BEFORE}::interval)
        and e.record_key in (select record_key from lost) and e.record_id is not null
    )
    select l.id, coalesce(extract(epoch from now() - coalesce(l.until, l.last_attempt_at))::float8, 0) as seconds,
      extract(epoch from now() - l.since)::float8 as "sinceSeconds",
      exists (
        select from hand h where h.operation_id = l.id and h.move = 'retry' and h.at > coalesce(l.until, l.accepted_at)
      ) as "isAskedFor",
      array(select k.record_id from known k where k.record_key = l.record_key and k.id <> l.id) as others
    from lost l`
  return new Map(rows.map(({ id, ...loss }) => [id, loss]))
}
