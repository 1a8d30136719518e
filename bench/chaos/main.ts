import { messageOf } from '../../src/kernel/errors.ts'
import { UsageError } from '../../src/cli/process.ts'
import { chaosHelp, readOptions } from './options.ts'
import { isGood, reportLines } from './report.ts'
import { runChaos, type Progress } from './run.ts'

/** Milliseconds between two lines of what has changed. */
const SHOW_MS = 10_000

/** Lines on standard output; what changes all the time, now and then. */
function printed(): Progress {
  let shownAt = performance.now()
  return {
    say: (line) => void process.stdout.write(`${line}\n`),
    show: (line) => {
      if (performance.now() - shownAt < SHOW_MS) return
      shownAt = performance.now()
      process.stdout.write(`  ${line}\n`)
    },
  }
}

async function main(args: string[]): Promise<number> {
  const options = readOptions(args)
  if (options === null) {
    process.stdout.write(chaosHelp)
    return 0
  }
  const control = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(name, () => control.abort(new Error(`Stopped by ${name}.`)))
  const report = await runChaos(options, printed(), control.signal)
  process.stdout.write(`\n${reportLines(report).join('\n')}\n`)
  return isGood(report) ? 0 : 1
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`chaos: ${messageOf(error)}\n`)
  process.exitCode = error instanceof UsageError ? 2 : 1
}
