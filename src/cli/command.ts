import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'
import { exitCodes, exitMeanings, type ExitName } from './exit-codes.ts'
import { UsageError } from './process.ts'
import { wrap } from './text.ts'

/** One option of a command. */
export interface OptionSpec {
  /** What stands for its value in the help; absent for one that takes none. */
  value?: string
  short?: string
  /** Whether it may be given more than once. */
  isRepeatable?: true
  /** The variable that stands in for it. */
  env?: string
  help: string
}

/** One command, as its help, the reference and its parser know it. */
export interface Spec {
  name: string
  /** What follows the name, one for each way of calling it. */
  usage: string[]
  /** What it does, in paragraphs. */
  about: string[]
  options: Record<string, OptionSpec>
  /** The most arguments beside the options; 0 when absent. */
  maxArguments?: number
  /** What it is for, and the call. */
  examples: [what: string, call: string][]
  exits: ExitName[]
}

/** What was given to a command. Readers note what is wrong with a value; `check` refuses all of it at once. */
export interface Input {
  positionals: string[]
  flag: (name: string) => boolean
  /** The value of an option or of its variable; undefined when neither is set. */
  text: (name: string) => string | undefined
  /** The same, noted as missing when it is. */
  required: (name: string) => string
  list: (name: string) => string[]
  /** A number within bounds; whole unless `isFraction`. */
  number: <T>(name: string, fallback: T, bounds: NumberBounds) => number | T
  choice: <T extends string>(name: string, values: readonly T[]) => T | undefined
  /** Notes something that is wrong. */
  issue: (sentence: string) => void
  /** @throws {UsageError} a line for everything that was noted */
  check: () => void
}

/** What a number may be. */
export interface NumberBounds {
  min: number
  max: number
  isFraction?: true
}

const helpOption: OptionSpec = { short: 'h', help: 'this text' }

const optionsOf = (spec: Spec): Record<string, OptionSpec> => ({ ...spec.options, help: helpOption })

/**
 * Reads a command's arguments; null when help is asked for.
 *
 * Values are looked at by the readers of the {@link Input}, whose `check` refuses everything at once.
 */
export function readInput(spec: Spec, args: string[], env: NodeJS.ProcessEnv = process.env): Input | null {
  const issues: string[] = []
  const { given, positionals } = readTokens(spec, args, issues)
  if (given.has('help')) return null
  for (const extra of positionals.slice(spec.maxArguments ?? 0))
    issues.push(`unexpected argument ${JSON.stringify(extra)}`)
  const text = (name: string): string | undefined => {
    const variable = spec.options[name]?.env
    const fromEnv = variable === undefined ? undefined : env[variable]
    return given.get(name)?.at(-1) ?? (fromEnv === '' ? undefined : fromEnv)
  }
  const named = (name: string): string => {
    const variable = spec.options[name]?.env
    return given.has(name) || variable === undefined ? `--${name}` : variable
  }
  return {
    positionals,
    flag: (name) => given.has(name),
    text,
    list: (name) => given.get(name) ?? [],
    required: (name) => {
      const value = text(name)
      const variable = spec.options[name]?.env
      if (value === undefined)
        issues.push(`--${name} is required${variable === undefined ? '' : ` (or the variable ${variable})`}`)
      return value ?? ''
    },
    number: (name, fallback, bounds) => {
      const value = text(name)
      if (value === undefined) return fallback
      const issue = numberIssue(value, bounds)
      if (issue !== null) issues.push(`${named(name)} ${issue}`)
      return Number(value)
    },
    choice: (name, values) => {
      const value = text(name)
      if (value === undefined) return undefined
      const found = values.find((one) => one === value)
      if (found === undefined)
        issues.push(`${named(name)} must be one of ${values.join(', ')}, not ${JSON.stringify(value)}`)
      return found
    },
    issue: (sentence) => void issues.push(sentence),
    check: () => {
      if (issues.length > 0) throw usageError(spec.name, issues)
    },
  }
}

