import type { Sql } from '../db/connect.ts'
import type { DisabledReason } from './destinations.ts'

/** How long a message is tried again, and a destination may fail, before it is given up. */
export const PERSISTENCE_HOURS = 24

/** An attempt that has ended. */
export interface Attempt {
  id: string
  claimId: string
  /** Of the answer; null when there was none. */
  status: number | null
}

/** A failed one. */
export interface FailedAttempt extends Attempt {
  error: string
  /** Until the next attempt. */
  delaySeconds: number
  /** Seconds that the receiver asked to be left alone; it is not tried sooner, while its time lasts. 0 for none. */
  askedSeconds: number
  /** Whether the receiver said that it is gone for good. */
  isGone: boolean
}

/** What a delivery has led to. */
export interface Delivered {
  /** Whether its destination had failed before. */
  worksAgain: boolean
}

/** What a failed attempt has led to. */
export interface Failed {
  /** Whether the message is given up. */
  isOver: boolean
  /** Whether its destination had worked before. */
  failsNow: boolean
  /** Set when this one switched the destination off. */
  disabled: DisabledReason | null
}

/**
 * Records that a message was taken, and that its destination works.
 *
 * @returns null when the claim was taken for lost meanwhile: the message is somebody else's
 */
export async function settleDelivered(sql: Sql, { id, claimId, status }: Attempt): Promise<Delivered | null> {
  const [row] = await sql<Delivered[]>`
    with delivered as materialized (
      select id, destination_id from notification where id = ${id} and claim_id = ${claimId} and state = 'waiting'
      for update
    ), works as (
      update destination set failing_since = null
      where id = (select destination_id from delivered) and failing_since is not null
      returning id
    )
    update notification set state = 'delivered', claim_id = null, status = ${status}, error = null, ended_at = now()
    where id = (select id from delivered)
    returning exists (select from works) as "worksAgain"`
  return row ?? null
}

/**
 * Records that an attempt failed: the message is tried again after the delay, unless it has been tried for
 * {@link PERSISTENCE_HOURS}. A destination every attempt of which has failed for as long is switched off, and
 * one that is gone at once; what waits for it waits until it is switched on again.
 *
 * @returns null when the claim was taken for lost meanwhile
 */
export async function settleFailed(sql: Sql, attempt: FailedAttempt): Promise<Failed | null> {
  const { id, claimId, status, error, delaySeconds, askedSeconds, isGone } = attempt
  const [row] = await sql<Failed[]>`
    with failed as materialized (
      select id, destination_id, begun_at + make_interval(hours => ${PERSISTENCE_HOURS}) as ends_at,
        begun_at + make_interval(hours => ${PERSISTENCE_HOURS}) <= now() + make_interval(secs => ${delaySeconds}) as is_over
      from notification where id = ${id} and claim_id = ${claimId} and state = 'waiting'
      for update
    ), fails as (
      update destination d set
        failing_since = coalesce(failing_since, now()),
        enabled = v.reason is null,
        disabled_reason = v.reason,
        disabled_at = case when v.reason is not null then now() end
      from (
        select case when ${isGone} then 'receiver_gone'
          when failing_since <= now() - make_interval(hours => ${PERSISTENCE_HOURS}) then 'failing' end as reason,
          failing_since is null as is_new
        from destination where id = (select destination_id from failed)
      ) v
      where d.id = (select destination_id from failed) and d.enabled and (d.failing_since is null or v.reason is not null)
      returning d.disabled_reason, v.is_new
    )
    update notification n set claim_id = null, status = ${status}, error = ${error},
      state = case when f.is_over then 'failed' else 'waiting' end,
      ended_at = case when f.is_over then now() end,
      -- what a receiver asks for takes no attempt from a message
      due_at = greatest(
        now() + make_interval(secs => ${delaySeconds}),
        least(now() + make_interval(secs => ${askedSeconds}), f.ends_at)
      )
    from failed f
    where n.id = f.id
    returning f.is_over as "isOver", coalesce((select is_new from fails), false) as "failsNow",
      (select disabled_reason from fails) as disabled`
  return row ?? null
}

/** Gives back what a process that ends did not get done: due at once, for any other. */
export async function releaseMessages(sql: Sql, claims: Pick<Attempt, 'id' | 'claimId'>[]): Promise<void> {
  await sql`
    update notification n set claim_id = null, due_at = now()
    from unnest(${claims.map(({ id }) => id)}::uuid[], ${claims.map(({ claimId }) => claimId)}::uuid[]) as c (id, claim_id)
    where n.id = any (${claims.map(({ id }) => id)}::uuid[]) and n.id = c.id and n.claim_id = c.claim_id and n.state = 'waiting'`
}
