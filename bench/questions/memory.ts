import { setTimeout as delay } from 'node:timers/promises'
import { atMost, figureOf, short, type Figure, type Verdict } from '../harness/answer.ts'
import { sized, type Bench, type Question } from '../harness/bench.ts'
import { median } from '../harness/statistics.ts'
import { postBacklog } from '../parts/draining.ts'
import { residentMb } from '../parts/process-figures.ts'
import { startOurs, type Ours } from '../parts/service.ts'
import { startSimulatorProcess } from '../parts/simulator.ts'
import { makeWrites, toBulkRequests, type WriteTarget } from '../parts/writes.ts'
import { ended } from './isolation.ts'

/** Most resident memory, in MB (10^6 bytes). */
const MOST_MB = 250
/** How much more the last part of the processing may take than its first part, to count as flat. */
const FLAT = 1.15
const SAMPLE_MS = 250
const PER_CALL = 1_000
/** Seconds without work after which a process counts as idle. */
const IDLE_SECONDS = { full: 5, quick: 1 }
/** Milliseconds that the org takes for a call while the backlog is built up: next to nothing leaves. */
const HOLD_MS = { full: 10_000, quick: 1_500 }

/** What one process of role `all` holds in memory. */
export const memory: Question = {
  id: 'P7',
  name: 'memory',
  asks: 'resident memory of one process: idle, at 1 M waiting, after 1 M processed',
  run: async (bench) => {
    const simulator = await startSimulatorProcess(bench)
    const ours = await startOurs(bench, 'all')
    const customer = await ours.addCustomer('bench', simulator.url)
    const { target } = customer
    const samples = startSampling(ours.first.pid)
    bench.stops.add(() => {
      samples.stop()
      return Promise.resolve()
    })
    const idle = (): Promise<number[]> =>
      samples.during(() => delay(1000 * sized(bench, IDLE_SECONDS.full, IDLE_SECONDS.quick)))
    await postBacklog(bench, target, 500)
    await ended(bench, ours, customer)
    const before = await idle()
    await simulator.setLatency(sized(bench, HOLD_MS.full, HOLD_MS.quick))
    const count = sized(bench, 1_000_000, 10_000)
    const accepting = await samples.during(() => submit(bench, target, count))
    const waiting = await idle()
    bench.say(`  ${count} accepted`)
    await simulator.setLatency(0)
    const processing = await samples.during(() => ended(bench, ours, customer))
    await checkEnded(ours, count)
    const after = await idle()
    return {
      figures: [
        figure('idle', before),
        figure('most while accepting', [Math.max(...accepting)]),
        figure(`${short(count)} waiting`, waiting),
        figure('most while processing', [Math.max(...processing)]),
        figure(`${short(count)} processed`, after),
      ],
      verdicts: verdicts([before, accepting, waiting, processing, after], processing),
      notes: ['MB are 10^6 bytes; one run, whatever --rounds says'],
    }
  },
}

/** The rounds of a figure are its samples here: their spread is how much it moves. */
const figure = (label: string, samples: number[]): Figure =>
  figureOf(
    { label, side: 'ours', unit: 'MB' },
    samples.map((value) => ({ value })),
  )

function verdicts(phases: readonly number[][], processing: readonly number[]): Verdict[] {
  const tenth = Math.max(1, Math.floor(processing.length / 10))
  // The first tenth is still growing into the work: what it comes to is seen in the second.
  const early = median(processing.slice(tenth, 2 * tenth + 1))
  const late = median(processing.slice(-tenth))
  return [
    atMost(MOST_MB, Math.max(...phases.flat()), 'MB', 'at any time'),
    atMost(FLAT, late / early, '×', 'flat: last tenth of the processing to its second tenth'),
  ]
}

/** Looks at the process again and again. */
function startSampling(pid: number) {
  let taken: number[] = []
  const take = (): void => {
    const mb = residentMb(pid)
    if (mb !== null) taken.push(mb)
  }
  const timer = setInterval(take, SAMPLE_MS)
  return {
    stop: () => clearInterval(timer),
    /** The samples of the time that a task takes; one at least. */
    during: async (task: () => Promise<unknown>): Promise<number[]> => {
      taken = []
      await task()
      take()
      return taken
    },
  }
}

/** Has writes accepted in bulk: a million single calls would take minutes. */
async function submit(bench: Bench, target: WriteTarget, count: number): Promise<void> {
  const writes = makeWrites(bench.options.seed, 10 * PER_CALL)
  await bench.load.run({
    kind: 'closed',
    url: target.url,
    requests: toBulkRequests(target, writes, PER_CALL),
    connections: 4,
    count: count / PER_CALL,
    writesPerCall: PER_CALL,
  })
}

async function checkEnded({ database: { sql } }: Ours, least: number): Promise<void> {
  const [row] = await sql<{ ended: number }[]>`
    select coalesce(sum(success_count), 0)::int as ended from batch where state = 'ended'`
  if ((row?.ended ?? 0) < least) throw new Error(`only ${row?.ended ?? 0} of ${least} writes succeeded`)
}
