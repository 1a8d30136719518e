import type { Sql } from '../db/connect.ts'

/** Queued writes that were never sent, over all lanes: what the water marks are measured against. */
export async function countWaiting(sql: Sql): Promise<number> {
  // A lane in which something waits is due at some time, and the index on that holds no others: each
  // caller-built batch has had a lane.
  const [row] = await sql<{ waiting: number }[]>`
    select coalesce(sum(waiting), 0)::float8 as waiting from lane where due_at is not null`
  return row?.waiting ?? 0
}
