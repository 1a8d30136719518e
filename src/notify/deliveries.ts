import type { Sql } from '../db/connect.ts'
import type { ListPage } from '../model/following.ts'

/** What has become of a message. */
export type DeliveryState = 'pending' | 'sending' | 'delivered' | 'failed'

/** One message in the log of a destination. */
export interface DeliveryRow {
  /** Its webhook-id. */
  id: string
  /** What it tells of; several in a digest. */
  operationIds: string[]
  isDigest: boolean
  state: DeliveryState
  attempts: number
  lastAttemptAt: Date | null
  lastStatus: number | null
  lastError: string | null
  /** Null when it has ended, is under way, or waits for its destination to be switched on. */
  nextAttemptAt: Date | null
  createdAt: Date
  endedAt: Date | null
}

/** At most `size` messages of a destination, newest first. Events that wait to be in a digest are single ones. */
export const listDeliveries = (sql: Sql, destinationId: string, { size, after }: ListPage) => sql<
  DeliveryRow[]
>`
  select n.id, array[n.operation_id] || array(
      select p.operation_id from notification p where p.head_id = n.id order by p.seq limit 100
    ) as "operationIds",
    n.is_digest as "isDigest",
    case when n.state in ('delivered', 'failed') then n.state
      when n.claim_id is not null and n.due_at > now() then 'sending' else 'pending' end as state,
    n.attempts, n.attempted_at as "lastAttemptAt", n.status as "lastStatus", n.error as "lastError",
    case when d.enabled and n.state in ('new', 'waiting') and (n.claim_id is null or n.due_at <= now()) then n.due_at end as "nextAttemptAt",
    n.created_at as "createdAt", n.ended_at as "endedAt"
  from destination d cross join lateral (
    select * from notification
    where destination_id = d.id and head_id is null and (${after}::uuid is null or id < ${after}::uuid)
    order by id desc limit ${size}
  ) n
  where d.id = ${destinationId}
  order by n.id desc`
