import { setTimeout as delay } from 'node:timers/promises'
import type { Sql } from '../../src/db/connect.ts'
import type { Round } from '../harness/answer.ts'
import type { Bench } from '../harness/bench.ts'
import { objectNames } from '../peers/records.ts'
import type { Peer } from './peer.ts'
import { startCpu, type Pids } from './process-figures.ts'
import type { Ours } from './service.ts'
import { makeWrites, toRequests, type WriteTarget } from './writes.ts'

/** Milliseconds between two looks at how far it is. */
const LOOK_MS = 20
/** Milliseconds without any progress after which a drain counts as stuck. */
const PATIENCE_MS = 90_000
/** Share of a backlog that is not counted: meanwhile the worker starts and warms up. */
const LEAD = 0.25

/** How many had ended at a time. */
export interface Step {
  atMs: number
  ended: number
}

/** What had come of a backlog so far. */
export interface Progress {
  ended: number
  failed: number
}

/**
 * Records a second between two steps: the first with at least `lead` ended, and the first with `total`.
 * @throws {RangeError} when there are no two such steps
 */
export function rateBetween(steps: readonly Step[], lead: number, total: number): number {
  const from = steps.find((step) => step.ended >= lead)
  const to = steps.find((step) => step.ended >= total)
  if (from === undefined || to === undefined || to.atMs <= from.atMs || to.ended <= from.ended)
    throw new RangeError('the backlog is too small: it was gone between two looks')
  return ((to.ended - from.ended) * 1000) / (to.atMs - from.atMs)
}

/**
 * Follows a backlog until `total` have ended.
 *
 * @param read tells what has ended since the drain began
 * @param leadShare share of them that the rate does not count
 * @throws {Error} when writes failed, or nothing moves any more
 */
export async function follow(
  bench: Bench,
  total: number,
  read: () => Promise<Progress>,
  pids: Pids,
  leadShare = LEAD,
): Promise<Round> {
  const steps: Step[] = []
  const lead = Math.ceil(total * leadShare)
  let cpu: { from: ReturnType<typeof startCpu>; ended: number } | null = null
  for (;;) {
    bench.signal.throwIfAborted()
    const { ended, failed } = await read()
    const atMs = performance.now()
    if (failed > 0) throw new Error(`${failed} writes failed`)
    if (steps.at(-1)?.ended !== ended) steps.push({ atMs, ended })
    if (cpu === null && ended >= lead) cpu = { from: startCpu(pids), ended }
    if (ended >= total) break
    if (atMs - (steps.at(-1)?.atMs ?? atMs) > PATIENCE_MS)
      throw new Error(`stuck: ${ended} of ${total} writes have ended, and no more do`)
    await delay(LOOK_MS)
  }
  const counted = total - (cpu?.ended ?? 0)
  return { value: rateBetween(steps, lead, total), cpuMicros: cpu?.from.perRecord(counted) ?? {} }
}

/** Posts creates, as many as the connections can carry. */
export async function postBacklog(
  bench: Bench,
  target: WriteTarget,
  count: number,
  objects: readonly (typeof objectNames)[number][] = objectNames,
): Promise<void> {
  const writes = makeWrites(bench.options.seed, Math.min(count, 10_000), objects)
  const requests = toRequests(target, writes)
  await bench.load.run({ kind: 'closed', url: target.url, requests, connections: 64, count })
}

/** The time by the database. */
export async function databaseTime(sql: Sql): Promise<Date> {
  const [row] = await sql<{ now: Date }[]>`select clock_timestamp() as now`
  return row?.now ?? new Date()
}

/** What has ended in the service's database since a time, by its batches: few rows, however many writes. */
export async function endedSince(sql: Sql, since: Date): Promise<Progress> {
  const [row] = await sql<Progress[]>`
    select coalesce(sum(success_count + failure_count), 0)::int as ended,
      coalesce(sum(failure_count), 0)::int as failed
    from batch where claimed_at >= ${since} and state = 'ended'`
  return row ?? { ended: 0, failed: 0 }
}

/** Starts a worker on a backlog and follows it; the worker ends afterwards. */
export async function drainOurs(bench: Bench, ours: Ours, total: number, others: Pids): Promise<Round> {
  await bench.server.settle()
  const { sql } = ours.database
  const since = await databaseTime(sql)
  const worker = await ours.start('worker')
  try {
    return await follow(bench, total, () => endedSince(sql, since), { service: worker.pid, ...others })
  } finally {
    await worker.stop()
  }
}

/** Lets a peer's worker begin on its backlog and follows it. */
export async function drainPeer(bench: Bench, peer: Peer, total: number, others: Pids): Promise<Round> {
  await bench.server.settle()
  await peer.drain()
  const read = async (): Promise<Progress> => {
    const { succeeded, failed } = await peer.done()
    return { ended: succeeded + failed, failed }
  }
  return follow(bench, total, read, { service: peer.pid, ...others })
}
