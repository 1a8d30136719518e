import { short, type Figure, type Side } from './answer.ts'
import type { Asked, Report } from './report.ts'
import { median } from './statistics.ts'

const WIDTH = 860
const LABEL = 250
const BAR = 380
const ROW = 22
const HEAD = 34
const MARGIN = 16

const colours: Record<Side, string> = { ours: '#2563eb', peer: '#94a3b8', limit: '#cbd5e1' }

/** The figures of all questions as bars; those of one unit within a question share a scale. */
export function chart(report: Report): string {
  const parts: string[] = []
  let y = MARGIN
  for (const asked of report.questions) {
    if (asked.answer === null || asked.answer.figures.length === 0) continue
    parts.push(text(MARGIN, y + 20, `${asked.id} ${asked.asks}`, 'font-weight="600"'))
    y += HEAD
    for (const figure of asked.answer.figures) {
      parts.push(bar(figure, scaleOf(asked, figure), y))
      y += ROW
    }
    y += MARGIN
  }
  const { machine, at, options } = report
  const foot = `${at}, ${machine.processors} × ${machine.processor}, ${machine.postgres}, Node.js ${machine.node}, medians of ${options.rounds}`
  parts.push(text(MARGIN, y + 14, foot, 'font-size="11" fill="#64748b"'))
  const height = y + 30
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="13">`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n')
}

/** The greatest value of that unit within the question. */
function scaleOf({ answer }: Asked, { unit }: Figure): number {
  const same = answer?.figures.filter((figure) => figure.unit === unit) ?? []
  return Math.max(...same.map((figure) => median(figure.rounds)), Number.MIN_VALUE)
}

function bar({ label, side, unit, rounds }: Figure, scale: number, y: number): string {
  const value = median(rounds)
  const width = Math.max(1, (value / scale) * BAR)
  return [
    text(MARGIN + 8, y + 15, label),
    `<rect x="${LABEL}" y="${y + 3}" width="${width.toFixed(1)}" height="${ROW - 6}" rx="2" fill="${colours[side]}"/>`,
    text(LABEL + Math.round(width) + 8, y + 15, `${short(value)} ${unit}`, 'fill="#334155"'),
  ].join('\n')
}

const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

const text = (x: number, y: number, content: string, attributes = ''): string =>
  `<text x="${x}" y="${y}"${attributes === '' ? '' : ` ${attributes}`}>${content.replaceAll(/[&<>"]/g, (sign) => escapes[sign] ?? sign)}</text>`
