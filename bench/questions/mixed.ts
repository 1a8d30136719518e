import { atMost, figureOf, short, type Figure, type Round } from '../harness/answer.ts'
import { sized, type Bench, type Question } from '../harness/bench.ts'
import { Histogram } from '../harness/histogram.ts'
import { databaseTime, endedSince, postBacklog } from '../parts/draining.ts'
import { startCpu } from '../parts/process-figures.ts'
import { startOurs, type Customer, type Ours } from '../parts/service.ts'
import { startSimulatorProcess, type SimulatorProcess } from '../parts/simulator.ts'
import { makeWrites, toRequests } from '../parts/writes.ts'
import { toReads } from './reads.ts'

const READS_PER_SECOND = 500
const CONNECTIONS = 64
/** So many that none is waited for: what is measured is the service, at whatever pace it is called. */
const OPEN_CONNECTIONS = 1_024

interface Mix {
  accepts: Round
  reads: Round
  drained: Round
}

/** Everything at once. */
export const mixed: Question = {
  id: 'P10',
  name: 'mixed',
  asks: 'accepts at half of what P1 takes, while draining and with 500 status reads/s',
  run: async (bench) => {
    const simulator = await startSimulatorProcess(bench)
    const ours = await startOurs(bench, 'api')
    const customer = await ours.addCustomer('bench', simulator.url)
    const order = {
      kind: 'closed',
      url: ours.first.url,
      requests: toRequests(customer.target, makeWrites(bench.options.seed, 2_000)),
      connections: CONNECTIONS,
    } as const
    await bench.load.run({ ...order, seconds: sized(bench, 3, 0.5) })
    const most = await bench.load.run({ ...order, seconds: sized(bench, 5, 1), ids: true })
    const perSecond = Math.round(most.count / most.seconds / 2)
    const rounds: Mix[] = []
    for (let number = 0; number < bench.options.rounds; number += 1) {
      rounds.push(await mix(bench, ours, customer, simulator, { perSecond, ids: most.ids }))
      bench.say(`  round ${number + 1}: p99 ${short(rounds.at(-1)?.accepts.value ?? 0)} ms`)
    }
    const figures = figuresOf(rounds)
    return {
      figures,
      verdicts: [atMost(100, figures[0]?.latencyMs?.p99, 'ms', 'accept p99')],
      notes: [`accepts at ${perSecond}/s; latencies count from when a call should have been made`],
    }
  },
}

const figuresOf = (rounds: readonly Mix[]): Figure[] => [
  figureOf(
    { label: 'accepts', side: 'ours', unit: 'ms, p99' },
    rounds.map(({ accepts }) => accepts),
  ),
  figureOf(
    { label: 'status reads', side: 'ours', unit: 'ms, p99' },
    rounds.map(({ reads }) => reads),
  ),
  figureOf(
    { label: 'drained meanwhile', side: 'ours', unit: 'records/s' },
    rounds.map(({ drained }) => drained),
  ),
]

/** One round: a backlog, a worker on it, and the load beside. */
async function mix(
  bench: Bench,
  ours: Ours,
  { target }: Customer,
  simulator: SimulatorProcess,
  load: { perSecond: number; ids: string[] },
): Promise<Mix> {
  const { sql } = ours.database
  await postBacklog(bench, target, sized(bench, 60_000, 4_000))
  await bench.server.settle()
  const worker = await ours.start('worker')
  try {
    const since = await databaseTime(sql)
    const cpu = startCpu({
      api: ours.first.pid,
      worker: worker.pid,
      database: bench.server.pid,
      load: bench.load.pid,
      provider: simulator.pid,
    })
    const common = { kind: 'paced', url: ours.first.url, seconds: sized(bench, 10, 1.5) } as const
    const [accepts, reads] = await Promise.all([
      bench.load.run({
        ...common,
        requests: toRequests(target, makeWrites(bench.options.seed, 2_000)),
        connections: OPEN_CONNECTIONS,
        perSecond: load.perSecond,
      }),
      bench.load.run({
        ...common,
        requests: toReads(ours, load.ids),
        connections: CONNECTIONS,
        perSecond: READS_PER_SECOND,
      }),
    ])
    const { ended } = await endedSince(sql, since)
    const percentiles = (data: typeof accepts.latency): Round => {
      const latencyMs = new Histogram(data).percentiles()
      return { value: latencyMs.p99, latencyMs }
    }
    return {
      accepts: { ...percentiles(accepts.latency), cpuMicros: cpu.perRecord(accepts.count) },
      reads: percentiles(reads.latency),
      drained: { value: ended / accepts.seconds },
    }
  } finally {
    await worker.stop()
  }
}
