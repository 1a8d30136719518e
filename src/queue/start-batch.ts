import type { Sql } from '../db/connect.ts'

/**
 * Marks a batch as started, just before its call goes out: from here on a crash counts as "it may have
 * been sent". False when the batch is not this worker's to send any more.
 */
export async function startBatch(sql: Sql, batchId: string, leaseSeconds: number): Promise<boolean> {
  const moved = await sql`
    update batch set state = 'started', started_at = now(),
      lease_until = now() + make_interval(secs => ${leaseSeconds})
    where id = ${batchId} and state = 'claimed' and lease_until > now()
    returning id`
  return moved.length === 1
}

/** Keeps the leases of batches in flight. A batch that is settled or was taken over is left alone. */
export async function extendLeases(sql: Sql, batchIds: string[], leaseSeconds: number): Promise<void> {
  await sql`
    update batch set lease_until = now() + make_interval(secs => ${leaseSeconds})
    where id = any (${batchIds}::uuid[]) and state <> 'ended' and lease_until > now()`
}
