import { messageOf } from '../src/kernel/errors.ts'
import { UsageError } from '../src/cli/process.ts'
import { benchHelp, readOptions } from './harness/options.ts'
import { reportLines } from './harness/report.ts'
import { keepReport, runBench } from './harness/run.ts'
import { questions } from './questions/all.ts'

async function main(args: string[]): Promise<number> {
  const options = readOptions(args, questions)
  if (options === null) {
    process.stdout.write(benchHelp(questions))
    return 0
  }
  const control = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(name, () => control.abort(new Error(`Stopped by ${name}.`)))
  const { only } = options
  const asked = questions.filter(({ name }) => only?.includes(name) ?? true)
  const say = (line: string): void => void process.stdout.write(`${line}\n`)
  const report = await runBench(options, asked, say, control.signal)
  const folder = await keepReport(report)
  say(`\n${reportLines(report).join('\n')}\n\nKept in ${folder}`)
  return report.questions.every(({ answer }) => answer !== null) ? 0 : 1
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`bench: ${messageOf(error)}\n`)
  process.exitCode = error instanceof UsageError ? 2 : 1
}
