import { parseArgs } from 'node:util'
import { messageOf } from '../../kernel/errors.ts'
import { UsageError } from '../process.ts'

/** What the demo is asked for. */
export interface DemoOptions {
  /** Writes to post, 1 to 100,000. */
  writes: number
  /** Decides what is written. */
  seed: number
  /** Leave everything up at the end. */
  keep: boolean
  /** A JSON document on standard output instead of text. */
  json?: true
}

const MAX_WRITES = 100_000
const MAX_SEED = 2 ** 31 - 1

export const demoHelp = `usage: writeback demo [--writes N] [--seed N] [--keep]

Watch many single-record writes go all the way to a Salesforce org and back.

Starts an embedded PostgreSQL, a simulated Salesforce org and the service, each
on a free port and with nothing left behind, posts the writes over HTTP, waits
for every outcome, and compares what the service says with what the org holds.

Options
  --writes N                how many writes, 1 to ${MAX_WRITES} (default 1000)
  --seed N                  decides what is written (default 1)
  --keep                    leave everything up at the end, until Ctrl-C
  --json                    a JSON document at the end; the rest goes to
                            standard error
  -h, --help                this text

Examples
  # A thousand writes
  writeback demo
  # More, and go on by hand
  writeback demo --writes 20000 --keep

Exit codes
  0    every write reached one outcome, the expected one, and the org agrees
  1    it did not, or a part of the demo could not be started
  2    the command was called wrongly
  130  ended by SIGINT (Ctrl-C)
`

/**
 * Reads the command's arguments; null when help is asked for.
 * @throws {UsageError} one line, for an unknown option or a bad value
 */
export function readOptions(args: string[]): DemoOptions | null {
  const values = parse(args)
  if (values.help === true) return null
  return {
    writes: wholeNumber('--writes', values.writes ?? '1000', [1, MAX_WRITES]),
    seed: wholeNumber('--seed', values.seed ?? '1', [0, MAX_SEED]),
    keep: values.keep === true,
    ...(values.json === true && { json: true }),
  }
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        writes: { type: 'string' },
        seed: { type: 'string' },
        keep: { type: 'boolean' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values
  } catch (error) {
    // The library's own advice on dashes goes over several sentences; its first says what is wrong.
    const [said = ''] = messageOf(error).split(/(?<=\.)\s|\n/)
    throw new UsageError(`${said.replace(/\.?$/, '.')} See writeback demo --help.`)
  }
}

function wholeNumber(name: string, text: string, [min, max]: [min: number, max: number]): number {
  const value = Number(text)
  if (/^\d{1,10}$/.test(text) && value >= min && value <= max) return value
  throw new UsageError(`${name} must be a whole number from ${min} to ${max}, not ${JSON.stringify(text)}.`)
}
