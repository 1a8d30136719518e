import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { FaultAction, FaultMatch } from '../../src/simulator/start.ts'
import { endedSoon } from './ended-soon.ts'
import { codes, creates, startScenario, type Scenario } from './scenario.ts'

let scenario: Scenario
/** Contacts that the org had. */
let before: number

beforeAll(async () => {
  scenario = await startScenario()
})
beforeEach(() => {
  scenario.simulator.org.requests.clear()
  before = scenario.simulator.org.count('Contact')
})
afterEach(() => {
  scenario.simulator.org.faults.clear()
  return scenario.expectSettled()
})
afterAll(() => scenario.stop())

const names = (count: number): string[] => Array.from({ length: count }, (_, index) => `N${index}`)
const written = (): number => scenario.simulator.org.count('Contact') - before
const sizes = (): number[] => scenario.calls('Contact').map((call) => call.recordCount)
const strike = (action: FaultAction, match: FaultMatch, times = 0): void => {
  scenario.simulator.org.faults.add({ match: { operation: 'collections.create', ...match }, times, action })
}

const limits: { name: string; action: FaultAction; code: string }[] = [
  {
    name: 'too many batch retries',
    action: { type: 'recordError', canned: 'tooManyBatchRetries' },
    code: 'CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY',
  },
  {
    name: 'the CPU time of a trigger',
    action: { type: 'recordError', canned: 'apexCpuLimit' },
    code: 'CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY',
  },
  {
    name: 'the queries of a trigger',
    action: { type: 'recordError', canned: 'apexQueryLimit' },
    code: 'CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY',
  },
  {
    name: 'a query that took too long',
    action: { type: 'status', canned: 'queryTimeout' },
    code: 'QUERY_TIMEOUT',
  },
  {
    name: 'uncaught Apex that says so',
    action: {
      type: 'status',
      status: 500,
      body: [{ errorCode: 'APEX_ERROR', message: 'System.LimitException: Too many DML statements: 151' }],
    },
    code: 'APEX_ERROR',
  },
]

describe.each(limits)('a group that is too much for the org’s own code: $name', ({ action, code }) => {
  it('is sent again in smaller groups, until they pass', async () => {
    const { group, attempts } = scenario
    strike(action, { moreThan: 5 })
    const ids = await group('Contact', creates(...names(16)))
    const operations = await endedSoon(scenario, ids)
    expect(operations.map((one) => one.metadata.state)).toEqual(Array(16).fill('succeeded'))
    expect(operations.map((one) => one.metadata.retry.attempts)).toEqual(Array(16).fill(2))
    expect(sizes()).toEqual([16, 4, 4, 4, 4])
    expect(written()).toBe(16)
    expect(await attempts(ids[0]!)).toMatchObject([
      { number: 1, decision: 'retry', errors: [{ code }] },
      { number: 2, decision: 'succeeded' },
    ])
  })

  it('leaves in the end one record, which fails alone', async () => {
    const { simulator, group } = scenario
    strike(action, { recordMatches: { field: 'LastName', value: 'Heavy' } })
    const operations = await endedSoon(
      scenario,
      await group('Contact', creates(...names(5), 'Heavy', 'Light', 'Lighter')),
    )
    const failed = operations.filter((one) => one.status === 'failure')
    expect(failed).toMatchObject([{ id: operations[5]!.id, metadata: { state: 'failed' } }])
    expect(codes(failed[0]!)).toEqual([code])
    expect(written()).toBe(7)
    expect(simulator.org.find('Contact', 'LastName', 'Heavy')).toEqual([])
    // all 8, then at most 2 at a time, and in the end the heavy one alone
    const [first, ...later] = sizes()
    expect([first, Math.max(...later), later.at(-1)]).toEqual([8, 2, 1])
    expect(failed[0]!.metadata.retry.attempts).toBe(4)
  })
})

describe('records of which no two get along', () => {
  it('go down to one at a time, and every one is written', async () => {
    const { group } = scenario
    strike({ type: 'recordError', canned: 'tooManyBatchRetries' }, { moreThan: 1 })
    const operations = await endedSoon(scenario, await group('Contact', creates(...names(40))))
    expect(operations.filter((one) => one.metadata.state !== 'succeeded')).toEqual([])
    expect(written()).toBe(40)
  })

  it('do so though other troubles had cost them tries before', async () => {
    const { group } = scenario
    strike({ type: 'recordError', canned: 'lockedRow', everyRecord: true }, {}, 3)
    strike({ type: 'recordError', canned: 'tooManyBatchRetries' }, { moreThan: 1 })
    const operations = await endedSoon(scenario, await group('Contact', creates(...names(4))))
    expect(operations.map((one) => one.metadata.state)).toEqual(Array(4).fill('succeeded'))
    expect(sizes()).toEqual([4, 4, 4, 4, 1, 1, 1, 1])
  })
})

describe('a flow that failed', () => {
  const flow = (message: string): FaultAction => ({
    type: 'recordError',
    statusCode: 'CANNOT_EXECUTE_FLOW_TRIGGER',
    message,
  })

  it('for a limit or a lock in its text is tried once more, otherwise not at all', async () => {
    const { group } = scenario
    strike(flow('UNABLE_TO_LOCK_ROW: unable to obtain exclusive access'), {
      recordMatches: { field: 'LastName', value: 'N0' },
    })
    strike(flow('Too many SOQL queries: 101'), { recordMatches: { field: 'LastName', value: 'N1' } })
    strike(flow('No Account was found'), { recordMatches: { field: 'LastName', value: 'N2' } })
    const operations = await endedSoon(scenario, await group('Contact', creates(...names(4))))
    expect(operations.map((one) => one.metadata.state)).toEqual(['failed', 'failed', 'failed', 'succeeded'])
    expect(operations.map((one) => one.metadata.retry.attempts)).toEqual([2, 2, 1, 1])
  })
})
