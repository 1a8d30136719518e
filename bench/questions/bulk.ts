import { atLeast, type Round } from '../harness/answer.ts'
import { sized, type Bench, type Question } from '../harness/bench.ts'
import { Histogram } from '../harness/histogram.ts'
import { figureFor, takeTurns, type Contender } from '../harness/rounds.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import { migrate } from '../../src/db/migrate.ts'
import { runLimit } from '../parts/peer.ts'
import { startCpu } from '../parts/process-figures.ts'
import { startOurs } from '../parts/service.ts'
import { startSimulatorProcess } from '../parts/simulator.ts'
import { makeWrites, toBulkRequests } from '../parts/writes.ts'

/** Writes of one call, and rows of one transaction: the most that a call may bring. */
const PER_CALL = 1_000
/** Calls, and transactions, at once. */
const CONNECTIONS = 4

/** How many writes a second bulk submit takes. */
export const bulk: Question = {
  id: 'P2',
  name: 'bulk',
  asks: 'bulk submit of 1,000 writes a call, 4 connections',
  run: async (bench) => {
    const contenders = [await bulkOurs(bench), await insertRows(bench)]
    const { figures, notes } = await takeTurns(bench, 'rows/s', contenders)
    const [own, rows] = ['Writeback', 'insert-rows'].map((label) => figureFor(figures, label))
    return { figures, verdicts: [atLeast(0.6, own, rows, 'percent', 'multi-row inserts')], notes }
  },
}

async function bulkOurs(bench: Bench): Promise<Contender> {
  const simulator = await startSimulatorProcess(bench)
  const ours = await startOurs(bench, 'api')
  const { target } = await ours.addCustomer('bench', simulator.url)
  const order = {
    kind: 'closed',
    url: target.url,
    requests: toBulkRequests(target, makeWrites(bench.options.seed, 10 * PER_CALL), PER_CALL),
    connections: CONNECTIONS,
    writesPerCall: PER_CALL,
  } as const
  await bench.load.run({ ...order, seconds: sized(bench, 3, 0.2) })
  const round = async (): Promise<Round> => {
    await bench.server.settle()
    const cpu = startCpu({ service: ours.first.pid, database: bench.server.pid, load: bench.load.pid })
    const result = await bench.load.run({ ...order, seconds: sized(bench, 6, 0.3) })
    const calls = Object.values(result.statuses).reduce((sum, times) => sum + times, 0)
    return {
      value: (result.count * PER_CALL) / result.seconds,
      latencyMs: new Histogram(result.latency).percentiles(),
      cpuMicros: cpu.perRecord(calls * PER_CALL),
    }
  }
  return { label: 'Writeback', side: 'ours', round }
}

/** The same rows into our own table, and nothing else. */
async function insertRows(bench: Bench): Promise<Contender> {
  const database = await bench.server.create('rows')
  bench.stops.add(database.drop)
  await migrate(database.sql, { logger: silentLogger })
  const args = {
    rows: sized(bench, 200_000, 8_000),
    'per-transaction': PER_CALL,
    connections: CONNECTIONS,
  }
  const round = async (): Promise<Round> => {
    await bench.server.settle()
    const { rows, seconds } = await runLimit<{ rows: number; seconds: number }>(bench, 'insert-rows', args, {
      DATABASE_URL: database.url,
    })
    return { value: rows / seconds }
  }
  return { label: 'insert-rows', side: 'limit', round }
}
