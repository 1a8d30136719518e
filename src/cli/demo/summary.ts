import type { PlannedWrite } from './plan.ts'
import type { Outcome } from './post.ts'

/** What the org saw of the demo. */
export interface OrgUse {
  /** API calls that counted against the daily limit. */
  calls: number
  /** Records of each group; several groups may have shared a call. */
  sizes: readonly number[]
}

/** All that the summary tells of. */
export interface Run {
  writes: readonly PlannedWrite[]
  outcomes: readonly Outcome[]
  use: OrgUse
  /** Milliseconds until the last write was accepted. */
  acceptMs: number
  /** Milliseconds until the last outcome was known. */
  totalMs: number
}

/** Longest example line, so that a long provider's message does not flood the screen. */
const EXAMPLE_LENGTH = 110
const BAR_LENGTH = 30

const count = (value: number): string => value.toLocaleString('en-US')

/** A figure with what it counts: `1 write`, `1,000 writes`. */
export const counted = (value: number, what: string): string =>
  `${count(value)} ${what}${value === 1 ? '' : 's'}`

const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`

/** The summary, line by line. */
export function summaryLines(run: Run): string[] {
  const sections = [
    ['Writes by outcome', outcomeTable(run)],
    ['Failures by code, with an example of each', failureTable(run.outcomes)],
    ['Batches by size', sizeTable(run.use.sizes)],
    ['In short', shortTable(run)],
  ] as const
  return sections.flatMap(([title, lines]) => (lines.length === 0 ? [] : [title, ...lines, '']))
}

const states = ['succeeded', 'failed', 'in_doubt'] as const

function outcomeTable({ writes, outcomes }: Run): string[] {
  const rows = new Map<string, number[]>()
  const total = [0, 0, 0, 0, 0]
  writes.forEach((write, index) => {
    const key = `${write.object} ${write.type}`
    const row = rows.get(key) ?? [0, 0, 0, 0, 0]
    rows.set(key, row)
    const place = states.findIndex((state) => state === outcomes[index]?.state)
    for (const sums of [row, total]) {
      sums[place < 0 ? 3 : place] = (sums[place < 0 ? 3 : place] ?? 0) + 1
      sums[4] = (sums[4] ?? 0) + 1
    }
  })
  const named = [...rows].sort(([a], [b]) => (a < b ? -1 : 1))
  return table('lrrrrr', [
    ['', 'succeeded', 'failed', 'in doubt', 'other', 'all'],
    ...[...named, ['all', total] as const].map(([name, sums]) => [name, ...sums.map(count)]),
  ])
}

function failureTable(outcomes: readonly Outcome[]): string[] {
  const byCode = new Map<string, { times: number; example: string }>()
  for (const { state, errors, operationId } of outcomes) {
    if (state === 'succeeded') continue
    const { code = state.toUpperCase(), message = '' } = errors[0] ?? {}
    const known = byCode.get(code)
    if (known === undefined) byCode.set(code, { times: 1, example: `${operationId}  ${message}` })
    else known.times += 1
  }
  const rows = [...byCode].sort(([, a], [, b]) => b.times - a.times)
  return table(
    'lrl',
    rows.map(([code, { times, example }]) => [code, count(times), shorten(example)]),
  )
}

const shorten = (text: string): string =>
  text.length <= EXAMPLE_LENGTH ? text : `${text.slice(0, EXAMPLE_LENGTH - 1)}…`

const sizeRanges: readonly [from: number, to: number][] = [
  [100, 200],
  [51, 99],
  [21, 50],
  [11, 20],
  [2, 10],
  [1, 1],
]

function sizeTable(sizes: readonly number[]): string[] {
  const bins = sizeRanges.map(([from, to]) => {
    const name = from === to ? `${from}` : from === 100 ? '100' : `${from}–${to}`
    return { name, times: sizes.filter((size) => size >= from && size <= to).length }
  })
  const most = Math.max(1, ...bins.map(({ times }) => times))
  const used = bins.filter(({ times }) => times > 0)
  return table(
    'lrl',
    used.map(({ name, times }) => [
      name,
      count(times),
      '█'.repeat(Math.max(1, Math.round((times / most) * BAR_LENGTH))),
    ]),
  )
}

function shortTable({ writes, outcomes, use, acceptMs, totalMs }: Run): string[] {
  const delays = [...new Set(writes.map(({ policy }) => policy.maxDelaySeconds))]
  const ended = outcomes.filter(({ state }) => state !== 'queued' && state !== 'sending')
  const times = ended.map(({ elapsedMs }) => elapsedMs).sort((a, b) => a - b)
  const at = (share: number): string => seconds(percentile(times, share))
  const [least, most] = [Math.min(...delays), Math.max(...delays)]
  const asked = least === most ? `${least} s` : `${least} to ${most} s`
  const sent = use.sizes.reduce((sum, size) => sum + size, 0)
  const again = sent - outcomes.length
  const rate = acceptMs === 0 ? 0 : Math.round(outcomes.length / (acceptMs / 1000))
  return [
    `  API calls             ${count(use.calls)}, where one by one takes ${count(outcomes.length)}`,
    `  records sent          ${count(sent)} in ${count(use.sizes.length)} ${use.sizes.length === 1 ? 'batch' : 'batches'}${again > 0 ? `, ${count(again)} of them once more` : ''}`,
    `  accept to outcome     p50 ${at(0.5)}, p95 ${at(0.95)}, p99 ${at(0.99)} (delays asked for: ${asked})`,
    `  all accepted after    ${seconds(acceptMs)} (${count(rate)} a second), all ended after ${seconds(totalMs)}`,
  ]
}

/** The value that a share of the sorted values do not exceed (nearest rank); 0 when there is none. */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0
}

/** Rows in columns of one width each; `align` has a letter for each column: l for texts, r for figures. */
function table(align: string, rows: readonly (readonly string[])[]): string[] {
  const widths = Array.from(align, (_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) => {
    const cells = row.map((cell, column) => {
      const width = widths[column] ?? 0
      return align[column] === 'r' ? cell.padStart(width) : cell.padEnd(width)
    })
    return `  ${cells.join('  ')}`.trimEnd()
  })
}
