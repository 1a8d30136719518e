import { atMost, type Round, type Side } from '../harness/answer.ts'
import { sized, type Bench, type Question } from '../harness/bench.ts'
import { figureFor, takeTurns, type Contender } from '../harness/rounds.ts'
import { median } from '../harness/statistics.ts'
import { drainOurs, drainPeer, postBacklog } from '../parts/draining.ts'
import { startPeer, type PeerName } from '../parts/peer.ts'
import { startOurs } from '../parts/service.ts'
import { startSimulatorProcess, type SimulatorProcess } from '../parts/simulator.ts'

/** What a backlog costs of the org's daily calls. */
export const calls: Question = {
  id: 'P4',
  name: 'calls',
  asks: 'API calls per 1,000 records, backlog on five objects',
  run: async (bench) => {
    const simulator = await startSimulatorProcess(bench)
    const ours = await startOurs(bench, 'api')
    const { target } = await ours.addCustomer('bench', simulator.url)
    const count = sized(bench, 10_000, 2_000)
    const few = sized(bench, 2_000, 600)
    const counting = (
      label: string,
      side: Side,
      records: number,
      send: () => Promise<unknown>,
    ): Contender => ({ label, side, round: () => countCalls(simulator, records, send) })
    const { figures, notes } = await takeTurns(bench, 'calls/1,000 records', [
      counting('Writeback', 'ours', count, async () => {
        await postBacklog(bench, target, count)
        await drainOurs(bench, ours, count, {})
      }),
      ...(['pg-boss', 'graphile-worker', 'synchronous'] as const).map((name) =>
        counting(name, 'peer', few, () => sendAll(bench, name, simulator, few)),
      ),
    ])
    const own = figureFor(figures, 'Writeback')
    return { figures, verdicts: [atMost(2, own && median(own.rounds), 'calls/1,000 records')], notes }
  },
}

async function countCalls(
  simulator: SimulatorProcess,
  records: number,
  send: () => Promise<unknown>,
): Promise<Round> {
  const before = await simulator.totals()
  await send()
  const after = await simulator.totals()
  return { value: ((after.apiCalls - before.apiCalls) * 1000) / records }
}

/** Posts a backlog to a peer and lets it drain; the synchronous one has sent all by then. */
async function sendAll(
  bench: Bench,
  name: PeerName,
  simulator: SimulatorProcess,
  count: number,
): Promise<void> {
  const peer = await startPeer(bench, name, 'all', simulator.url)
  try {
    await postBacklog(bench, peer.target, count)
    if (name !== 'synchronous') await drainPeer(bench, peer, count, {})
  } finally {
    await peer.stop()
  }
}
