import { styleText } from 'node:util'
import type { Host } from './process.ts'
import { shorten, tidy } from './text.ts'

/** How things are told apart on a terminal. */
export type Style = 'green' | 'red' | 'yellow' | 'bold' | 'dim'

/** Where a command says what it has to say. */
export interface Output {
  /** Whether standard output holds JSON and nothing else. */
  readonly isJson: boolean
  /** A line for people; nothing with `--json`. */
  line: (text?: string) => void
  /** A JSON document on a line of its own; nothing without `--json`. */
  json: (value: unknown) => void
  /** A word beside the result, on standard error. */
  note: (text: string) => void
  /** Rows in columns, for people. */
  table: (columns: readonly Column[], rows: readonly (readonly string[])[]) => void
  /** Coloured on a terminal only, and not with NO_COLOR. */
  paint: (style: Style, text: string) => string
}

/** One column of a table. */
export interface Column {
  title: string
  /** Figures stand to the right. */
  isFigure?: true
  /** Whether it gives way when the line is too long. */
  isFlexible?: true
}

/** Columns of a line where nothing says otherwise. */
const WIDTH = 80
const GAP = 2

/** Writes to the host's standard output and error. */
export function createOutput(isJson: boolean, { stdout, stderr }: Pick<Host, 'stdout' | 'stderr'>): Output {
  const write = (text: string): void => void stdout.write(`${text}\n`)
  const paint = (style: Style, text: string): string => styleText(style, text, { stream: stdout })
  const width = stdout.isTTY === true ? (stdout.columns ?? WIDTH) : WIDTH
  return {
    isJson,
    paint,
    line: (text = '') => {
      if (!isJson) write(text)
    },
    json: (value) => {
      if (isJson) write(JSON.stringify(value))
    },
    note: (text) => void stderr.write(`${text}\n`),
    table: (columns, rows) => {
      if (isJson) return
      const [header = '', ...lines] = tableLines(columns, rows, width)
      write(paint('dim', header))
      for (const line of lines) write(line)
    },
  }
}

/** The lines of a table, its header first, none longer than the width as long as its flexible columns can give way. */
export function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number,
): string[] {
  const texts = [columns.map(({ title }) => title), ...rows.map((row) => row.map(tidy))]
  const widths = columns.map((_, column) => Math.max(...texts.map((row) => row[column]?.length ?? 0)))
  giveWay(columns, widths, width)
  return texts.map((row) =>
    row
      .map((cell, column) => {
        const room = widths[column] ?? 0
        const shown = shorten(cell, room)
        return columns[column]?.isFigure === true ? shown.padStart(room) : shown.padEnd(room)
      })
      .join(' '.repeat(GAP))
      .trimEnd(),
  )
}

/** Takes from the widest flexible column until the line fits, or none can give any more. */
function giveWay(columns: readonly Column[], widths: number[], width: number): void {
  const least = 8
  for (;;) {
    const total = widths.reduce((sum, one) => sum + one, GAP * (widths.length - 1))
    if (total <= width) return
    const flexible = columns.flatMap(({ isFlexible }, column) => (isFlexible === true ? [column] : []))
    const widest = flexible.reduce<number | null>(
      (best, column) => (best === null || (widths[column] ?? 0) > (widths[best] ?? 0) ? column : best),
      null,
    )
    if (widest === null || (widths[widest] ?? 0) <= least) return
    widths[widest] = Math.max(least, (widths[widest] ?? 0) - (total - width))
  }
}
