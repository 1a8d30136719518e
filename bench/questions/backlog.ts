import { atLeast, short, type Round } from '../harness/answer.ts'
import { sized, type Bench, type Question } from '../harness/bench.ts'
import { takeTurns, type Contender } from '../harness/rounds.ts'
import { databaseTime, endedSince, follow } from '../parts/draining.ts'
import { makeFinished, makeWaiting, preparePlace, vacuum } from '../parts/made-rows.ts'
import type { Pids } from '../parts/process-figures.ts'
import { startOurs } from '../parts/service.ts'
import { startSimulatorProcess, type SimulatorProcess } from '../parts/simulator.ts'

/** Drains of the small backlog in one round: each is over quickly. */
const REPEATS = { full: 3, quick: 1 }
const CUSTOMER = 'bench'

/** Whether much that waits, and much that is done, slows draining down. */
export const backlog: Question = {
  id: 'P5',
  name: 'backlog',
  asks: 'drain with 1 M waiting and 5 M finished rows, against 10 k waiting',
  run: async (bench) => {
    const simulator = await startSimulatorProcess(bench)
    const contenders = [await smallBacklog(bench, simulator), await largeBacklog(bench, simulator)]
    const { figures, notes } = await takeTurns(bench, 'records/s', contenders)
    const [small, large] = figures
    return {
      figures,
      verdicts: [atLeast(0.9, large, small, 'percent', 'that with 10 k waiting')],
      notes: [...notes, 'rows made by SQL; the worker is warm when counting begins'],
    }
  },
}

/** Ten thousand at a time, each time all of them; the first time is not counted. */
async function smallBacklog(bench: Bench, simulator: SimulatorProcess): Promise<Contender> {
  const ours = await startOurs(bench, 'api')
  const place = await preparePlace(ours, await ours.addCustomer(CUSTOMER, simulator.url))
  const { sql } = ours.database
  const count = sized(bench, 10_000, 3_000)
  const repeats = sized(bench, REPEATS.full, REPEATS.quick)
  const drainOnce = async (pids: Pids): Promise<Round> => {
    await bench.server.settle()
    const since = await databaseTime(sql)
    await makeWaiting(sql, place, count)
    return follow(bench, count, () => endedSince(sql, since), pids)
  }
  const round = async (): Promise<Round> => {
    const worker = await ours.start('worker')
    try {
      const pids = { service: worker.pid, database: bench.server.pid, provider: simulator.pid }
      await drainOnce(pids)
      const rounds: Round[] = []
      for (let time = 0; time < repeats; time += 1) rounds.push(await drainOnce(pids))
      const value = rounds.reduce((sum, one) => sum + one.value, 0) / repeats
      return { ...rounds.at(-1), value }
    } finally {
      await worker.stop()
    }
  }
  return { label: `${short(count)} waiting`, side: 'ours', round }
}

/** As many of a million as four times ten thousand; the first of these are not counted. */
async function largeBacklog(bench: Bench, simulator: SimulatorProcess): Promise<Contender> {
  const ours = await startOurs(bench, 'api')
  const place = await preparePlace(ours, await ours.addCustomer(CUSTOMER, simulator.url))
  const { sql } = ours.database
  const size = { finished: sized(bench, 5_000_000, 20_000), waiting: sized(bench, 1_000_000, 20_000) }
  const begun = performance.now()
  await makeFinished(sql, place, size.finished, (made) => {
    bench.signal.throwIfAborted()
    if (made % 1_000_000 === 0) bench.say(`  ${made / 1_000_000} M finished rows made`)
  })
  await makeWaiting(sql, place, size.waiting)
  await vacuum(sql)
  bench.say(`  rows made in ${Math.round((performance.now() - begun) / 1000)} s`)
  const round = async (): Promise<Round> => {
    await bench.server.settle()
    const since = await databaseTime(sql)
    const worker = await ours.start('worker')
    try {
      const pids = { service: worker.pid, database: bench.server.pid, provider: simulator.pid }
      const count = sized(bench, 40_000, 4_000)
      return await follow(bench, count, () => endedSince(sql, since), pids, 1 / 3)
    } finally {
      await worker.stop()
    }
  }
  const label = `${short(size.waiting)} waiting, ${short(size.finished)} finished`
  return { label, side: 'ours', round }
}
