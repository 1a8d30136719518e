import { newId } from '../../src/kernel/ids.ts'
import type { Sql, Tx } from '../../src/db/connect.ts'
import { readPace, type Pace, type PaceRequest } from '../../src/queue/read-pace.ts'
import { recordPace, type PaceReport } from '../../src/queue/record-pace.ts'
import type { WokenLane } from '../../src/queue/record-order.ts'

/** An installation and its org, named by nobody else. */
export interface Party {
  installationId: string
  org: string
}

export const party = (org = `org-${newId()}`): Party => ({ installationId: newId(), org })

/** Asks in an open transaction, under the claim lock as a claim does. */
export async function askIn(tx: Tx, who: Party, part: Partial<PaceRequest> = {}): Promise<Pace> {
  await tx`select pg_advisory_xact_lock(hashtextextended('claims ' || ${who.installationId}::text, 0))`
  return readPace(tx, { ...who, maxConcurrency: 4, budgetPercent: 90, ...part })
}

export const ask = (sql: Sql, who: Party, part: Partial<PaceRequest> = {}): Promise<Pace> =>
  sql.begin((tx) => askIn(tx, who, part))

/** The report of a call that took no time and met nothing, unless `part` says otherwise. */
export const reportOf = (who: Party, part: Partial<PaceReport> = {}): PaceReport => ({
  ...who,
  usage: null,
  throttle: null,
  locked: false,
  callMs: 0,
  passed: part.throttle === undefined || part.throttle === null,
  maxConcurrency: 4,
  random: 0,
  ...part,
})

export const report = (sql: Sql, who: Party, part: Partial<PaceReport> = {}): Promise<WokenLane[]> =>
  sql.begin((tx) => recordPace(tx, reportOf(who, part)))

/** A usage in percent. */
export const percent = (used: number): { usage: { used: number; limit: number } } => ({
  usage: { used: Math.round(used * 100), limit: 10_000 },
})

/** A batch of a call in flight. */
export async function openBatch(
  sql: Sql,
  who: Party,
  part: { callId?: string; synchronous?: boolean; state?: string } = {},
): Promise<void> {
  const { callId = newId(), synchronous = false, state = 'started' } = part
  await sql`
    insert into batch (id, lane_id, installation_id, project_id, call_id, object_name, type, all_or_none, members,
                       attempt, worker, lease_until, synchronous, state, ended_at)
    values (${newId()}, ${newId()}, ${who.installationId}, ${newId()}, ${callId}, 'Contact', 'create', false, '{}',
            1, 'test', now() + interval '1 min', ${synchronous}, ${state},
            case when ${state} = 'ended' then now() end)`
}

/** A lane, put off for an hour for a reason; its id. */
export async function heldLane(sql: Sql, who: Party, heldBy: string | null): Promise<string> {
  const id = newId()
  await sql`
    insert into lane (id, project_id, integration_id, installation_id, object_name, type, key_hash, due_at, held_by)
    values (${id}, ${newId()}, ${newId()}, ${who.installationId}, 'Contact', 'create', ${Buffer.from(id)},
            now() + interval '1 hour', ${heldBy})`
  return id
}

/** The ids of woken lanes, in order. */
export const idsOf = (woken: WokenLane[]): string[] => woken.map((lane) => lane.laneId).sort()

/** Lets minutes pass for what is kept of an installation and its org. */
export async function letPass(sql: Sql, who: Party, minutes: number): Promise<void> {
  const span = sql`make_interval(secs => ${minutes * 60})`
  await sql`
    update pacing set concurrency_at = concurrency_at - ${span}, probe_at = probe_at - ${span},
      paused_until = paused_until - ${span} where installation_id = ${who.installationId}`
  await sql`
    update org_usage set read_at = read_at - ${span}, blocked_at = blocked_at - ${span},
      blocked_until = blocked_until - ${span} where org = ${who.org}`
}

/** Statements that wait for a lock. */
export async function countLockWaits(sql: Sql): Promise<number> {
  const [row] = await sql<{ count: number }[]>`
    select count(*)::int as count from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'`
  return row!.count
}
