import { setTimeout as delay } from 'node:timers/promises'
import { atMost, type Round } from '../harness/answer.ts'
import { sized, type Bench, type Question } from '../harness/bench.ts'
import { takeTurns } from '../harness/rounds.ts'
import { median, percentilesOf, type Percentiles } from '../harness/statistics.ts'
import { databaseTime, postBacklog } from '../parts/draining.ts'
import { startOurs, type Customer, type Ours } from '../parts/service.ts'
import { startSimulatorProcess } from '../parts/simulator.ts'
import { makeWrites, toRequests } from '../parts/writes.ts'

/** Milliseconds that a call to the one org takes, and to the other while it is slow. */
const LATENCY_MS = { usual: 30, slow: 10_000, slowInQuick: 3_000 }
/** So few that what the other costs is seen, and not the limit of the machine. */
const PER_SECOND = 25
/** How much greater the p99 may be. */
const MOST = 1.2
/** Milliseconds between two looks whether anything is left. */
const LOOK_MS = 50

/** What one installation feels of another whose org is slow. */
export const isolation: Question = {
  id: 'P11',
  name: 'isolation',
  asks: 'accept to outcome of one installation, alone and beside one whose org takes 10 s per call with thousands waiting',
  run: async (bench) => {
    const ours = await startOurs(bench, 'all')
    const [usualOrg, slowOrg] = [await startSimulatorProcess(bench), await startSimulatorProcess(bench)]
    await usualOrg.setLatency(LATENCY_MS.usual)
    const usual = await ours.addCustomer('usual', usualOrg.url)
    const slow = await ours.addCustomer('slow', slowOrg.url)
    await postBacklog(bench, usual.target, sized(bench, 2_000, 500))
    await ended(bench, ours, usual)
    const ratios: number[] = []
    let alone: Percentiles | null = null
    const contenders = [
      {
        label: 'alone',
        side: 'ours',
        round: async () => {
          alone = await measure(bench, ours, usual)
          return roundOf(alone)
        },
      },
      {
        label: 'beside',
        side: 'ours',
        round: async () => {
          await slowOrg.setLatency(sized(bench, LATENCY_MS.slow, LATENCY_MS.slowInQuick))
          await postBacklog(bench, slow.target, sized(bench, 12_000, 2_000))
          const beside = await measure(bench, ours, usual)
          if (alone !== null) ratios.push(beside.p99 / alone.p99)
          await slowOrg.setLatency(0)
          await ended(bench, ours, slow)
          return roundOf(beside)
        },
      },
    ] as const
    const { figures, notes } = await takeTurns(bench, 'ms, p99', contenders)
    return {
      figures,
      verdicts: [atMost(MOST, median(ratios), '×', 'p99 beside to p99 alone, round by round')],
      notes,
    }
  },
}

const roundOf = (latencyMs: Percentiles): Round => ({ value: latencyMs.p99, latencyMs })

/** Writes at a steady pace; how long each took from its acceptance to its outcome. */
async function measure(bench: Bench, ours: Ours, { target, installationId }: Customer): Promise<Percentiles> {
  const { sql } = ours.database
  const since = await databaseTime(sql)
  await bench.load.run({
    kind: 'paced',
    url: target.url,
    requests: toRequests(target, makeWrites(bench.options.seed, 2_000)),
    connections: 64,
    perSecond: PER_SECOND,
    seconds: sized(bench, 40, 1.5),
  })
  await ended(bench, ours, { installationId })
  const rows = await sql<{ ms: number }[]>`
    select extract(epoch from ended_at - accepted_at)::float8 * 1000 as ms from write
    where installation_id = ${installationId} and accepted_at >= ${since}`
  return percentilesOf(rows.map((row) => row.ms))
}

/** Waits until nothing of an installation waits or is in flight. */
export async function ended(
  bench: Bench,
  { database: { sql } }: Ours,
  { installationId }: Pick<Customer, 'installationId'>,
): Promise<void> {
  for (;;) {
    bench.signal.throwIfAborted()
    const [row] = await sql<{ open: boolean }[]>`
      select exists (select from lane where installation_id = ${installationId} and due_at is not null)
        or exists (select from batch where installation_id = ${installationId} and state <> 'ended') as open`
    if (row?.open === false) return
    await delay(LOOK_MS)
  }
}
