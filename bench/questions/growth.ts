import { atLeast, figureOf, short, type Round } from '../harness/answer.ts'
import { sized, type Bench, type Question } from '../harness/bench.ts'
import { takeTurns, type Contender } from '../harness/rounds.ts'
import { drainOurs } from '../parts/draining.ts'
import type { LoadRequest } from '../parts/load-protocol.ts'
import { startOurs, type Customer, type Ours } from '../parts/service.ts'
import { startSimulatorProcess, type SimulatorProcess } from '../parts/simulator.ts'
import { fiveObjects, makeWrites, toRequests } from '../parts/writes.ts'

const CONNECTIONS = 64
/** Installations that are set up at a time. */
const AT_ONCE = 8
/** What writes wait with in lanes that stay open: two lanes for each object. */
const WAITING = [{ maxDelaySeconds: 3600 }, { maxDelaySeconds: 3600, allOrNone: true }]

/** How the cost of a record grows with what else there is. */
export const growth: Question = {
  id: 'P12',
  name: 'growth',
  asks: 'accept and drain: one installation, the same beside many open lanes, many installations',
  run: async (bench) => {
    const simulator = await startSimulatorProcess(bench)
    const count = sized(bench, 20_000, 1_500)
    const makers = [oneInstallation, besideOpenLanes, manyInstallations]
    const cases: Case[] = []
    for (const make of makers) cases.push(await make(bench, simulator, count))
    const { figures: drains, notes } = await takeTurns(bench, 'records/s', cases)
    const accepts = cases.map(({ label, accepted }) =>
      figureOf({ label: `${label}: accepts`, side: 'ours', unit: 'writes/s' }, accepted),
    )
    return {
      figures: [...drains, ...accepts],
      verdicts: [
        atLeast(0.9, drains[1], drains[0], 'percent', 'its drain without the open lanes'),
        atLeast(0.9, accepts[1], accepts[0], 'percent', 'its accepts without them'),
      ],
      notes: [...notes, 'with many installations, a call carries no more than one of them has'],
    }
  },
}

/** A contender that is also looked at while it accepts. */
interface Case extends Contender {
  accepted: Round[]
}

type Make = (bench: Bench, simulator: SimulatorProcess, count: number) => Promise<Case>

const oneInstallation: Make = async (bench, simulator, count) => {
  const ours = await startOurs(bench, 'api')
  const customer = await ours.addCustomer('one', simulator.url)
  return acceptAndDrain(bench, simulator, ours, [customer], count, 'one installation')
}

const besideOpenLanes: Make = async (bench, simulator, count) => {
  const ours = await startOurs(bench, 'api')
  const customer = await ours.addCustomer('one', simulator.url)
  const others = await addCustomers(bench, ours, simulator, sized(bench, 1_000, 20))
  const requests = others.flatMap(({ target }) =>
    WAITING.flatMap((policy) =>
      toRequests(target, makeWrites(bench.options.seed, fiveObjects.length), policy),
    ),
  )
  await send(bench, customer, requests, requests.length)
  const label = `beside ${short(requests.length)} open lanes`
  return acceptAndDrain(bench, simulator, ours, [customer], count, label)
}

const manyInstallations: Make = async (bench, simulator, count) => {
  const ours = await startOurs(bench, 'api')
  const customers = await addCustomers(bench, ours, simulator, sized(bench, 1_000, 20))
  const label = `${short(customers.length)} installations`
  return acceptAndDrain(bench, simulator, ours, customers, count, label)
}

async function addCustomers(
  bench: Bench,
  ours: Ours,
  simulator: SimulatorProcess,
  count: number,
): Promise<Customer[]> {
  const names = Array.from({ length: count }, (_, index) => `customer-${index}`)
  const customers: Customer[] = []
  for (let from = 0; from < count; from += AT_ONCE) {
    bench.signal.throwIfAborted()
    const some = names.slice(from, from + AT_ONCE)
    customers.push(...(await Promise.all(some.map((name) => ours.addCustomer(name, simulator.url)))))
  }
  return customers
}

/** Posts the customers' creates, one customer after the other, and then has them drained. */
function acceptAndDrain(
  bench: Bench,
  simulator: SimulatorProcess,
  ours: Ours,
  customers: readonly Customer[],
  count: number,
  label: string,
): Case {
  const [first] = customers
  if (first === undefined) throw new RangeError('no customer to write for')
  const each = makeWrites(bench.options.seed, Math.max(1, Math.min(10_000, count / customers.length)))
  const requests = customers.flatMap(({ target }) => toRequests(target, each))
  const accepted: Round[] = []
  const round = async (): Promise<Round> => {
    accepted.push(await send(bench, first, requests, count))
    return drainOurs(bench, ours, count, { database: bench.server.pid, provider: simulator.pid })
  }
  return { label, side: 'ours', round, accepted }
}

async function send(
  bench: Bench,
  { target: { url } }: Customer,
  requests: readonly LoadRequest[],
  count: number,
): Promise<Round> {
  const { count: answered, seconds } = await bench.load.run({
    kind: 'closed',
    url,
    requests,
    connections: CONNECTIONS,
    count,
  })
  return { value: answered / seconds }
}
