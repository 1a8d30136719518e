import type { Sql, Tx } from '../db/connect.ts'
import type { DestinationTarget } from './destinations.ts'
import type { StoredData } from './message.ts'

/** Destinations that one claim looks after. */
const MAX_DESTINATIONS = 64

/** How much is claimed. */
export interface ClaimLimits {
  /** Messages, in all. */
  slots: number
  /** Messages to one destination that may be under way at once, whoever sends them, first retries aside. */
  perDestination: number
  /** The same for one whose last attempt failed: probes, so that it holds no more of anybody's slots. */
  whileFailing: number
  /** Messages to one destination that may be between the begin of their first try and the end of their first retry. */
  firstRetries: number
  /** Seconds after which a claim is taken for lost. */
  leaseSeconds: number
}

/** A message that this process is to send. */
export interface ClaimedMessage {
  /** Its webhook-id, the same for every attempt. */
  id: string
  /** The fence of what is recorded of this attempt. */
  claimId: string
  isDigest: boolean
  /** With this one. */
  attempts: number
  target: DestinationTarget
  events: StoredData[]
}

/**
 * Claims messages that are due, the earliest first for each destination: new events, alone or as digests, and
 * those whose next attempt has come. A row of the outbox is in one message for ever, so every attempt of a
 * message carries the same.
 *
 * A first retry waits for nothing but its time, whatever else is due: a message has its place from its first try
 * until its first retry has ended, and without a free one no first try is begun. So however slow a receiver is
 * and however much waits for it, a message that failed is tried again as soon as that is due. Where slots are
 * wanting, those that become free are for the first retries of all destinations before anything else, in the order
 * in which their first tries were begun: what hangs ends in that order, so each has a slot within the time that an
 * attempt may take.
 *
 * @param claimId an id that no claim had before
 * @param only destinations to look after; null for all
 */
export async function claimMessages(
  sql: Sql,
  claimId: string,
  limits: ClaimLimits,
  only: string[] | null,
): Promise<ClaimedMessage[]> {
  const claimed = await sql.begin(async (tx): Promise<ClaimedRow[]> => {
    const ids = await lockDue(tx, limits, only)
    return ids.length === 0 ? [] : await claimOf(tx, ids, claimId, limits)
  })
  if (claimed.length === 0) return []
  const events = await readEvents(
    sql,
    claimed.map((row) => row.id),
  )
  return claimed.map(({ id, isDigest, attempts, destinationId, name, url, secret, oldSecret }) => ({
    id,
    claimId,
    isDigest,
    attempts,
    target: { id: destinationId, name, url, secret, oldSecret },
    events: events.get(id) ?? [],
  }))
}

/**
 * Locks destinations for which something is due and that have room: those with a first retry, then a random lot of
 * the others, so that no one comes first for ever. Whoever claims for a destination holds its row, by a statement
 * of its own, so that the next one sees what the one before has claimed; those that somebody else holds are that
 * one's to look after.
 */
async function lockDue(tx: Tx, limits: ClaimLimits, only: string[] | null): Promise<string[]> {
  const rows = await tx<{ id: string }[]>`
    select d.id from destination d
    where d.enabled and (${only}::uuid[] is null or d.id = any (${only}::uuid[]))
      and (
        -- the first by the index: asked whether any is due, the planner may look through all that waits for anybody
        (
          select n.due_at from notification n
          where n.destination_id = d.id and n.state = 'waiting' and n.attempts = 1 order by n.due_at limit 1
        ) <= now()
        or (
          (
            (
              select n.due_at from notification n
              where n.destination_id = d.id and n.state = 'waiting' order by n.due_at limit 1
            ) <= now()
            or (
              (
                (
                  select n.due_at from notification n
                  where n.destination_id = d.id and n.state = 'new' order by n.seq limit 1
                ) <= now()
                or exists (
                  select from notification n where n.destination_id = d.id and n.state = 'new'
                  order by n.seq offset coalesce(d.digest_records, 1) - 1 limit 1
                )
              )
              and ${firstTried(tx, limits)} < ${limits.firstRetries}::int
            )
          )
          and ${underWay(tx, false)} < ${boundOf(tx, limits)}
        )
      )
    order by (
      select n.attempted_at from notification n
      where n.destination_id = d.id and n.state = 'waiting' and n.attempts = 1 and n.due_at <= now()
      order by n.due_at limit 1
    ) nulls last, random()
    limit ${MAX_DESTINATIONS} for no key update of d skip locked`
  return rows.map((row) => row.id)
}

/** Messages to destination d that are under way: first retries, or the others. */
const underWay = (tx: Tx, isFirstRetry: boolean) => tx`(
  select count(*) from notification n
  where n.destination_id = d.id and n.claim_id is not null and n.due_at > now() and (n.attempts = 2) = ${isFirstRetry}
)`

