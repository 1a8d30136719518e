import type { Sql, Tx } from '../db/connect.ts'
import type { ProviderError } from '../model/outcome.ts'
import { announceEnded } from './outcome-channel.ts'

/** The installation of a lane, which never changes; null when the lane is not there. */
export async function readLaneInstallation(sql: Sql, laneId: string): Promise<string | null> {
  const [row] = await sql<{ installationId: string }[]>`
    select installation_id as "installationId" from lane where id = ${laneId}`
  return row?.installationId ?? null
}

/**
 * Puts off a lane that cannot be sent now: it is looked at again after `seconds`. Its writes stay where
 * they are, untouched, however many wait. Null when nothing waits in it.
 */
export async function holdLane(tx: Tx, laneId: string, seconds: number): Promise<Date | null> {
  const [row] = await tx<{ dueAt: Date }[]>`
    update lane set due_at = now() + make_interval(secs => ${seconds})
    where id = ${laneId} and due_at is not null
    returning due_at as "dueAt"`
  return row?.dueAt ?? null
}

/**
 * Ends writes of a held lane whose time is up, at most `limit`; call it again while it ends that many.
 * A write that was never tried has until it would have left, if that is later than its deadline.
 */
export async function failExpired(
  tx: Tx,
  laneId: string,
  error: ProviderError,
  limit: number,
): Promise<number> {
  await tx`select from lane where id = ${laneId} for no key update`
  const ended = await tx<{ id: string }[]>`
    with expired as materialized (
      select id, attempts from write
      where lane_id = ${laneId} and state = 'queued' and greatest(deadline_at, due_at) <= now()
        and id >= (select from_id from lane where id = ${laneId})
      order by available_at limit ${limit}
    ), counted as (
      update lane set waiting = waiting - (select count(*) from expired where attempts = 0) where id = ${laneId}
    )
    update write set state = 'failed', errors = coalesce(errors, ${tx.json([{ ...error }])}), ended_at = now(), updated_at = now()
    where id = any (array(select id from expired)) and state = 'queued'
    returning id`
  await announceEnded(
    tx,
    ended.map((row) => row.id),
  )
  return ended.length
}
