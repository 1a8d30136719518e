import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fullJitter } from '../../src/kernel/backoff.ts'
import { createWaterMark } from '../../src/kernel/water-mark.ts'

describe('backoff', () => {
  it('draws evenly below a ceiling that doubles up to the cap', () => {
    const bounds = { baseMs: 100, capMs: 1_000 }
    expect([1, 2, 3, 4, 5, 60].map((attempt) => fullJitter(attempt, bounds, 0.999999))).toEqual([
      99, 199, 399, 799, 999, 999,
    ])
    expect(fullJitter(3, bounds, 0)).toBe(0)
  })

  it('never leaves its bounds', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -5, max: 1_000 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (attempt, random) => {
          const wait = fullJitter(attempt, { baseMs: 250, capMs: 60_000 }, random)
          expect(wait).toBeGreaterThanOrEqual(0)
          expect(wait).toBeLessThan(60_000)
        },
      ),
    )
  })
})

describe('water marks', () => {
  it('closes at the high mark, opens below half, and reports each change once', () => {
    const changes: [boolean, number][] = []
    const full = createWaterMark(100, (closed, level) => changes.push([closed, level]))
    expect([50, 99, 100, 80, 51, 50, 99, 120].map(full)).toEqual([
      false,
      false,
      true,
      true,
      true,
      false,
      false,
      true,
    ])
    expect(changes).toEqual([
      [true, 100],
      [false, 50],
      [true, 120],
    ])
  })
})
