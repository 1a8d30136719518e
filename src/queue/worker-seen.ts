import type { Sql } from '../db/connect.ts'

/** Days after which a process that ended without a word is forgotten. */
const KEPT_DAYS = 1

/** What is known of the processes that send what waits. */
export interface WorkersSeen {
  /** Those seen lately. */
  alive: number
  /** When any was seen last; null when none was for a day. */
  lastSeenAt: Date | null
}

/** Notes that a worker lives, and forgets those that ended long ago without a word. */
export async function noteWorker(sql: Sql, worker: string): Promise<void> {
  await sql`
    with gone as (
      delete from worker_seen where worker <> ${worker} and seen_at < now() - make_interval(days => ${KEPT_DAYS})
    )
    insert into worker_seen (worker, seen_at) values (${worker}, now())
    on conflict (worker) do update set seen_at = excluded.seen_at`
}

/** Forgets a worker that ends. */
export async function forgetWorker(sql: Sql, worker: string): Promise<void> {
  await sql`delete from worker_seen where worker = ${worker}`
}

/** The workers that were seen in the last `withinSeconds`. */
export async function readWorkers(sql: Sql, withinSeconds: number): Promise<WorkersSeen> {
  const [row] = await sql<WorkersSeen[]>`
    select count(*) filter (where seen_at > now() - make_interval(secs => ${withinSeconds}))::int as alive,
      max(seen_at) as "lastSeenAt"
    from worker_seen`
  return row ?? { alive: 0, lastSeenAt: null }
}
