import type { Answer, Figure, Verdict } from './answer.ts'
import { short } from './answer.ts'
import type { Machine } from './machine.ts'
import type { BenchOptions, Named } from './options.ts'
import { median, spread } from './statistics.ts'

/** A question with what it came to; an error when it came to nothing. */
export interface Asked extends Pick<Named, 'id' | 'name' | 'asks'> {
  seconds: number
  answer: Answer | null
  error: string | null
}

/** All that a run came to: what the JSON file holds. */
export interface Report {
  at: string
  options: BenchOptions
  machine: Machine
  seconds: number
  questions: Asked[]
}

/** The whole report as text, line by line. */
export const reportLines = (report: Report): string[] => [
  ...machineLines(report),
  ...report.questions.flatMap((asked) => ['', ...questionLines(asked)]),
]

function machineLines({ machine, options, seconds, at }: Report): string[] {
  const settings = Object.entries(machine.databaseSettings).map(([name, value]) => `${name} ${value}`)
  const versions = Object.entries(machine.packages).map(([name, version]) => `${name} ${version}`)
  return [
    `${at}  commit ${machine.commit ?? 'unknown'}  seed ${options.seed}  rounds ${options.rounds}` +
      `${options.quick ? '  QUICK: sizes too small for figures' : ''}  ${short(seconds)} s in all`,
    `${machine.processors} × ${machine.processor}, ${machine.memoryGb} GB, ${machine.system}` +
      `, load before ${short(machine.loadBefore)}`,
    `Node.js ${machine.node}, ${machine.postgres}, a durable commit takes ${short(machine.commitMs)} ms`,
    versions.join(', '),
    settings.join(', '),
  ]
}

/** One question's part: its figures as a table, then its targets. */
export function questionLines({ id, name, asks, answer, error }: Asked): string[] {
  const head = `${id} ${name}: ${asks}`
  if (answer === null) return [head, `  failed: ${error ?? 'unknown'}`]
  return [
    head,
    ...indent(tableLines(answer.figures)),
    ...indent(verdictLines(answer.verdicts)),
    ...indent(answer.notes.map((note) => `note: ${note}`)),
  ]
}

const indent = (lines: string[]): string[] => lines.map((line) => `  ${line}`)

/** A table of figures: medians of the rounds, how far these lie apart, latencies, processor time. */
export function tableLines(figures: readonly Figure[]): string[] {
  if (figures.length === 0) return []
  const parts = [...new Set(figures.flatMap((figure) => Object.keys(figure.cpuMicros ?? {})))]
  const hasLatency = figures.some((figure) => figure.latencyMs !== undefined)
  const header = [
    '',
    'median',
    '',
    'spread',
    ...(hasLatency ? ['p50 ms', 'p95 ms', 'p99 ms'] : []),
    ...parts.map((part) => `${part} µs`),
  ]
  const rows = figures.map((figure) => [
    figure.label,
    short(median(figure.rounds)),
    figure.unit,
    figure.rounds.length > 1 ? `${Math.round(spread(figure.rounds) * 100)} %` : '',
    ...(hasLatency ? latencyCells(figure) : []),
    ...parts.map((part) => cell(figure.cpuMicros?.[part])),
  ])
  return align([header, ...rows])
}

const cell = (value: number | undefined): string => (value === undefined ? '' : short(value))

const latencyCells = ({ latencyMs }: Figure): string[] => [
  cell(latencyMs?.p50),
  cell(latencyMs?.p95),
  cell(latencyMs?.p99),
]

/** Texts to the left in the first and third column, numbers to the right in the others. */
function align(rows: string[][]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const isText = (column: number): boolean => column === 0 || column === 2
  return rows.map((row) =>
    row
      .map((text, column) =>
        isText(column) ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  )
}

const verdictLines = (verdicts: readonly Verdict[]): string[] =>
  verdicts.map(({ target, measured, met }) => {
    const word = met === null ? 'OPEN  ' : met ? 'MET   ' : 'MISSED'
    return `${word} ${target}: ${measured}`
  })
