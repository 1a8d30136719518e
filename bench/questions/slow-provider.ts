import { short, type Round } from '../harness/answer.ts'
import { sized, type Bench, type Question } from '../harness/bench.ts'
import { figureFor, takeTurns, type Contender } from '../harness/rounds.ts'
import { median } from '../harness/statistics.ts'
import { drainOurs, postBacklog } from '../parts/draining.ts'
import { startOurs } from '../parts/service.ts'
import { startSimulatorProcess, type SimulatorProcess } from '../parts/simulator.ts'
import { oneObject } from '../parts/writes.ts'
import { CONCURRENCY, drainingPeer, jsforceAlone } from './drain.ts'

const LATENCY_MS = 200
/** What as many calls of 100 records each could carry at that latency. */
const POSSIBLE = (CONCURRENCY * 100 * 1000) / LATENCY_MS
const SHARE = 0.9

/** How quickly a backlog is sent when the provider takes its time. */
export const slowProvider: Question = {
  id: 'P9',
  name: 'slow-provider',
  asks: 'drain of one installation and object, provider at 200 ms, concurrency 4',
  run: async (bench) => {
    const simulator = await startSimulatorProcess(bench)
    await simulator.setLatency(LATENCY_MS)
    const { figures, notes } = await takeTurns(bench, 'records/s', [
      await drainingOurs(bench, simulator, sized(bench, 20_000, 2_000)),
      drainingPeer(bench, 'pg-boss', simulator, sized(bench, 6_000, 500), oneObject),
      jsforceAlone(bench, simulator, sized(bench, 40_000, 3_000)),
    ])
    const own = figureFor(figures, 'Writeback')
    const rate = own && median(own.rounds)
    return {
      figures,
      verdicts: [
        {
          target: `≥ ${SHARE * 100} % of ${short(POSSIBLE)} records/s`,
          measured: rate === undefined ? 'not measured' : `${short((rate / POSSIBLE) * 100)} %`,
          met: rate === undefined ? null : rate >= SHARE * POSSIBLE,
        },
      ],
      notes: [...notes, 'ours and jsforce put five groups of 100 into a call; the target counts one'],
    }
  },
}

async function drainingOurs(bench: Bench, simulator: SimulatorProcess, count: number): Promise<Contender> {
  const ours = await startOurs(bench, 'api')
  const { target } = await ours.addCustomer('bench', simulator.url)
  const round = async (): Promise<Round> => {
    await postBacklog(bench, target, count, oneObject)
    return drainOurs(bench, ours, count, { database: bench.server.pid, provider: simulator.pid })
  }
  return { label: 'Writeback', side: 'ours', round }
}
