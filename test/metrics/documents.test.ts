import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { systemClock } from '../../src/kernel/clock.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import { createMetrics } from '../../src/metrics/metrics.ts'

const textOf = (name: string): string => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8')

const metrics = createMetrics({
  version: '1',
  role: 'all',
  clock: systemClock,
  logger: silentLogger,
  queue: {
    loads: () => Promise.resolve([]),
    quotas: () => Promise.resolve([]),
    heldLanes: () => Promise.resolve([]),
    workersAlive: () => Promise.resolve(0),
    outbox: () => Promise.resolve({ fresh: 0, again: 0, lateSeconds: 0, failing: 0 }),
  },
}).describe()
const known = new Map(metrics.map((metric) => [metric.name, metric]))
const own = metrics.map(({ name }) => name).filter((name) => name.startsWith('writeback_'))

/** Labels that Prometheus adds to all samples. */
const added = ['job', 'instance']

/** The metric of a sample's name: histograms have three kinds of samples. */
function metricOf(sample: string) {
  const exact = known.get(sample)
  if (exact !== undefined) return exact
  const base = known.get(sample.replace(/_(bucket|sum|count)$/, ''))
  return base?.type === 'histogram' ? base : undefined
}

const samplesOf = (text: string): string[] => [
  ...new Set(text.match(/\b(?:writeback|process|nodejs)_[a-z0-9_]+/g) ?? []),
]

/** What is wrong with an expression, as far as that can be told without Prometheus. */
function faultsOf(expression: string): string[] {
  const faults: string[] = []
  const samples = samplesOf(expression)
  if (samples.length === 0) faults.push('names no metric')
  const labels = new Set(added)
  for (const sample of samples) {
    const metric = metricOf(sample)
    if (metric === undefined) faults.push(`there is no ${sample}`)
    for (const label of metric?.labels ?? []) labels.add(label)
    if (sample.endsWith('_bucket')) labels.add('le')
    if (metric?.type === 'counter' && !new RegExp(`(rate|increase)\\(${sample}`).test(expression))
      faults.push(`${sample} is a counter and is shown without its rate`)
    if (metric?.type === 'histogram' && sample === metric.name) faults.push(`${sample} is a histogram`)
  }
  const matched = [...expression.matchAll(/([a-z_]+)(?:=~|!~|!=|=)"/g)].map(([, label]) => label!)
  const grouped = [...expression.matchAll(/by \(([a-z_, ]+)\)/g)].flatMap(([, list]) => list!.split(/, */))
  for (const label of [...matched, ...grouped])
    if (!labels.has(label)) faults.push(`none of its metrics has the label ${label}`)
  const pairs = [
    ['(', ')'],
    ['[', ']'],
    ['{', '}'],
  ] as const
  for (const [open, close] of pairs)
    if (expression.split(open).length !== expression.split(close).length) faults.push(`${open} is not closed`)
  return faults
}

interface Panel {
  title: string
  type: string
  gridPos: { x: number; y: number; w: number; h: number }
  targets?: { expr: string }[]
}
const dashboard = JSON.parse(textOf('grafana-dashboard.json')) as { panels: Panel[] }
const rules = (
  parse(textOf('alerts.yaml')) as {
    groups: {
      rules: {
        alert: string
        expr: string
        for: string
        labels: { severity: string }
        annotations: { summary: string; description: string }
      }[]
    }[]
  }
).groups.flatMap((group) => group.rules)

describe('the reference of the metrics', () => {
  it('has a row for each, as it is, and none for another', () => {
    const rows = textOf('reference/metrics.md')
      .split('\n')
      .filter((line) => line.startsWith('| `'))
      .map((line) =>
        line
          .slice(1, -1)
          .split(' | ')
          .map((cell) => cell.trim()),
      )
    const wanted = metrics.map(({ name, type, labels, help }) => [
      `\`${name}\``,
      type,
      labels.map((label) => `\`${label}\``).join(', '),
      help,
    ])
    const platforms = /^`(process|nodejs)_/
    for (const row of wanted) expect(rows).toContainEqual(row)
    const names = new Set(wanted.map(([name]) => name))
    expect(rows.filter(([name]) => !names.has(name) && !platforms.test(name!))).toEqual([])
    expect(new Set(rows.map(([name]) => name)).size).toBe(rows.length)
  })

  it('names nothing else in its text', () => {
    const unknown = samplesOf(textOf('reference/metrics.md')).filter((name) => metricOf(name) === undefined)
    expect(unknown.filter((name) => name.startsWith('writeback_'))).toEqual([])
  })
})

describe('the dashboard', () => {
  const panels = dashboard.panels.filter((panel) => panel.type !== 'row')

  it('shows what there is, by labels that there are', () => {
    const faults = panels.flatMap(({ title, targets = [] }) =>
      targets.flatMap(({ expr }) => faultsOf(expr).map((fault) => `${title}: ${fault}`)),
    )
    expect(faults).toEqual([])
    expect(panels.every(({ targets = [] }) => targets.length > 0)).toBe(true)
  })

  it('shows every metric of the service', () => {
    const shown = new Set(
      panels.flatMap(({ targets = [] }) =>
        targets.flatMap(({ expr }) => samplesOf(expr).map((sample) => metricOf(sample)?.name)),
      ),
    )
    expect(own.filter((name) => !shown.has(name))).toEqual([])
  })

  it('lays its panels out without one on another', () => {
    const cells = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, n) => `${x + (n % w)}/${y + Math.floor(n / w)}`),
    )
    expect(new Set(cells).size).toBe(cells.length)
    expect(Math.max(...dashboard.panels.map(({ gridPos }) => gridPos.x + gridPos.w))).toBe(24)
  })
})

describe('the alert rules', () => {
  it('ask for what there is, by labels that there are', () => {
    expect(rules.length).toBeGreaterThan(10)
    expect(rules.flatMap(({ alert, expr }) => faultsOf(expr).map((fault) => `${alert}: ${fault}`))).toEqual(
      [],
    )
  })

  it('have each a name of their own, a severity, a time, and say what is wrong and what to do', () => {
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length)
    for (const rule of rules) {
      expect(rule.alert).toMatch(/^Writeback[A-Z][A-Za-z]+$/)
      expect(rule.for, rule.alert).toMatch(/^\d+[smh]$/)
      expect(['warning', 'critical'], rule.alert).toContain(rule.labels.severity)
      expect(rule.annotations.summary, rule.alert).toMatch(/\.$/)
      expect(rule.annotations.description, rule.alert).toMatch(/\.$/)
      const shown = [...rule.annotations.summary.matchAll(/\$labels\.(\w+)/g)].map(([, label]) => label)
      for (const label of shown) expect(rule.expr, rule.alert).toContain(`by (${label})`)
    }
  })
})

describe('the names', () => {
  it('follow the conventions: counters end in _total, times are seconds, labels are few', () => {
    for (const { name, type, labels } of metrics.filter(({ name }) => own.includes(name))) {
      expect(name.endsWith('_total'), name).toBe(type === 'counter')
      expect(name, name).not.toMatch(/_(ms|millis|minutes)\b/)
      expect(labels.length, name).toBeLessThan(4)
    }
  })
})
