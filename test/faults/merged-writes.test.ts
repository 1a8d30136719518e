import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Operation } from '../../src/contract/operation.ts'
import { endedSoon } from './ended-soon.ts'
import { codes, startScenario, type Scenario } from './scenario.ts'

let scenario: Scenario
let ada: string
let bob: string

beforeAll(async () => {
  scenario = await startScenario()
})
beforeEach(() => {
  const { org } = scenario.simulator
  org.requests.clear()
  ada = org.create('Contact', { LastName: 'Ada' })
  bob = org.create('Contact', { LastName: 'Bob' })
})
afterEach(() => scenario.expectSettled())
afterAll(() => scenario.stop())

const org = () => scenario.simulator.org
const states = (operations: Operation[]): string[] => operations.map((one) => one.metadata.state)
const merged = (operations: Operation[]): boolean[] =>
  operations.map((one) => one.metadata.records[0]!.merged === true)
const sizes = (): number[] => scenario.calls('Contact').map((call) => call.recordCount)

/** Updates that wait together, and leave when two records are there: the last one's is the second. */
async function update(...records: Record<string, unknown>[]): Promise<string[]> {
  const ids: string[] = []
  for (const record of records)
    ids.push(
      await scenario.tenant.write('Contact', {
        type: 'update',
        record,
        autoBatchPolicy: { maxDelayMinutes: 60, maxRecords: 2, merge: true },
      }),
    )
  return ids
}

describe('writes to one record that are merged', () => {
  it('go as one record, later fields winning, and each has its own outcome', async () => {
    const ids = await update(
      { id: ada, LastName: 'One', Phone: '1' },
      { id: ada.slice(0, 15), LastName: 'Two' },
      { Id: ada, lastname: 'Three', Title: 'Dr' },
      { id: bob, LastName: 'Bobby' },
    )
    const operations = await scenario.ended(ids)
    expect(states(operations)).toEqual(Array(4).fill('succeeded'))
    expect(merged(operations)).toEqual([true, true, true, false])
    for (const one of operations.slice(0, 3)) expect(one.metadata.successfulRecordIds).toEqual([ada])
    expect(org().record(ada)).toMatchObject({ LastName: 'Three', Phone: '1', Title: 'Dr' })
    expect(org().record(bob)).toMatchObject({ LastName: 'Bobby' })
    expect(sizes()).toEqual([2])
  })

  it('of which one has a bad value sink no other: they go again each by itself, in order', async () => {
    const ids = await update(
      { id: ada, Phone: '1', LastName: 'One' },
      { id: ada, Email: 'nobody' },
      { id: ada, LastName: 'Three' },
      { id: bob, LastName: 'Bobby' },
    )
    const operations = await endedSoon(scenario, ids)
    expect(states(operations)).toEqual(['succeeded', 'failed', 'succeeded', 'succeeded'])
    expect(codes(operations[1]!)).toEqual(['INVALID_EMAIL_ADDRESS'])
    expect(merged(operations)).toEqual([false, false, false, false])
    expect(org().record(ada)).toMatchObject({ LastName: 'Three', Phone: '1', Email: null })
    expect(sizes()).toEqual([2, 1, 1, 1])
  })

  it('whose answer is lost are sent again as one, and all succeed', async () => {
    org().faults.add({ match: { operation: 'collections.update' }, action: { type: 'cutAnswer' } })
    const ids = await update(
      { id: ada, LastName: 'One' },
      { id: ada, LastName: 'Two' },
      { id: bob, LastName: 'Bobby' },
    )
    const operations = await endedSoon(scenario, ids)
    expect(states(operations)).toEqual(Array(3).fill('succeeded'))
    expect(operations.map((one) => one.metadata.retry.attempts)).toEqual([2, 2, 2])
    expect(org().record(ada)).toMatchObject({ LastName: 'Two' })
    expect(sizes()).toEqual([2, 2])
  })

  it('whose answer is lost and of which one is refused are all told what became of them', async () => {
    const { faults } = org()
    faults.add({ match: { operation: 'collections.update' }, action: { type: 'cutAnswer' } })
    const ids = await update(
      { id: ada, Phone: '1', LastName: 'One' },
      { id: ada, Email: 'nobody' },
      { id: ada, LastName: 'Three' },
      { id: bob, LastName: 'Bobby' },
    )
    const operations = await endedSoon(scenario, ids)
    expect(states(operations)).toEqual(['succeeded', 'failed', 'succeeded', 'succeeded'])
    expect(codes(operations[1]!)).toEqual(['INVALID_EMAIL_ADDRESS'])
    expect(org().record(ada)).toMatchObject({ LastName: 'Three', Phone: '1', Email: null })
  })

  it('that meet a lock keep their order', async () => {
    org().faults.add({
      match: { operation: 'collections.update', recordMatches: { field: 'Id', value: ada } },
      times: 2,
      action: { type: 'recordError', canned: 'lockedRow' },
    })
    const ids = await update(
      { id: ada, LastName: 'One', Phone: '1' },
      { id: ada, LastName: 'Two' },
      { id: bob, LastName: 'Bobby' },
    )
    const operations = await endedSoon(scenario, ids)
    expect(states(operations)).toEqual(Array(3).fill('succeeded'))
    expect(org().record(ada)).toMatchObject({ LastName: 'Two', Phone: '1' })
    expect(operations[2]!.metadata.retry.attempts).toBe(1)
  })
})
