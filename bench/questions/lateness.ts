import { setTimeout as delay } from 'node:timers/promises'
import { concurrently, unexpected, type Call } from '../../src/cli/demo/client.ts'
import type { RequestEntry } from '../../src/simulator/request-log.ts'
import { Draw } from '../chaos/draw.ts'
import { atMost, figureOf, short, type Figure, type Round } from '../harness/answer.ts'
import { sized, type Bench, type Question } from '../harness/bench.ts'
import { percentilesOf } from '../harness/statistics.ts'
import { startOurs, type Customer, type Ours } from '../parts/service.ts'
import { startSimulatorProcess, type SimulatorProcess } from '../parts/simulator.ts'
import { bodyOf, makeWrites, oneObject, type MadeWrite } from '../parts/writes.ts'

const GROUP = 100
/** Customers whose groups fall due on their own: none rides in the call of another. */
const CUSTOMERS = 25
/** Seconds until a write is due: between two of the worker's looks at the tables, before one, and after. */
const DELAY_SECONDS = { min: 0.5, max: 3 }
/** Milliseconds between two looks at the org's log. */
const LOOK_MS = 20

/** How soon a full group leaves, and how late one that waits for its deadline. */
export const lateness: Question = {
  id: 'P6',
  name: 'lateness',
  asks: '100th accept to request leaving, and lateness at a deadline',
  run: async (bench) => {
    const simulator = await startSimulatorProcess(bench)
    const ours = await startOurs(bench, 'all')
    const one = await ours.addCustomer('full', simulator.url)
    const others = await Promise.all(
      Array.from({ length: CUSTOMERS }, (_, place) => ours.addCustomer(`due-${place}`, simulator.url)),
    )
    const full: Round[] = []
    const late: Round[] = []
    for (let round = 0; round < bench.options.rounds; round += 1) {
      full.push(await measureFull(bench, ours, simulator, one))
      late.push(await measureLate(bench, ours, others))
      bench.say(
        `  round ${round + 1}: ${short(full.at(-1)?.value ?? 0)} and ${short(late.at(-1)?.value ?? 0)} ms`,
      )
    }
    const about = { side: 'ours', unit: 'ms, p99' } as const
    const figures = [
      figureOf({ ...about, label: '100th accept → request' }, full),
      figureOf({ ...about, label: 'past a deadline' }, late),
    ]
    return {
      figures,
      verdicts: [
        atMost(100, p99Of(figures[0]), 'ms', '100th accept → request, p99'),
        atMost(500, p99Of(figures[1]), 'ms', 'lateness at a deadline, p99'),
      ],
      notes: ['counted from when the 100th call is made, so its acceptance is part of it'],
    }
  },
}

const p99Of = (figure: Figure | undefined): number | undefined => figure?.latencyMs?.p99

const roundOf = (ms: number[]): Round => {
  const latencyMs = percentilesOf(ms)
  return { value: latencyMs.p99, latencyMs }
}

const nowMs = (): number => performance.timeOrigin + performance.now()

/** Fills one group after the other; how long after the last of its calls each arrives at the org. */
async function measureFull(
  bench: Bench,
  ours: Ours,
  simulator: SimulatorProcess,
  customer: Customer,
): Promise<Round> {
  const writes = makeWrites(bench.options.seed, GROUP, oneObject)
  const policy = { maxDelaySeconds: 3_600 }
  const waits: number[] = []
  for (let group = 0; group < sized(bench, 150, 6); group += 1) {
    const before = (await simulator.requests(1)).at(-1)?.seq ?? 0
    await concurrently(writes.slice(1), 32, (write) => post(ours.call, customer, write, policy))
    const lastAt = nowMs()
    await concurrently(writes.slice(0, 1), 1, (write) => post(ours.call, customer, write, policy))
    const entry = await requestAfter(bench, simulator, before)
    waits.push(entry.startMs - lastAt)
  }
  return roundOf(waits)
}

/** The next request that carries records. */
async function requestAfter(bench: Bench, simulator: SimulatorProcess, seq: number): Promise<RequestEntry> {
  for (;;) {
    bench.signal.throwIfAborted()
    const entries = await simulator.requests(10)
    const entry = entries.find((one) => one.seq > seq && one.recordCount > 0)
    if (entry !== undefined) return entry
    await delay(LOOK_MS)
  }
}

/** One write of each customer at a time, with its own deadline; how long after that its call was begun. */
async function measureLate(bench: Bench, ours: Ours, customers: readonly Customer[]): Promise<Round> {
  const draw = new Draw(bench.options.seed)
  const [write] = makeWrites(bench.options.seed, 1, oneObject)
  if (write === undefined) throw new RangeError('no write')
  const ids = await concurrently(customers, customers.length, async (customer) => {
    const own: string[] = []
    for (let turn = 0; turn < sized(bench, 10, 2); turn += 1) {
      const maxDelaySeconds = Number(draw.between(DELAY_SECONDS.min, DELAY_SECONDS.max).toFixed(3))
      const id = await post(ours.call, customer, write, { maxDelaySeconds })
      await outcome(ours, id)
      own.push(id)
    }
    return own
  })
  const rows = await ours.database.sql<{ ms: number }[]>`
    select extract(epoch from b.started_at - w.due_at)::float8 * 1000 as ms
    from write w join batch b on b.id = w.batch_id where w.id = any (${ids.flat()}::uuid[])`
  return roundOf(rows.map((row) => row.ms))
}

async function post(call: Call, { target }: Customer, write: MadeWrite, policy: object): Promise<string> {
  const path = target.pathOf(write.object)
  const answer = await call('POST', path, bodyOf(target.groupRef, write, policy))
  if (answer.status !== 200) throw unexpected('POST', path, answer)
  return (answer.body as { operationId: string }).operationId
}

async function outcome({ call, project }: Ours, id: string): Promise<void> {
  const path = `/v1/projects/${project.projectId}/operations/${id}?wait=30`
  const answer = await call('GET', path)
  if ((answer.body as { status?: string }).status !== 'success') throw unexpected('GET', path, answer)
}