function numberIssue(text: string, { min, max, isFraction }: NumberBounds): string | null {
  const pattern = isFraction === true ? /^\d{1,9}(\.\d{1,6})?$/ : /^\d{1,10}$/
  const value = Number(text)
  if (pattern.test(text) && value >= min && value <= max) return null
  const kind = isFraction === true ? 'a number' : 'a whole number'
  return `must be ${kind} from ${min} to ${max}, not ${JSON.stringify(text)}`
}

/** The refusal of a call: one line for each thing that is wrong with it. */
export const usageError = (command: string, issues: string[]): UsageError =>
  new UsageError([...issues, `See writeback help ${command}.`].join('\n'))

/** Sorts the arguments into options and others; not strictly, so that all that is wrong is found. */
function readTokens(
  spec: Spec,
  args: string[],
  issues: string[],
): { given: Map<string, string[]>; positionals: string[] } {
  const known = optionsOf(spec)
  const options: ParseArgsOptionsConfig = Object.fromEntries(
    Object.entries(known).map(([name, { value, short }]) => [
      name,
      { type: value === undefined ? 'boolean' : 'string', ...(short === undefined ? {} : { short }) },
    ]),
  )
  const { tokens } = parseArgs({ args, options, strict: false, allowPositionals: true, tokens: true })
  const given = new Map<string, string[]>()
  const positionals: string[] = []
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value)
    if (token.kind !== 'option') continue
    const option = Object.hasOwn(known, token.name) ? known[token.name] : undefined
    const issue = optionIssue(token, option, given)
    if (issue !== null) issues.push(issue)
    else given.set(token.name, [...(given.get(token.name) ?? []), token.value ?? ''])
  }
  return { given, positionals }
}

interface OptionToken {
  name: string
  rawName: string
  value?: string | undefined
  inlineValue?: boolean | undefined
}

function optionIssue(
  { name, rawName, value, inlineValue }: OptionToken,
  option: OptionSpec | undefined,
  given: Map<string, string[]>,
): string | null {
  if (option === undefined) return `unknown option ${rawName}`
  if (option.value === undefined) return value === undefined ? null : `${rawName} takes no value`
  if (value === undefined) return `${rawName} needs a value`
  if (value.startsWith('-') && value !== '-' && inlineValue !== true)
    return `${rawName} needs a value (one that begins with a dash as ${rawName}=${option.value})`
  return given.has(name) && option.isRepeatable !== true ? `${rawName} is given twice` : null
}

/** Widest name of an option that its text stands beside. */
const NAME_WIDTH = 24

/** The help of a command, at most 80 columns wide. */
export function helpOf(spec: Spec): string {
  const { name, usage, about, examples, exits } = spec
  const options = Object.entries(optionsOf(spec)).flatMap(([option, { value, short, env, help }]) => {
    const left = `${short === undefined ? '' : `-${short}, `}--${option}${value === undefined ? '' : ` ${value}`}`
    return entry(left, env === undefined ? help : `${help} (or ${env})`, NAME_WIDTH)
  })
  const codes = exits.flatMap((exit) => entry(String(exitCodes[exit]), exitMeanings[exit], 3))
  const shown = examples.flatMap(([what, call]) => [
    `  # ${what}`,
    ...call.split('\n').map((line) => `  ${line}`),
  ])
  return [
    ...usage.map((one, index) => `${index === 0 ? 'usage:' : '      '} writeback ${name} ${one}`.trimEnd()),
    '',
    ...about.flatMap((paragraph) => [...wrap(paragraph, 80), '']),
    'Options',
    ...options,
    '',
    'Examples',
    ...shown,
    '',
    'Exit codes',
    ...codes,
    '',
  ].join('\n')
}

function entry(left: string, right: string, width: number): string[] {
  const indent = ' '.repeat(width + 4)
  const [first = '', ...rest] = wrap(right, 80 - indent.length)
  const others = rest.map((line) => indent + line)
  if (left.length > width) return [`  ${left}`, indent + first, ...others]
  return [`  ${left.padEnd(width)}  ${first}`, ...others]
}
