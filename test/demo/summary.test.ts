import { describe, expect, it } from 'vitest'
import { makePlan } from '../../src/cli/demo/plan.ts'
import { progressLine, showProgress } from '../../src/cli/demo/progress.ts'
import { percentile, summaryLines } from '../../src/cli/demo/summary.ts'
import { applyPlan } from './apply-plan.ts'

const plan = makePlan(300, 1)
const { outcomes } = applyPlan(plan, 1)
const timed = outcomes.map((outcome, index) => ({ ...outcome, elapsedMs: index + 1 }))
const run = {
  writes: plan.writes,
  outcomes: timed,
  use: { calls: 5, sizes: [100, 100, 60, 39, 1] },
  acceptMs: 500,
  totalMs: 2_500,
}

describe('the summary of the demo', () => {
  it('counts every write once, by object, type and outcome', () => {
    const lines = summaryLines(run)
    const from = lines.indexOf('Writes by outcome')
    const rows = lines.slice(from + 2, lines.indexOf('', from)).map((line) => line.trim().split(/\s{2,}/))
    const figures = rows.map((row) => row.slice(1).map(Number))
    const total = figures.pop()!
    expect(figures).toHaveLength(9)
    for (const column of [0, 1, 2, 3, 4])
      expect(figures.reduce((sum, row) => sum + row[column]!, 0)).toBe(total[column])
    const failed = outcomes.filter(({ state }) => state === 'failed').length
    expect(total).toEqual([300 - failed, failed, 0, 0, 300])
  })

  it('gives each code its number and an operation that ended with it', () => {
    const text = summaryLines(run).join('\n')
    const byCode = Map.groupBy(
      outcomes.filter(({ state }) => state === 'failed'),
      ({ errors }) => errors[0]!.code,
    )
    expect(byCode.size).toBeGreaterThan(4)
    for (const [code, failures] of byCode) {
      const [, times, operationId] = new RegExp(`${code} +(\\d+) +(\\S+) `).exec(text) ?? []
      expect(Number(times)).toBe(failures.length)
      expect(failures.map((failure) => failure.operationId)).toContain(operationId)
    }
  })

  it('shows sizes, calls and times', () => {
    const text = summaryLines(run).join('\n')
    expect(text).toMatch(/^ {2}100 +2 +█+$/m)
    expect(text).toMatch(/^ {2}51–99 +1 +█+$/m)
    expect(text).toMatch(/^ {2}21–50 +1 +█+$/m)
    expect(text).toMatch(/^ {2}1 +1 +█+$/m)
    expect(text).toMatch(/API calls +5, where one by one takes 300$/m)
    expect(text).toMatch(/records sent +300 in 5 batches$/m)
    expect(text).toContain('p50 0.15 s, p95 0.28 s, p99 0.30 s (delays asked for: 2 to 3 s)')
    expect(text).toContain('0.50 s (600 a second), all ended after 2.50 s')
  })

  it('says what was sent more than once', () => {
    const text = summaryLines({ ...run, use: { calls: 6, sizes: [100, 100, 60, 39, 1, 4] } }).join('\n')
    expect(text).toContain('304 in 6 batches, 4 of them once more')
  })

  it('takes percentiles by nearest rank', () => {
    expect(percentile([], 0.5)).toBe(0)
    expect(percentile([7], 0.99)).toBe(7)
    expect(percentile([1, 2, 3, 4], 0.5)).toBe(2)
    expect(percentile([1, 2, 3, 4], 0.95)).toBe(4)
  })
})

describe('the progress of the demo', () => {
  const figures = { all: 1_000, accepted: 1_000, sent: 800, ended: 750, batches: 9 }

  it('updates one line on a terminal, cut to its width', () => {
    const written: string[] = []
    const hide = showProgress(
      { isTTY: true, columns: 30, write: (text) => written.push(text) },
      () => figures,
    )
    hide()
    expect(written).toEqual([`\r\u001B[2K${progressLine(figures).slice(0, 29)}`, '\n'])
  })

  it('writes whole lines elsewhere', () => {
    const written: string[] = []
    showProgress({ write: (text) => written.push(text) }, () => figures)()
    expect(written).toEqual(['  accepted 1,000/1,000  sent 800/1,000  ended 750/1,000  batches 9\n'])
  })
})
