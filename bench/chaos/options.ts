import { parseArgs } from 'node:util'
import { messageOf } from '../../src/kernel/errors.ts'
import { UsageError } from '../../src/cli/process.ts'

/** What a run is asked for. */
export interface ChaosOptions {
  /** How long it writes and kills; it then drains. */
  seconds: number
  /** Decides what is written, what is killed and which faults the org has, and when. */
  seed: number
  /** Writes a second. */
  rate: number
  /** Once the load has stopped: seconds without any write ending after which the rest counts as stuck. */
  drain: number
  /** `WRITEBACK_LEASE_SECONDS` of every process. */
  lease: number
}

export const chaosHelp = `chaos: kill the service again and again under load, then look for what was lost or doubled

Two API processes, two workers and a PostgreSQL are killed with SIGKILL and started again while writes of
every kind go to a simulated Salesforce org that loses answers, locks rows and ends sessions. Afterwards
every acknowledged write is compared with its operation and with what the org holds.

  --seconds N  how long it writes and kills, 1 to 86400 (default 60)
  --seed N     decides the schedule of writes, kills and faults (default 1)
  --rate N     writes a second, 1 to 2000 (default 80)
  --drain N    afterwards, seconds without any write ending until the rest counts as stuck,
               1 to 3600 (default 330: longer than the longest wait for another try)
  --lease N    WRITEBACK_LEASE_SECONDS of the processes, 5 to 300 (default 10)

Exit code: 0 when nothing was lost, doubled or stuck and no process ended by itself; else 1.
`

/**
 * Reads the arguments; null when help is asked for.
 * @throws {UsageError} one line, for an unknown option or a bad value
 */
export function readOptions(args: string[]): ChaosOptions | null {
  const values = parse(args)
  if (values.help === true) return null
  return {
    seconds: wholeNumber('--seconds', values.seconds ?? '60', [1, 86_400]),
    seed: wholeNumber('--seed', values.seed ?? '1', [0, 2 ** 31 - 1]),
    rate: wholeNumber('--rate', values.rate ?? '80', [1, 2_000]),
    drain: wholeNumber('--drain', values.drain ?? '330', [1, 3_600]),
    lease: wholeNumber('--lease', values.lease ?? '10', [5, 300]),
  }
}

function parse(args: string[]) {
  const text = { type: 'string' } as const
  try {
    return parseArgs({
      args,
      options: {
        seconds: text,
        seed: text,
        rate: text,
        drain: text,
        lease: text,
        help: { type: 'boolean', short: 'h' },
      },
    }).values
  } catch (error) {
    throw new UsageError(`${messageOf(error)} See npm run chaos -- --help.`)
  }
}

function wholeNumber(name: string, text: string, [min, max]: [min: number, max: number]): number {
  const value = Number(text)
  if (/^\d{1,10}$/.test(text) && value >= min && value <= max) return value
  throw new UsageError(`${name} must be a whole number from ${min} to ${max}, not ${JSON.stringify(text)}.`)
}
