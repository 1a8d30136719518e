import { parseArgs } from 'node:util'
import { messageOf } from '../../src/kernel/errors.ts'
import { UsageError } from '../../src/cli/process.ts'

/** What a run of the bench is asked for. */
export interface BenchOptions {
  /** Names of questions, lower case; null for all. */
  only: string[] | null
  /** Smaller sizes and one round. */
  quick: boolean
  rounds: number
  /** Decides the records that are written. */
  seed: number
}

/** What naming a question takes. */
export interface Named {
  /** As the table of targets calls it, for example `P1`. */
  id: string
  name: string
  asks: string
}

/** The help text, with the questions there are. */
export const benchHelp = (questions: readonly Named[]): string => `bench: how fast, beside what else there is

Starts a PostgreSQL, a Salesforce simulator, the service, its peers and the load, each in processes of its own,
asks one question after the other, and prints a table. Results go to bench/results as JSON, table and chart.

  --only NAME[,NAME]  only these questions, by id or name
  --quick             small sizes and one round: whether everything works, not how fast it is
  --rounds N          rounds of each question, 1 to 50 (default 3); contenders take turns in each
  --seed N            decides the records that are written (default 1)

Questions:
${questions.map(({ id, name, asks }) => `  ${id.padEnd(4)}${name.padEnd(14)}${asks}`).join('\n')}
`

/**
 * Reads the arguments; null when help is asked for.
 * @throws {UsageError} one line, for an unknown option, a bad value or a question that is not there
 */
export function readOptions(args: string[], questions: readonly Named[]): BenchOptions | null {
  const values = parse(args)
  if (values.help === true) return null
  const quick = values.quick === true
  return {
    only: values.only === undefined ? null : readNames(values.only, questions),
    quick,
    rounds: wholeNumber('--rounds', values.rounds ?? (quick ? '1' : '3'), [1, 50]),
    seed: wholeNumber('--seed', values.seed ?? '1', [0, 2 ** 31 - 1]),
  }
}

function parse(args: string[]) {
  const text = { type: 'string' } as const
  try {
    return parseArgs({
      args,
      options: {
        only: text,
        rounds: text,
        seed: text,
        quick: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values
  } catch (error) {
    throw new UsageError(`${messageOf(error)} See npm run bench -- --help.`)
  }
}

function readNames(text: string, questions: readonly Named[]): string[] {
  return text.split(',').map((part) => {
    const asked = part.trim().toLowerCase()
    const found = questions.find(({ id, name }) => id.toLowerCase() === asked || name === asked)
    if (found !== undefined) return found.name
    const names = questions.map(({ name }) => name).join(', ')
    throw new UsageError(`There is no question ${JSON.stringify(part)}: there are ${names}.`)
  })
}

function wholeNumber(name: string, text: string, [min, max]: [min: number, max: number]): number {
  const value = Number(text)
  if (/^\d{1,10}$/.test(text) && value >= min && value <= max) return value
  throw new UsageError(`${name} must be a whole number from ${min} to ${max}, not ${JSON.stringify(text)}.`)
}
