import { setTimeout as delay } from 'node:timers/promises'
import { atLeast, figureOf, type Figure, type Round, type Verdict } from '../harness/answer.ts'
import { sized, type Bench, type Question } from '../harness/bench.ts'
import { Histogram } from '../harness/histogram.ts'
import { figureFor, takeTurns, type Contender } from '../harness/rounds.ts'
import { percentilesOf } from '../harness/statistics.ts'
import type { LoadRequest } from '../parts/load-protocol.ts'
import { mostPolls } from '../parts/open-files.ts'
import { startPeer, unlessMissing } from '../parts/peer.ts'
import { residentMb, startCpu } from '../parts/process-figures.ts'
import { startOurs, type Customer, type Ours } from '../parts/service.ts'
import { startSimulatorProcess } from '../parts/simulator.ts'
import { makeWrites, toRequests } from '../parts/writes.ts'

const CONNECTIONS = 64
/** Seconds that a long poll may be held (contract section 7). */
const WAIT_SECONDS = 60
/** Fewer statements than this in as many milliseconds: nothing is read any more but what the service looks at anyway. */
const QUIET_COMMITS = 100
const QUIET_MS = 1_500

/** How many status reads a second there are, and whether thousands can wait for their outcomes. */
export const reads: Question = {
  id: 'P8',
  name: 'reads',
  asks: 'status reads, 64 connections; then 10,000 long polls open at once',
  run: async (bench) => {
    const notes: string[] = []
    const simulator = await startSimulatorProcess(bench)
    const ours = await startOurs(bench, 'api')
    const customer = await ours.addCustomer('bench', simulator.url)
    const ids = await postAndKeep(bench, ours, customer, sized(bench, 10_000, 1_000))
    const contenders = [reading(bench, 'Writeback', 'ours', ours.first, toReads(ours, ids))]
    const bare = await unlessMissing('bare-handler', notes, () =>
      startPeer(bench, 'bare-handler', 'all', simulator.url),
    )
    for (const { pid, target } of bare) {
      const requests = toRequests(target, makeWrites(bench.options.seed, 2_000))
      contenders.push(reading(bench, 'bare-handler', 'limit', { pid, url: target.url }, requests))
    }
    for (const { warm } of contenders) await warm()
    const turns = await takeTurns(bench, 'reads/s', contenders)
    const [own, limit] = ['Writeback', 'bare-handler'].map((label) => figureFor(turns.figures, label))
    const polls = await holdPolls(bench, ours, ids)
    return {
      figures: [...turns.figures, ...polls.figures],
      verdicts: [atLeast(0.6, own, limit, 'percent', 'the bare handler'), ...polls.verdicts],
      notes: [...notes, ...turns.notes, ...polls.notes],
    }
  },
}

/** Posts writes that no worker sends yet; the ids of their operations. */
async function postAndKeep(bench: Bench, ours: Ours, { target }: Customer, count: number): Promise<string[]> {
  const requests = toRequests(target, makeWrites(bench.options.seed, 1_000))
  const order = { kind: 'closed', url: ours.first.url, requests, connections: CONNECTIONS } as const
  return (await bench.load.run({ ...order, count, ids: true })).ids
}

/** Calls that read operations, one for each id. */
export const toReads = ({ project }: Ours, ids: readonly string[], query = ''): LoadRequest[] =>
  ids.map((id) => ({
    method: 'GET',
    path: `/v1/projects/${project.projectId}/operations/${id}${query}`,
    headers: { 'x-api-key': project.key },
  }))

type Reading = Contender & { warm: () => Promise<unknown> }

function reading(
  bench: Bench,
  label: string,
  side: Contender['side'],
  process: { pid: number; url: string },
  requests: LoadRequest[],
): Reading {
  const order = { kind: 'closed', url: process.url, requests, connections: CONNECTIONS } as const
  const round = async (): Promise<Round> => {
    await bench.server.settle()
    const database = side === 'ours' ? { database: bench.server.pid } : {}
    const cpu = startCpu({ service: process.pid, ...database, load: bench.load.pid })
    const result = await bench.load.run({ ...order, leadSeconds: 0.3, seconds: sized(bench, 5, 0.7) })
    const answered = Object.values(result.statuses).reduce((sum, times) => sum + times, 0)
    return {
      value: result.count / result.seconds,
      latencyMs: new Histogram(result.latency).percentiles(),
      cpuMicros: cpu.perRecord(answered),
    }
  }
  return { label, side, round, warm: () => bench.load.run({ ...order, seconds: sized(bench, 3, 0.3) }) }
}

/** Opens a long poll for each write, and lets a worker send them once all are held. */
async function holdPolls(
  bench: Bench,
  ours: Ours,
  ids: readonly string[],
): Promise<{ figures: Figure[]; verdicts: Verdict[]; notes: string[] }> {
  const waited = ids.slice(0, mostPolls())
  const held = Promise.withResolvers<number>()
  held.promise.catch(() => undefined)
  const requests = toReads(ours, waited, `?wait=${WAIT_SECONDS}`)
  const polling = bench.load.run({ kind: 'at-once', url: ours.first.url, requests }, held.resolve)
  polling.catch(held.reject)
  const early = await held.promise
  await untilQuiet(bench, ours)
  const memory = residentMb(ours.first.pid)
  const worker = await ours.start('worker')
  try {
    const { count, answeredAt } = await polling
    const delays = await answerDelays(ours, waited, answeredAt)
    const latencyMs = percentilesOf(delays)
    const round = { value: latencyMs.p99, latencyMs }
    const good = early === 0 && count === waited.length && delays.length === waited.length
    return {
      figures: [figureOf({ label: 'outcome → long poll', side: 'ours', unit: 'ms, p99' }, [round])],
      verdicts: [
        {
          target: `${waited.length} long polls held, and all answered`,
          measured: `${waited.length - early} held, ${delays.length} answered after their outcome`,
          met: good && waited.length === ids.length,
        },
      ],
      notes: [
        ...(memory === null ? [] : [`the process had ${Math.round(memory)} MB when all were open`]),
        ...(waited.length < ids.length
          ? [`only ${waited.length}: the system allows no more open files`]
          : []),
      ],
    }
  } finally {
    await worker.stop()
  }
}

/** Waits until the service has read all that it was asked for: what is open then is held. */
async function untilQuiet(bench: Bench, { database: { sql } }: Ours): Promise<void> {
  let before = 0
  for (;;) {
    bench.signal.throwIfAborted()
    const [row] = await sql<{ commits: number }[]>`
      select xact_commit as commits from pg_stat_database where datname = current_database()`
    const commits = row?.commits ?? 0
    if (commits - before < QUIET_COMMITS) return
    before = commits
    await delay(QUIET_MS)
  }
}

/** Milliseconds from each outcome to the answer that told it; those answered before it are left out. */
async function answerDelays(
  { database: { sql } }: Ours,
  ids: readonly string[],
  answeredAt: readonly number[],
): Promise<number[]> {
  const rows = await sql<{ id: string; endedAt: Date | null }[]>`
    select id, ended_at as "endedAt" from write where id = any (${[...ids]}::uuid[])`
  const ends = new Map(rows.map(({ id, endedAt }) => [id, endedAt?.getTime() ?? Infinity]))
  return ids.map((id, place) => (answeredAt[place] ?? 0) - (ends.get(id) ?? Infinity)).filter((ms) => ms >= 0)
}
