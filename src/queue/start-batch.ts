import type { Sql } from '../db/connect.ts'

/**
 * Marks batches as started, just before their call goes out: from here on a crash counts as "it may have
 * been sent". Returns those that were; any other is not this worker's to send any more.
 */
export async function startBatches(sql: Sql, batchIds: string[], leaseSeconds: number): Promise<Set<string>> {
  const moved = await sql<{ id: string }[]>`
    update batch set state = 'started', started_at = now(),
      lease_until = now() + make_interval(secs => ${leaseSeconds})
    where id = any (${batchIds}::uuid[]) and state = 'claimed' and lease_until > now()
    returning id`
  return new Set(moved.map((row) => row.id))
}

/**
 * Keeps the leases of batches in flight, also of those that have run out and that nobody has taken since:
 * their worker was out of touch and lives. A batch that is settled is left alone.
 */
export async function extendLeases(sql: Sql, batchIds: string[], leaseSeconds: number): Promise<void> {
  await sql`
    update batch set lease_until = now() + make_interval(secs => ${leaseSeconds})
    where id = any (${batchIds}::uuid[]) and state <> 'ended'`
}
