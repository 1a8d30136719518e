import { describe, expect, it } from 'vitest'
import { Histogram } from '../../bench/harness/histogram.ts'
import { median, medianPercentiles, percentilesOf, quantile, spread } from '../../bench/harness/statistics.ts'

describe('the bench’s arithmetic', () => {
  it('takes the middle value, or the mean of the middle two', () => {
    expect(median([9, 1, 5])).toBe(5)
    expect(median([9, 1, 5, 7])).toBe(6)
    expect(() => median([])).toThrow(RangeError)
  })

  it('takes quantiles between the nearest two values', () => {
    const values = Array.from({ length: 101 }, (_, index) => 100 - index)
    expect(quantile(values, 0.99)).toBeCloseTo(99)
    expect(quantile([10, 20], 0.25)).toBeCloseTo(12.5)
    expect(percentilesOf(values)).toEqual({ p50: 50, p95: 95, p99: 99, max: 100 })
  })

  it('tells how far rounds lie apart', () => {
    expect(spread([90, 100, 110])).toBeCloseTo(0.2)
    expect(spread([5])).toBe(0)
  })

  it('takes the median of each percentile over rounds, and the greatest of the greatest', () => {
    const round = (p: number) => ({ p50: p, p95: 2 * p, p99: 3 * p, max: 4 * p })
    expect(medianPercentiles([round(1), round(9), round(2)])).toEqual({ p50: 2, p95: 4, p99: 6, max: 36 })
  })
})

describe('a histogram', () => {
  it('is within 2 % of the values that it counted', () => {
    const values = Array.from({ length: 10_000 }, (_, index) => 0.05 * 1.001 ** index)
    const histogram = new Histogram()
    for (const value of values) histogram.add(value)
    for (const share of [0.01, 0.5, 0.95, 0.99]) {
      const ratio = histogram.quantile(share) / quantile(values, share)
      expect(Math.abs(ratio - 1)).toBeLessThan(0.02)
    }
    expect(histogram.percentiles().max).toBe(Math.max(...values))
  })

  it('stays the same on its way between processes', () => {
    const histogram = new Histogram()
    for (const ms of [0, 0.0001, 3, 8, 1e9]) histogram.add(ms)
    const arrived = new Histogram(
      JSON.parse(JSON.stringify(histogram.data())) as ReturnType<Histogram['data']>,
    )
    expect(arrived.count).toBe(5)
    expect(arrived.percentiles()).toEqual(histogram.percentiles())
  })

  it('of nothing says 0', () => {
    expect(new Histogram().percentiles()).toEqual({ p50: 0, p95: 0, p99: 0, max: 0 })
  })
})
