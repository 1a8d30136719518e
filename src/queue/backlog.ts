import type { Sql } from '../db/connect.ts'

/** Queued writes that were never sent, over all lanes: what the water marks are measured against. */
export async function countWaiting(sql: Sql): Promise<number> {
  const [row] = await sql<
    { waiting: number }[]
  >`select coalesce(sum(waiting), 0)::float8 as waiting from lane`
  return row?.waiting ?? 0
}
