import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { codes, creates, startScenario, type Scenario } from './scenario.ts'

let scenario: Scenario

beforeAll(async () => {
  scenario = await startScenario()
})
afterAll(() => scenario.stop())

describe('a write that is retried until its deadline', () => {
  it('fails with the provider’s last error, after one more try, and the others of its group do not wait for it', async () => {
    const { simulator, database, group, ended, tried, hurry, attempts, calls, expectSettled } = scenario
    const locked = { operation: 'collections.create', recordMatches: { field: 'LastName', value: 'Bob' } }
    const lock = { type: 'recordError', statusCode: 'UNABLE_TO_LOCK_ROW' } as const
    simulator.org.faults.add({ match: locked, action: { ...lock, message: 'locked at first' } })
    simulator.org.faults.add({ match: locked, times: 1, action: { ...lock, message: 'locked at last' } })
    const gate = simulator.org.faults.hold({ operation: 'collections.create' })
    const ids = await group('Contact', creates('Ada', 'Bob'))
    await gate.arrived
    // the time of the first try is known by now, so it is the second that comes too late
    await database.sql`update write set deadline_at = now() - interval '1 s' where id = ${ids[1]!}`
    gate.release()
    await tried(ids, 1)
    await hurry()
    const [ada, bob] = await ended(ids)
    expect(ada).toMatchObject({ status: 'success', metadata: { retry: { attempts: 1 } } })
    expect(bob).toMatchObject({
      status: 'failure',
      metadata: { state: 'failed', retry: { attempts: 2, nextAttempt: null } },
      result: expect.stringContaining('locked at last') as string,
    })
    expect(codes(bob!)).toEqual(['UNABLE_TO_LOCK_ROW'])
    expect(await attempts(ids[1]!)).toMatchObject([
      { number: 1, decision: 'retry' },
      { number: 2, decision: 'failed' },
    ])
    expect(calls('Contact').map((call) => call.recordCount)).toEqual([2, 1])
    expect(simulator.org.count('Contact')).toBe(1)
    await expectSettled()
  })
})
