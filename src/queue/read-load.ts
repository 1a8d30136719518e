import type { Sql } from '../db/connect.ts'

/** Lanes whose oldest write is looked for: of each installation that is named, and of all the others together. */
const LANES = { named: 50, others: 200 }

/** What waits for one installation, or for all those that are not named. */
export interface InstallationLoad {
  /** Null for all the others together. */
  installationId: string | null
  /** Writes that were never sent. */
  waiting: number
  /** Seconds since the oldest of those whose turn is next was accepted; null when nothing waits. */
  oldestSeconds: number | null
}

/** What is left of the calls that an installation's org allows in 24 hours, as an answer last said. */
export interface QuotaLeft {
  installationId: string
  left: number
  limit: number
}

/** Lanes that something keeps from sending, by what it is. */
export interface HeldLanes {
  reason: string
  lanes: number
}

/**
 * The load of the installations with the most waiting writes, and of the others together; not sent yet, so
 * that its plan can be held by a test. It reads the lanes in which something waits, and of a bounded number of
 * them the first waiting write: never the writes themselves, however many wait.
 */
export const loadStatement = (sql: Sql, installations: number) => sql<InstallationLoad[]>`
  with due as materialized (
    select id, installation_id, waiting, due_at, from_id from lane where due_at is not null
  ), ranked as materialized (
    select installation_id, sum(waiting)::float8 as waiting,
      row_number() over (order by sum(waiting) desc, min(due_at), installation_id) <= ${installations} as named
    from due group by installation_id
  ), looked_at as materialized (
    -- those that are due first: that is where the oldest waits, but for what waits for another try
    select * from (
      select d.*, r.named, case when r.named then d.installation_id end as label,
        row_number() over (partition by case when r.named then d.installation_id end order by d.due_at) as place
      from due d join ranked r using (installation_id)
    ) numbered
    where place <= case when named then ${LANES.named}::int else ${LANES.others}::int end
  ), oldest as materialized (
    select l.label, min(w.accepted_at) as accepted_at
    from looked_at l cross join lateral (
      select accepted_at from write
      where lane_id = l.id and state = 'queued' and not blocked and id >= l.from_id
      order by available_at, seq limit 1
    ) w
    group by l.label
  ), summed as (
    select case when named then installation_id end as label, sum(waiting) as waiting from ranked group by 1
  )
  select s.label as "installationId", s.waiting,
    extract(epoch from statement_timestamp() - o.accepted_at)::float8 as "oldestSeconds"
  from summed s left join oldest o on o.label is not distinct from s.label
  order by s.waiting desc`

/** What waits, for at most `installations` of them by name. */
export const readLoads = async (sql: Sql, installations: number): Promise<InstallationLoad[]> =>
  loadStatement(sql, installations)

/** The quota of the installations that have used the greatest part of it. An answer of more than a day ago says nothing. */
export const readQuotas = async (sql: Sql, installations: number): Promise<QuotaLeft[]> => sql<QuotaLeft[]>`
  select p.installation_id as "installationId", o.api_limit - o.api_used as left, o.api_limit as limit
  from pacing p join org_usage o on o.org = p.org
  where o.api_limit > 0 and o.read_at > now() - interval '24 hours'
  order by o.api_used::float8 / o.api_limit desc, p.installation_id limit ${installations}`

/** How many lanes are put off, by why. */
export const readHeldLanes = async (sql: Sql): Promise<HeldLanes[]> => sql<HeldLanes[]>`
  select held_by as reason, count(*)::int as lanes
  from lane where due_at is not null and held_by is not null group by held_by`

/** What the queue's metrics are read with. */
export const createLoadReads = (sql: Sql) => ({
  loads: (installations: number) => readLoads(sql, installations),
  quotas: (installations: number) => readQuotas(sql, installations),
  heldLanes: () => readHeldLanes(sql),
})
