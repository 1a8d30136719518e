import { atLeast, type Round } from '../harness/answer.ts'
import { sized, type Bench, type Question } from '../harness/bench.ts'
import { figureFor, takeTurns, type Contender } from '../harness/rounds.ts'
import { drainOurs, drainPeer, postBacklog } from '../parts/draining.ts'
import { runLimit, startPeer, type PeerName } from '../parts/peer.ts'
import { startOurs } from '../parts/service.ts'
import { startSimulatorProcess, type SimulatorProcess } from '../parts/simulator.ts'

/** Calls of one installation in flight at once: the service's default, and what the peers have. */
export const CONCURRENCY = 4

/** How quickly a backlog is sent when the provider answers at once. */
export const drain: Question = {
  id: 'P3',
  name: 'drain',
  asks: 'drain of a backlog on five objects, provider at 0 ms',
  run: async (bench) => {
    const simulator = await startSimulatorProcess(bench)
    const contenders = [
      await drainingOurs(bench, simulator, sized(bench, 40_000, 6_000)),
      drainingPeer(bench, 'pg-boss', simulator, sized(bench, 12_000, 1_500)),
      drainingPeer(bench, 'graphile-worker', simulator, sized(bench, 12_000, 1_500)),
      jsforceAlone(bench, simulator, sized(bench, 60_000, 20_000)),
    ]
    const { figures, notes } = await takeTurns(bench, 'records/s', contenders)
    const [own, peer, alone] = ['Writeback', 'pg-boss', 'jsforce-alone'].map((label) =>
      figureFor(figures, label),
    )
    return {
      figures,
      verdicts: [
        atLeast(0.7, own, alone, 'percent', 'jsforce alone'),
        atLeast(5, own, peer, 'times', 'pg-boss'),
      ],
      notes,
    }
  },
}

async function drainingOurs(bench: Bench, simulator: SimulatorProcess, count: number): Promise<Contender> {
  const ours = await startOurs(bench, 'api')
  const { target } = await ours.addCustomer('bench', simulator.url)
  const round = async (): Promise<Round> => {
    await postBacklog(bench, target, count)
    return drainOurs(bench, ours, count, { database: bench.server.pid, provider: simulator.pid })
  }
  return { label: 'Writeback', side: 'ours', round }
}

/** A peer anew for each round: its worker begins once, and a backlog is built up before. */
export function drainingPeer(
  bench: Bench,
  name: PeerName,
  simulator: SimulatorProcess,
  count: number,
  objects?: Parameters<typeof postBacklog>[3],
): Contender {
  const round = async (): Promise<Round> => {
    const peer = await startPeer(bench, name, 'all', simulator.url)
    try {
      await postBacklog(bench, peer.target, count, objects)
      return await drainPeer(bench, peer, count, {
        database: bench.server.pid,
        provider: simulator.pid,
      })
    } finally {
      await peer.stop()
    }
  }
  return { label: name, side: 'peer', round }
}

/** jsforce with groups that it has at hand, five in a composite call as ours go. */
export function jsforceAlone(bench: Bench, simulator: SimulatorProcess, count: number): Contender {
  const round = async (): Promise<Round> => {
    const { seconds } = await runLimit<{ seconds: number }>(
      bench,
      'jsforce-alone',
      { records: count, concurrency: CONCURRENCY, shape: 'composite' },
      { LOGIN_URL: simulator.url },
    )
    return { value: count / seconds }
  }
  return { label: 'jsforce-alone', side: 'limit', round }
}
