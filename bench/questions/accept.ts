import type { Round } from '../harness/answer.ts'
import { atLeast } from '../harness/answer.ts'
import { sized, type Bench, type Question } from '../harness/bench.ts'
import { Histogram } from '../harness/histogram.ts'
import { figureFor, takeTurns, type Contender } from '../harness/rounds.ts'
import { startPeer, unlessMissing, type PeerName } from '../parts/peer.ts'
import { startCpu, type Pids } from '../parts/process-figures.ts'
import { startOurs } from '../parts/service.ts'
import { startSimulatorProcess } from '../parts/simulator.ts'
import { makeWrites, toRequests, type WriteTarget } from '../parts/writes.ts'

const CONNECTIONS = 64
const UNIT = 'writes/s'
const WARM_SECONDS = { full: 3, quick: 0.3 }
const SECONDS = { full: 6, quick: 0.7 }

/** How many durable single-record accepts a second there are over HTTP. */
export const accept: Question = {
  id: 'P1',
  name: 'accept',
  asks: 'durable single-record accepts over HTTP, 64 connections',
  run: async (bench) => {
    const notes: string[] = []
    const simulator = await startSimulatorProcess(bench)
    const ours = await startOurs(bench, 'api')
    const customer = await ours.addCustomer('bench', simulator.url)
    const database = bench.server.pid
    const contenders = [
      accepting(bench, 'Writeback', 'ours', customer.target, { service: ours.first.pid, database }),
    ]
    for (const name of ['pg-boss', 'graphile-worker', 'bare-handler'] as const)
      contenders.push(...(await unlessMissing(name, notes, () => startAccepting(bench, name, simulator.url))))
    for (const { warm } of contenders) await warm()
    const turns = await takeTurns(bench, UNIT, contenders)
    const { figures } = turns
    const [own, peer, bare] = ['Writeback', 'pg-boss', 'bare-handler'].map((label) =>
      figureFor(figures, label),
    )
    return {
      figures,
      verdicts: [
        atLeast(8, own, peer, 'times', 'pg-boss'),
        atLeast(0.75, own, bare, 'percent', 'the bare handler'),
      ],
      notes: [...notes, ...turns.notes],
    }
  },
}

type Accepting = Contender & { warm: () => Promise<unknown> }

async function startAccepting(bench: Bench, name: PeerName, loginUrl: string): Promise<Accepting> {
  const peer = await startPeer(bench, name, 'api', loginUrl)
  const isLimit = name === 'bare-handler'
  const pids = { service: peer.pid, ...(isLimit ? {} : { database: bench.server.pid }) }
  return accepting(bench, name, isLimit ? 'limit' : 'peer', peer.target, pids)
}

function accepting(
  bench: Bench,
  label: string,
  side: Contender['side'],
  target: WriteTarget,
  pids: Pids,
): Accepting {
  const requests = toRequests(target, makeWrites(bench.options.seed, 2_000))
  const order = { kind: 'closed', url: target.url, requests, connections: CONNECTIONS } as const
  const round = async (): Promise<Round> => {
    await bench.server.settle()
    const cpu = startCpu({ ...pids, load: bench.load.pid })
    const result = await bench.load.run({
      ...order,
      leadSeconds: 0.3,
      seconds: sized(bench, SECONDS.full, SECONDS.quick),
    })
    const answered = Object.values(result.statuses).reduce((sum, times) => sum + times, 0)
    return {
      value: result.count / result.seconds,
      latencyMs: new Histogram(result.latency).percentiles(),
      cpuMicros: cpu.perRecord(answered),
    }
  }
  const seconds = sized(bench, WARM_SECONDS.full, WARM_SECONDS.quick)
  return { label, side, round, warm: () => bench.load.run({ ...order, seconds }) }
}