/** How many messages to destination d may be under way that are no first retries. */
const boundOf = (tx: Tx, { perDestination, whileFailing }: ClaimLimits) =>
  tx`case when d.failing_since is null then ${perDestination}::int else ${whileFailing}::int end`

/** Messages to destination d that hold a place for their first retry, as far as there are places. */
const firstTried = (tx: Tx, { firstRetries }: ClaimLimits) => tx`(
  ${underWay(tx, true)} + (
    select count(*) from (
      select from notification n
      where n.destination_id = d.id and n.state = 'waiting' and n.attempts = 1 limit ${firstRetries}
    ) k
  )
)`

interface ClaimedRow extends Omit<DestinationTarget, 'id'> {
  id: string
  destinationId: string
  isDigest: boolean
  attempts: number
}

/** Claims for destinations whose rows are locked. */
const claimOf = (tx: Tx, destinationIds: string[], claimId: string, limits: ClaimLimits) => tx<ClaimedRow[]>`
  with room as materialized (
    select d.*, coalesce(d.digest_records, 1) as size,
      greatest(0, ${boundOf(tx, limits)} - ${underWay(tx, false)}) as free,
      greatest(0, ${limits.firstRetries}::int - ${underWay(tx, true)}) as retry_places,
      greatest(0, ${limits.firstRetries}::int - ${firstTried(tx, limits)}) as first_places
    from destination d where d.id = any (${destinationIds}::uuid[]) and d.enabled
  ), first_retries as materialized (
    select n.destination_id, n.id as head, array[n.id] as members, n.due_at, n.is_digest, n.seq, n.attempted_at as first_tried
    from room r cross join lateral (
      select * from notification
      where destination_id = r.id and state = 'waiting' and attempts = 1 and due_at <= now()
      order by due_at limit r.retry_places for update skip locked
    ) n
  ), again as materialized (
    select n.destination_id, n.id, array[n.id], n.due_at, n.is_digest, n.seq, null::timestamptz
    from room r cross join lateral (
      select * from notification
      where destination_id = r.id and state = 'waiting' and attempts > 1 and due_at <= now()
      order by due_at limit r.free for update skip locked
    ) n
  ), fresh as materialized (
    select r.id as destination_id, r.size, r.digest_records is not null as is_digest, n.id, n.due_at, n.seq,
      (row_number() over (partition by r.id order by n.seq) - 1) / r.size as place
    from room r cross join lateral (
      select id, due_at, seq from notification
      where destination_id = r.id and state = 'new'
      order by seq limit least(r.free, r.first_places) * r.size for update skip locked
    ) n
  ), formed as materialized (
    -- full, or one of them has waited for company long enough
    select destination_id, (array_agg(id order by seq))[1] as head, array_agg(id order by seq) as members,
      min(due_at) as due_at, is_digest, min(seq) as seq, null::timestamptz as first_tried
    from fresh group by destination_id, place, size, is_digest
    having count(*) = size or min(due_at) <= now()
  ), picked as materialized (
    select p.* from (
      select *, row_number() over (partition by destination_id, first_tried is null order by due_at, seq) as place
      from (select * from first_retries union all select * from again union all select * from formed) m
    ) p join room r on r.id = p.destination_id
    where p.first_tried is not null or p.place <= r.free
    order by p.first_tried nulls last, p.place, p.due_at limit ${limits.slots}
  ), packed as (
    update notification n set state = 'packed', head_id = p.head
    from (select head, unnest(members) as id from picked) p
    where n.id = p.id and p.id <> p.head and n.state = 'new'
  )
  update notification n set state = 'waiting', is_digest = p.is_digest, claim_id = ${claimId},
    due_at = now() + make_interval(secs => ${limits.leaseSeconds}), attempts = n.attempts + 1,
    begun_at = coalesce(n.begun_at, now()), attempted_at = now()
  from picked p join room r on r.id = p.destination_id
  where n.id = p.head
  returning n.id, n.destination_id as "destinationId", n.is_digest as "isDigest", n.attempts, r.name, r.url, r.secret,
    case when r.old_secret_until > now() then r.old_secret end as "oldSecret"`

/** What the messages of these heads tell, each in its order. */
async function readEvents(sql: Sql, heads: string[]): Promise<Map<string, StoredData[]>> {
  const rows = await sql<{ head: string; data: StoredData }[]>`
    select head, data from (
      select n.id as head, n.data, n.seq
      from unnest(${heads}::uuid[]) as h (id) cross join lateral (select * from notification where id = h.id limit 1) n
      union all
      select h.id, n.data, n.seq
      from unnest(${heads}::uuid[]) as h (id) cross join lateral (
        select data, seq from notification where head_id = h.id order by seq limit 100
      ) n
    ) e order by head, seq`
  const events = new Map<string, StoredData[]>()
  for (const { head, data } of rows) {
    const of = events.get(head)
    if (of === undefined) events.set(head, [data])
    else of.push(data)
  }
  return events
}
