import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { findDifferences } from '../../src/cli/demo/check.ts'
import { makePlan } from '../../src/cli/demo/plan.ts'
import { writeBody } from '../../src/cli/demo/post.ts'
import { rejections } from '../../src/cli/demo/rejections.ts'
import { acceptWrite } from '../../src/ingest/accept.ts'
import { examine } from '../../src/ingest/examine.ts'
import type { WriteBody } from '../../src/ingest/write-body.ts'
import { defaultCallSettings } from '../../src/model/object-entry.ts'
import { applyPlan } from './apply-plan.ts'

const size = fc.integer({ min: 1, max: 250 })
const seed = fc.integer({ min: 0, max: 2 ** 31 - 1 })

const installation = {
  id: 'i',
  projectId: 'p',
  integrationId: 'n',
  configId: 'c',
  objects: null,
  calls: defaultCallSettings,
}

describe('the plan of the demo', () => {
  it('is the same for the same size and seed, and another for another seed', () => {
    const again = fc.property(size, seed, (n, s) => {
      expect(makePlan(n, s)).toEqual(makePlan(n, s))
    })
    fc.assert(again, { numRuns: 20 })
    expect(makePlan(50, 1)).not.toEqual(makePlan(50, 2))
  })

  it('expects what the org really answers, in whatever order the writes come', () => {
    const orders = fc.func(fc.integer())
    fc.assert(
      fc.property(size, seed, orders, (n, s, rank) => {
        const plan = makePlan(n, s)
        const order = [...plan.writes.keys()].sort((a, b) => rank(a) - rank(b))
        const { org, heldIds, outcomes } = applyPlan(plan, s, order)
        expect(findDifferences(plan, heldIds, outcomes, org)).toEqual([])
        plan.writes.forEach(({ expected }, index) => expect(outcomes[index]!.state).toBe(expected.state))
      }),
      { numRuns: 40 },
    )
  })

  it('posts only what the service accepts, each with a marker of its own', () => {
    fc.assert(
      fc.property(size, seed, (n, s) => {
        const plan = makePlan(n, s)
        const { heldIds } = applyPlan(plan, s)
        expect(plan.writes).toHaveLength(n)
        expect(new Set(plan.writes.map((write) => write.marker)).size).toBe(n)
        for (const write of plan.writes) {
          const body = writeBody(write, 'group', heldIds) as unknown as WriteBody
          const examined = examine(body)
          expect(examined.issues).toEqual([])
          expect(() => acceptWrite(body, examined, write.object, installation)).not.toThrow()
          expect(write.policy.maxDelaySeconds).toBeLessThanOrEqual(3)
        }
      }),
      { numRuns: 20 },
    )
  })

  it('has every kind of write and of rejection in a thousand', () => {
    const { writes } = makePlan(1_000, 1)
    expect(new Set(writes.map(({ object, type }) => `${object} ${type}`)).size).toBe(9)
    const codes = writes.flatMap(({ expected }) => (expected.state === 'failed' ? [expected.code] : []))
    expect(new Set(codes)).toEqual(new Set(rejections.map(({ code }) => code)))
    expect(codes.length).toBeGreaterThan(60)
    expect(codes.length).toBeLessThan(200)
    const matched = writes.filter(
      ({ expected }) => expected.state === 'succeeded' && expected.created === false,
    )
    expect(matched.length).toBeGreaterThan(50)
  })
})
