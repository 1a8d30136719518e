import { describe, expect, it } from 'vitest'
import { atLeast, atMost, figureOf } from '../../bench/harness/answer.ts'
import { chart } from '../../bench/harness/chart.ts'
import { reportLines, tableLines, type Report } from '../../bench/harness/report.ts'

const latencyMs = { p50: 1, p95: 2, p99: 3, max: 4 }
const ours = figureOf({ label: 'Writeback', side: 'ours', unit: 'writes/s' }, [
  { value: 9_000, latencyMs, cpuMicros: { service: 100 } },
  { value: 7_000, latencyMs, cpuMicros: { service: 120 } },
  { value: 8_000, latencyMs, cpuMicros: { service: 90 } },
])
const peer = figureOf({ label: 'peer', side: 'peer', unit: 'writes/s' }, [{ value: 1_000 }])

const report: Report = {
  at: '2026-01-02T03:04:05.000Z',
  options: { only: null, quick: false, rounds: 3, seed: 1 },
  machine: {
    processor: 'Processor <1>',
    processors: 2,
    memoryGb: 8,
    system: 'linux',
    loadBefore: 0.5,
    node: 'v24',
    postgres: 'PostgreSQL 18',
    commitMs: 0.4,
    databaseSettings: { fsync: 'on' },
    packages: { 'pg-boss': '12' },
    commit: null,
  },
  seconds: 10,
  questions: [
    {
      ...{ id: 'P1', name: 'accept', asks: 'how many', seconds: 5, error: null },
      answer: {
        figures: [ours, peer],
        verdicts: [atLeast(8, ours, peer, 'times', 'peer'), atMost(2, 2.5, 'calls')],
        notes: ['so it is'],
      },
    },
    { id: 'P3', name: 'drain', asks: 'how quickly', seconds: 5, error: 'no provider', answer: null },
  ],
}

describe('a verdict', () => {
  it('compares medians', () => {
    expect(atLeast(8, ours, peer, 'times', 'peer')).toEqual({
      target: '≥ 8 × peer',
      measured: '8 ×',
      met: true,
    })
    expect(atLeast(0.6, peer, ours, 'percent', 'ours')).toMatchObject({ measured: '12.5 %', met: false })
    expect(atMost(2, 2.01, 'calls')).toMatchObject({ target: '≤ 2 calls', met: false })
  })

  it('stays open when there is nothing to compare with', () => {
    expect(atLeast(8, ours, undefined, 'times', 'peer').met).toBeNull()
  })
})

describe('the report', () => {
  it('shows medians, how far rounds lie apart, latencies and processor time', () => {
    expect(tableLines([ours, peer])).toEqual([
      '           median            spread  p50 ms  p95 ms  p99 ms  service µs',
      'Writeback   8,000  writes/s    25 %       1       2       3         100',
      'peer        1,000  writes/s',
    ])
  })

  it('tells of every question: its targets, or why there is no answer', () => {
    const text = reportLines(report).join('\n')
    expect(text).toContain('2 × Processor <1>, 8 GB')
    expect(text).toContain('MET    ≥ 8 × peer: 8 ×')
    expect(text).toContain('MISSED ≤ 2 calls: 2.50 calls')
    expect(text).toContain('note: so it is')
    expect(text).toContain('P3 drain: how quickly\n  failed: no provider')
  })

  it('draws a bar for each figure, to the scale of its unit', () => {
    const svg = chart(report)
    const widths = [...svg.matchAll(/<rect x="250" [^>]*width="([\d.]+)"/g)].map(([, width]) => Number(width))
    expect(widths).toEqual([380, 47.5])
    expect(svg).toContain('Processor &lt;1&gt;')
    expect(svg).not.toContain('how quickly')
  })
})
