import { beforeEach, describe, expect, it } from 'vitest'
import { findDifferences, type OrgView } from '../../src/cli/demo/check.ts'
import { makePlan, type Plan } from '../../src/cli/demo/plan.ts'
import type { Outcome } from '../../src/cli/demo/post.ts'
import { Transaction } from '../../src/simulator/table.ts'
import { deleteRecord, updateRecord } from '../../src/simulator/write-record.ts'
import { applyPlan, type Applied } from './apply-plan.ts'

let plan: Plan
let applied: Applied

beforeEach(() => {
  plan = makePlan(200, 5)
  applied = applyPlan(plan, 5)
})

const differences = (): string[] => findDifferences(plan, applied.heldIds, applied.outcomes, applied.org)
/** The place of the first write of a kind that ended in a way. */
const placeOf = (type: string, state: string): number =>
  plan.writes.findIndex((write, index) => write.type === type && applied.outcomes[index]!.state === state)
const change = (place: number, part: Partial<Outcome>): Outcome =>
  (applied.outcomes[place] = { ...applied.outcomes[place]!, ...part })
const tamper = (id: string, values: Record<string, unknown>): unknown =>
  updateRecord(applied.org, new Transaction(), applied.org.tableOfId(id)!, id, values)

describe('the check of the demo', () => {
  it('finds nothing when all agree', () => {
    expect(differences()).toEqual([])
  })

  it.each(['create', 'update', 'upsert'])('finds a value that an org lost after a %s', (type) => {
    const place = placeOf(type, 'succeeded')
    const id = applied.outcomes[place]!.recordId!
    tamper(id, { Notes__c: 'somebody else was here' })
    const [found, ...more] = differences()
    expect(more).toEqual([])
    expect(found).toContain(id)
    expect(found).toContain(plan.writes[place]!.marker)
    expect(found).toContain('somebody else was here')
  })

  it('finds a record that is gone, by its id and by the count', () => {
    const id = applied.outcomes[placeOf('create', 'succeeded')]!.recordId!
    deleteRecord(new Transaction(), applied.org.tableOfId(id)!, id)
    const found = differences()
    expect(found).toHaveLength(2)
    expect(found.some((text) => text.includes('the org holds'))).toBe(true)
    expect(
      found.some((text) =>
        text.includes(`has no ${plan.writes[placeOf('create', 'succeeded')]!.object} ${id}`),
      ),
    ).toBe(true)
  })

  it('finds two writes whose record ids were swapped', () => {
    const places = plan.writes.flatMap(({ object, type }, place) =>
      object === 'Contact' && type === 'create' && applied.outcomes[place]!.state === 'succeeded'
        ? [place]
        : [],
    )
    const [one, other] = places as [number, number]
    const { recordId } = applied.outcomes[one]!
    change(one, { recordId: applied.outcomes[other]!.recordId })
    change(other, { recordId })
    const found = differences()
    expect(found.some((text) => text.includes(plan.writes[one]!.marker))).toBe(true)
    expect(found.some((text) => text.includes(plan.writes[other]!.marker))).toBe(true)
  })

  it('finds a record that was made twice', () => {
    const place = placeOf('create', 'succeeded')
    const { object, record, marker } = plan.writes[place]!
    const id = applied.org.create(object, record)
    const found = differences()
    expect(found).toHaveLength(2)
    expect(found.some((text) => text.includes(`${id} of ${marker}, which no write should have left`))).toBe(
      true,
    )
  })

  it('finds what a rejected update left behind', () => {
    const place = plan.writes.findIndex(
      ({ type, target }, index) =>
        type === 'update' && target !== null && applied.outcomes[index]!.state === 'failed',
    )
    const { target, marker } = plan.writes[place]!
    tamper(applied.heldIds[target!]!, { Notes__c: marker })
    const [found, ...more] = differences()
    expect(more).toEqual([])
    expect(found).toContain(`holds "${marker}" in Notes__c`)
  })

  it.each<[string, Partial<Outcome>, string]>([
    ['did not end', { state: 'sending', results: 0 }, 'has not ended: sending'],
    ['is in doubt', { state: 'in_doubt' }, 'ended in_doubt, expected succeeded'],
    ['has another reference', { reference: 'demo-0' }, 'has the reference demo-0'],
    ['has two results', { results: 2 }, 'has 2 results instead of one'],
    ['tells of no creation', { created: false }, 'says created: false'],
    ['has no record', { recordId: null }, 'succeeded without a record id'],
  ])('finds a write that %s', (_what, part, message) => {
    change(placeOf('create', 'succeeded'), part)
    expect(differences().join('\n')).toContain(message)
  })

  it('finds a failure with another code', () => {
    const place = placeOf('create', 'failed')
    change(place, { errors: [{ code: 'SERVER_UNAVAILABLE', message: '', fields: [] }] })
    expect(differences()).toEqual([
      expect.stringContaining('ended failed with SERVER_UNAVAILABLE, expected failed with'),
    ])
  })

  it('finds two writes with one operation', () => {
    change(3, { operationId: applied.outcomes[2]!.operationId })
    expect(differences()).toEqual([expect.stringContaining('have one operation')])
  })

  it('finds an update that was told a record of somebody else', () => {
    const place = placeOf('update', 'succeeded')
    const other = plan.writes.findIndex(
      ({ type, object }, index) =>
        index !== place &&
        type === 'update' &&
        object === plan.writes[place]!.object &&
        applied.outcomes[index]!.state === 'succeeded',
    )
    change(place, { recordId: applied.outcomes[other]!.recordId })
    expect(differences().length).toBeGreaterThan(0)
  })

  it('looks at every record of the org', () => {
    const empty: OrgView = { counts: () => applied.org.counts(), records: () => [] }
    const found = findDifferences(plan, applied.heldIds, applied.outcomes, empty)
    expect(found).toHaveLength(Object.values(applied.org.counts()).reduce((sum, count) => sum + count, 0))
  })
})
