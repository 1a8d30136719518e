import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { codes, creates, startScenario, type Scenario } from './scenario.ts'

let scenario: Scenario

beforeAll(async () => {
  scenario = await startScenario()
})
afterEach(() => scenario.expectSettled())
afterAll(() => scenario.stop())

const names = ['Ada', 'Bob', 'Cyd', 'Dee']

describe('a record that another save holds', () => {
  it('is sent again alone, while the others of its group succeed once', async () => {
    const { simulator, group, ended, calls, attempts } = scenario
    simulator.org.faults.add({
      match: { operation: 'collections.create', recordMatches: { field: 'LastName', value: 'Bob' } },
      times: 2,
      action: { type: 'recordError', statusCode: 'UNABLE_TO_LOCK_ROW', message: 'unable to obtain access' },
    })
    const ids = await group('Contact', creates(...names))
    const operations = await ended(ids)
    expect(operations.map((one) => one.metadata.state)).toEqual(Array(4).fill('succeeded'))
    expect(operations.map((one) => one.metadata.retry.attempts)).toEqual([1, 3, 1, 1])
    expect(calls('Contact').map((call) => call.recordCount)).toEqual([4, 1, 1])
    expect(simulator.org.records('Contact').map((record) => record['LastName'])).toEqual([
      'Ada',
      'Cyd',
      'Dee',
      'Bob',
    ])
    expect(await attempts(ids[1]!)).toMatchObject([
      { number: 1, status: 200, decision: 'retry', errors: [{ code: 'UNABLE_TO_LOCK_ROW' }] },
      { number: 2, status: 200, decision: 'retry', errors: [{ code: 'UNABLE_TO_LOCK_ROW' }] },
      { number: 3, status: 200, decision: 'succeeded' },
    ])
    expect(await attempts(ids[0]!)).toMatchObject([{ number: 1, decision: 'succeeded' }])
  })

  it('is sent again together with those that were locked beside it: a retry is no reason to ungroup', async () => {
    const { simulator, group, ended, calls } = scenario
    simulator.org.faults.add({
      match: { operation: 'collections.create', object: 'Lead' },
      times: 3,
      action: { type: 'recordError', statusCode: 'UNABLE_TO_LOCK_ROW', message: 'unable to obtain access' },
    })
    const bodies = names.map((LastName) => ({ type: 'create', record: { LastName, Company: 'C' } }))
    const operations = await ended(await group('Lead', bodies))
    expect(operations.map((one) => one.metadata.retry.attempts)).toEqual([2, 2, 2, 1])
    expect(calls('Lead').map((call) => call.recordCount)).toEqual([4, 3])
    expect(simulator.org.count('Lead')).toBe(4)
  })
})

describe('a group refused as a whole', () => {
  it.each([
    ['by the limit of concurrent calls', { canned: 'concurrentRequests' }, 403, 'REQUEST_LIMIT_EXCEEDED'],
    ['by the limit of long transactions', { canned: 'concurrentLongTxn' }, 403, 'REQUEST_LIMIT_EXCEEDED'],
    ['with 503 and Salesforce’s own word', { canned: 'serverUnavailable' }, 503, 'SERVER_UNAVAILABLE'],
    [
      'for too much Apex',
      { status: 500, body: [{ errorCode: 'TOO_MANY_APEX_REQUESTS', message: 'Try again later' }] },
      500,
      'TOO_MANY_APEX_REQUESTS',
    ],
  ] as const)(
    '%s is sent again as one group, and nothing is lost or doubled',
    async (_, answer, status, code) => {
      const { simulator, group, ended, calls, attempts, tried, deferred, hurry } = scenario
      const isLimit = code === 'REQUEST_LIMIT_EXCEEDED'
      const before = { calls: calls('Case').length, records: simulator.org.count('Case') }
      simulator.org.faults.add({
        match: { operation: 'collections.create', object: 'Case' },
        action: { type: 'status', ...answer },
      })
      const ids = await group(
        'Case',
        names.map((Subject) => ({ type: 'create', record: { Subject } })),
      )
      await (isLimit ? deferred(ids) : tried(ids, 1))
      await hurry()
      const operations = await ended(ids)
      expect(operations.map((one) => one.metadata.state)).toEqual(Array(4).fill('succeeded'))
      // the same order again
      const subjects = simulator.org.records('Case', before.records).map((record) => record['Subject'])
      expect(subjects).toEqual(names)
      const made = calls('Case').slice(before.calls)
      expect(made.map((call) => [call.status, call.recordCount])).toEqual([
        [status, 4],
        [200, 4],
      ])
      for (const [index, id] of ids.entries()) {
        // a limit of the org spends no attempt
        expect(operations[index]!.metadata.retry.attempts).toBe(isLimit ? 1 : 2)
        expect(await attempts(id)).toMatchObject([
          {
            number: 1,
            answer: 'refused',
            status,
            decision: isLimit ? 'deferred' : 'retry',
            errors: [{ code }],
          },
          { number: 2, answer: 'answered', status: 200, decision: 'succeeded' },
        ])
      }
    },
  )

  it('for good fails every member with the provider’s code, after one call', async () => {
    const { simulator, group, ended, calls } = scenario
    simulator.org.faults.add({
      match: { operation: 'collections.create', object: 'Task' },
      action: {
        type: 'status',
        status: 403,
        body: [{ errorCode: 'INSUFFICIENT_ACCESS', message: 'no right to this object' }],
      },
    })
    const operations = await ended(
      await group(
        'Task',
        names.map((Subject) => ({ type: 'create', record: { Subject } })),
      ),
    )
    for (const operation of operations) {
      expect(operation).toMatchObject({
        status: 'failure',
        metadata: { state: 'failed', retry: { attempts: 1 } },
      })
      expect(codes(operation)).toEqual(['INSUFFICIENT_ACCESS'])
      expect(operation.metadata.records[0]!.errors[0]!.message).toBe('no right to this object')
    }
    expect(calls('Task')).toHaveLength(1)
    expect(simulator.org.count('Task')).toBe(0)
  })
})
