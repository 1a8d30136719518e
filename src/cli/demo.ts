import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { styleText } from 'node:util'
import { findDifferences } from './demo/check.ts'
import { Unreachable } from './demo/client.ts'
import { demoHelp, readOptions, type DemoOptions } from './demo/options.ts'
import { keptLines, startParts, Stops, type Parts } from './demo/parts.ts'
import { makePlan, type Plan } from './demo/plan.ts'
import { postAndFollow } from './demo/post.ts'
import { showProgress } from './demo/progress.ts'
import { counted, summaryLines, type Run } from './demo/summary.ts'

/** Differences that are printed; one fault can show in thousands of records. */
const MOST_DIFFERENCES = 20

/** The demo was told to stop. */
class Interrupted extends Error {
  readonly exitCode: number
  constructor(signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP') {
    super(`Stopped by ${signal}.`)
    this.exitCode = 128 + { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 }[signal]
  }
}

/** Where it is told; with `--json`, standard output holds the document and nothing else. */
let screen: NodeJS.WriteStream = process.stdout

const print = (line: string): void => void screen.write(`${line}\n`)
const paint = (style: 'green' | 'red' | 'bold', text: string): string =>
  styleText(style, text, { stream: screen })

/** `writeback demo` (contract section 1): see {@link demoHelp}. */
export async function run(args: string[]): Promise<number> {
  const options = readOptions(args)
  if (options === null) {
    process.stdout.write(demoHelp)
    return 0
  }
  if (options.json === true) screen = process.stderr
  const control = new AbortController()
  const unwatch = watchSignals(control)
  const stops = new Stops()
  try {
    return await demo(options, control, stops)
  } catch (error) {
    const reason = await reasonOf(error, control.signal)
    if (!(reason instanceof Interrupted)) throw reason
    process.stderr.write(`\n${reason.message}\n`)
    return reason.exitCode
  } finally {
    await stops.run((message) => process.stderr.write(`writeback demo: ${message}\n`))
    unwatch()
  }
}

function watchSignals(control: AbortController): () => void {
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  const listeners = names.map((name) => {
    // Kept until the end: a second Ctrl-C must not cut off the cleaning up.
    const listener = (): void => control.abort(new Interrupted(name))
    process.on(name, listener)
    return () => process.off(name, listener)
  })
  return () => listeners.forEach((remove) => remove())
}

/** Why the demo really ended: a call that fails because the service is gone comes before the word of its end. */
async function reasonOf(error: unknown, signal: AbortSignal): Promise<unknown> {
  if (error instanceof Unreachable && !signal.aborted)
    await Promise.race([once(signal, 'abort'), delay(1_000, undefined, { ref: false })])
  return signal.aborted ? signal.reason : error
}

async function demo(options: DemoOptions, control: AbortController, stops: Stops): Promise<number> {
  const { writes, seed, keep } = options
  const plan = makePlan(writes, seed)
  print('Starting PostgreSQL, the service and a Salesforce org …')
  const parts = await startParts(
    { plan, seed, keep, signal: control.signal, onLost: (error) => control.abort(error) },
    stops,
  )
  print(`Posting ${counted(writes, 'write')} (seed ${seed})`)
  const finished = await postAll(plan, parts)
  print('')
  for (const line of summaryLines(finished)) print(line.startsWith(' ') ? line : paint('bold', line))
  const differences = findDifferences(plan, parts.heldIds, finished.outcomes, parts.simulator.org)
  showVerdict(finished, parts, differences)
  if (options.json === true)
    process.stdout.write(`${JSON.stringify(toJson(options, finished, parts, differences))}\n`)
  if (keep) {
    for (const line of keptLines(parts)) print(line)
    await untilInterrupted(control.signal)
  }
  return differences.length === 0 ? 0 : 1
}

async function postAll(plan: Plan, parts: Parts): Promise<Run> {
  const { call, tenant, heldIds, simulator } = parts
  const { org } = simulator
  const counts = { accepted: 0, ended: 0 }
  const sizes: number[] = []
  const callsBefore = org.apiUsed
  const unlisten = org.onRequest((entry) => {
    // A composite call carries several groups, each a part of its own.
    for (const { operation, recordCount } of entry.parts ?? [entry])
      if (operation.startsWith('collections.')) sizes.push(recordCount)
  })
  const sent = (): number => sizes.reduce((sum, size) => sum + size, 0)
  const hide = showProgress(screen, () => ({
    ...counts,
    all: plan.writes.length,
    sent: sent(),
    batches: sizes.length,
  }))
  try {
    const posted = await postAndFollow({ call, tenant, writes: plan.writes, heldIds, counts })
    return { ...posted, writes: plan.writes, use: { calls: org.apiUsed - callsBefore, sizes } }
  } finally {
    hide()
    unlisten()
  }
}

/** What the summary tells, for programs. */
function toJson(
  { writes, seed, keep }: DemoOptions,
  finished: Run,
  parts: Parts,
  differences: string[],
): object {
  const { outcomes, use, acceptMs, totalMs } = finished
  const count = (keys: string[]): Record<string, number> =>
    keys.reduce<Record<string, number>>((counts, key) => ({ ...counts, [key]: (counts[key] ?? 0) + 1 }), {})
  const failures = outcomes.filter(({ state }) => state !== 'succeeded')
  return {
    writes,
    seed,
    agrees: differences.length === 0,
    differences: differences.slice(0, MOST_DIFFERENCES),
    outcomes: count(outcomes.map(({ state }) => state)),
    codes: count(failures.map(({ errors, state }) => errors[0]?.code ?? state.toUpperCase())),
    apiCalls: use.calls,
    batches: use.sizes.length,
    acceptSeconds: acceptMs / 1000,
    totalSeconds: totalMs / 1000,
    ...(keep && { serviceUrl: parts.service.url, orgUrl: parts.simulator.url, dataDir: parts.dataDir }),
  }
}

function showVerdict({ outcomes }: Run, parts: Parts, differences: string[]): void {
  if (differences.length === 0) {
    const records = Object.values(parts.simulator.org.counts()).reduce((sum, count) => sum + count, 0)
    const compared = `${counted(outcomes.length, 'outcome')}, ${counted(records, 'record')} in the org`
    print(`${paint('green', 'OK')}: ${compared}, all as they should be.`)
    print('')
    return
  }
  print(paint('red', `NOT OK: ${counted(differences.length, 'difference')}`))
  for (const difference of differences.slice(0, MOST_DIFFERENCES)) print(`  ${difference}`)
  if (differences.length > MOST_DIFFERENCES) print(`  … and ${differences.length - MOST_DIFFERENCES} more`)
  print('')
}

/** @throws the reason, unless it is that somebody has seen enough */
async function untilInterrupted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort')
  if (!(signal.reason instanceof Interrupted)) throw signal.reason
}
