import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Stops } from '../../src/cli/demo/parts.ts'
import { messageOf } from '../../src/kernel/errors.ts'
import { startDatabase } from '../parts/database.ts'
import { startLoad } from '../parts/load.ts'
import { short } from './answer.ts'
import type { Bench, Question } from './bench.ts'
import { chart } from './chart.ts'
import { describeMachine } from './machine.ts'
import type { BenchOptions } from './options.ts'
import { questionLines, reportLines, type Asked, type Report } from './report.ts'

/**
 * Asks the questions one after the other. One that fails does not keep the others from being asked.
 *
 * @param signal gives up: everything is stopped before the call rejects
 * @throws {Error} when the database or the load does not come up, or the signal's own reason
 */
export async function runBench(
  options: BenchOptions,
  questions: readonly Question[],
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<Report> {
  const begun = performance.now()
  const folder = await mkdtemp(join(tmpdir(), 'writeback-bench-'))
  // Processes of one program start often: what one has compiled, the next one has.
  process.env['NODE_COMPILE_CACHE'] ??= join(folder, 'compiled')
  const stops = new Stops()
  const warn = (message: string): void => say(`bench: ${message}`)
  try {
    say('Starting PostgreSQL …')
    // It removes the folder when it ends.
    const server = await startDatabase(folder, options.quick)
    stops.add(server.stop)
    const load = await startLoad(folder)
    stops.add(load.stop)
    const machine = await describeMachine(server.sql)
    const asked: Asked[] = []
    for (const question of questions) {
      signal.throwIfAborted()
      const own = new Stops()
      const bench: Bench = { options, server, load, stops: own, folder, signal, say }
      asked.push(await ask(bench, question).finally(() => own.run(warn)))
    }
    signal.throwIfAborted()
    const seconds = (performance.now() - begun) / 1000
    return { at: new Date().toISOString(), options, machine, seconds, questions: asked }
  } finally {
    await stops.run(warn)
  }
}

async function ask(bench: Bench, question: Question): Promise<Asked> {
  const { id, name, asks } = question
  bench.say(`\n${id} ${name}: ${asks}`)
  const begun = performance.now()
  const after = (): number => (performance.now() - begun) / 1000
  const outcome = await question.run(bench).then(
    (answer) => ({ answer, error: null }),
    (error: unknown) => ({ answer: null, error: messageOf(error) }),
  )
  const asked: Asked = { id, name, asks, seconds: after(), ...outcome }
  if (!bench.signal.aborted)
    bench.say([...questionLines(asked).slice(1), `  (${short(asked.seconds)} s)`].join('\n'))
  return asked
}

const results = resolve(import.meta.dirname, '../results')

/** Writes the report as JSON, table and chart; returns the folder. */
export async function keepReport(report: Report): Promise<string> {
  const folder = join(results, report.at.replaceAll(/[:.]/g, '-'))
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'results.json'), `${JSON.stringify(report, null, 2)}\n`)
  await writeFile(join(folder, 'table.txt'), `${reportLines(report).join('\n')}\n`)
  await writeFile(join(folder, 'chart.svg'), chart(report))
  return folder
}
