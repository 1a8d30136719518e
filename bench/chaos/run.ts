import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Stops } from '../../src/cli/demo/parts.ts'
import { connect } from '../../src/db/connect.ts'
import { messageOf } from '../../src/kernel/errors.ts'
import { compare, type Comparison } from './compare.ts'
import { drain, readOperations } from './drain.ts'
import type { Evidence, OrgRecord } from './evidence.ts'
import { keepEvidence } from './keep-evidence.ts'
import type { Entry } from './ledger.ts'
import type { ChaosOptions } from './options.ts'
import { startParts, type Parts } from './parts.ts'
import { makePlan, type Plan } from './plan.ts'
import type { Kill, Target } from './plan-kills.ts'
import { objects } from './plan-load.ts'
import type { Report } from './report.ts'
import { runLoad } from './run-load.ts'
import type { OwnEnd } from './supervised.ts'
import { runTimetable, type Timed } from './timetable.ts'

/** What a run tells while it goes on. */
export interface Progress {
  say: (line: string) => void
  /** A figure that changes; shown in place. */
  show: (line: string) => void
}

/** A request takes this long at the org, in milliseconds: enough for kills to find some under way. */
const LATENCY_MS = { min: 5, max: 80 }

/**
 * Runs chaos for the time that is asked for, drains, and compares.
 *
 * @param signal gives up: everything is stopped before the call rejects
 * @throws {Error} when a part does not come up, or the signal's own reason
 */
export async function runChaos(
  options: ChaosOptions,
  progress: Progress,
  signal: AbortSignal,
): Promise<Report> {
  const folder = await mkdtemp(join(tmpdir(), 'writeback-chaos-'))
  const stops = new Stops()
  const ownEnds: OwnEnd[] = []
  try {
    const plan = makePlan(options)
    progress.say('Starting PostgreSQL, two API processes, two workers and a Salesforce org …')
    const { seed, lease: leaseSeconds } = options
    const onOwnEnd = (end: OwnEnd): void => void ownEnds.push(end)
    const parts = await startParts({ seed, leaseSeconds, load: plan, folder, signal, onOwnEnd }, stops)
    const storm = await runStorm(options, plan, parts, progress, signal)
    const rest = await settle(options, plan, parts, storm.entries, progress, signal)
    await keepEvidence(folder, rest.evidence, rest.comparison, parts)
    const { comparison, unended, drainSeconds } = rest
    return { options, ...storm, comparison, unended, drainSeconds, ownEnds, logFolder: folder }
  } finally {
    await stops.run((message) => progress.say(`chaos: ${message}`))
  }
}

/** What happened while there was load. */
interface Storm {
  entries: Entry[]
  kills: Map<Target, number>
  faults: Map<string, number>
  /** What came instead of an acknowledgement. */
  remarks: Map<string, number>
}

async function runStorm(
  { seconds, seed }: ChaosOptions,
  plan: Plan,
  parts: Parts,
  progress: Progress,
  signal: AbortSignal,
): Promise<Storm> {
  const { org } = parts.simulator
  const kills = new Map<Target, number>()
  const faults = new Map<string, number>()
  const unlisten = org.onRequest((entry) => {
    for (const kind of entry.faults) count(faults, kind)
  })
  Object.assign(org.settings, { latencyMs: LATENCY_MS, lockParents: true, lockWaitMs: 50 })
  const events: Timed[] = [
    ...plan.faults.map(({ at, fault }) => ({ at, run: () => void org.faults.add(fault) })),
    ...plan.kills.map((kill) => ({ at: kill.at, run: () => strike(parts, kill, kills, progress) })),
  ]
  progress.say(`Writing and killing for ${seconds} s (seed ${seed})`)
  const over = AbortSignal.any([AbortSignal.timeout(seconds * 1000), signal])
  const told = { acknowledged: 0, unknown: 0, refused: 0, unsent: 0 }
  const { project, ids, parentIds, api } = parts
  const remarks = new Map<string, number>()
  const [entries] = await Promise.all([
    runLoad({
      clients: plan.clients,
      ...{ project, ids, parentIds, api, over },
      onEntries: (made) => {
        for (const { verdict, remark } of made) {
          told[verdict] += 1
          if (verdict !== 'acknowledged' && remark !== null) count(remarks, inGeneral(remark))
        }
        const struck = [...kills.values()].reduce((sum, times) => sum + times, 0)
        progress.show(
          `acknowledged ${told.acknowledged}  not ${told.unknown + told.unsent + told.refused}  kills ${struck}`,
        )
      },
    }),
    runTimetable(events, over),
  ])
  signal.throwIfAborted()
  unlisten()
  return { entries, kills, faults, remarks }
}

/** A remark without what is different each time. */
const inGeneral = (remark: string): string =>
  remark.replace(/^.* got no answer: /, 'no answer: ').replace(/ \d[\d.:]{8,}$/, '')

function count<T>(counts: Map<T, number>, key: T): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

function strike(parts: Parts, kill: Kill, kills: Map<Target, number>, progress: Progress): void {
  const { target, downMs } = kill
  if (target !== 'database') {
    if (parts.processes.get(target)?.kill(downMs) === true) count(kills, target)
    return
  }
  parts.database.kill(downMs).then(
    (struck) => {
      if (struck) count(kills, target)
    },
    // Everything else shows when the parts are waited for.
    (error: unknown) => progress.say(`the database did not come up again: ${messageOf(error)}`),
  )
}

/** Lets everything end with nothing in its way, and compares. */
async function settle(
  options: ChaosOptions,
  plan: Plan,
  parts: Parts,
  entries: Entry[],
  progress: Progress,
  signal: AbortSignal,
): Promise<{ evidence: Evidence; comparison: Comparison; unended: number; drainSeconds: number }> {
  const { org } = parts.simulator
  org.faults.clear()
  Object.assign(org.settings, { latencyMs: 0, lockParents: false })
  progress.say('Waiting for everything to be up, and for every write to end')
  await parts.allUp()
  const begun = performance.now()
  const sql = connect({ url: parts.database.url, max: 2, applicationName: 'chaos' })
  const onProgress = (left: number): void => progress.show(`${left} to end`)
  const unended = await drain({ sql, patienceSeconds: options.drain, onProgress, signal }).finally(() =>
    sql.end({ timeout: 5 }),
  )
  const drainSeconds = (performance.now() - begun) / 1000
  progress.say('Comparing')
  const operationIds = new Set(entries.flatMap(({ operationId }) => operationId ?? []))
  const call = parts.api(0)
  if (call === null) throw new Error('no API process is up')
  const evidence: Evidence = {
    entries,
    operations: await readOperations(call, parts.project, [...operationIds]),
    org: new Map(objects.map((object): [string, OrgRecord[]] => [object, org.records(object)])),
    held: plan.held,
    ids: parts.ids,
  }
  return { evidence, comparison: compare(evidence), unended, drainSeconds }
}
