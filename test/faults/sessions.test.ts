import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { FaultAction } from '../../src/simulator/start.ts'
import { waitUntil } from '../support/wait-until.ts'
import { endedSoon } from './ended-soon.ts'
import { creates, startScenario, type Scenario } from './scenario.ts'

let scenario: Scenario

beforeEach(async () => {
  scenario = await startScenario()
  const [operation] = await scenario.ended(await scenario.group('Contact', creates('First')))
  expect(operation!.status).toBe('success')
  expect(scenario.simulator.org.sessions.minted).toBe(1)
})
afterEach(async () => {
  try {
    await scenario.expectSettled()
  } finally {
    await scenario.stop()
  }
})

const tokenCalls = (): number =>
  scenario.simulator.org.requests.list((entry) => entry.operation === 'token').length

describe('a session that ends', () => {
  it('is opened anew once, and the group that met it is sent again', async () => {
    const { simulator, group, ended, calls } = scenario
    simulator.org.sessions.expireAll()
    const operations = await ended(await group('Contact', creates('Ada', 'Bob', 'Cyd')))
    expect(operations.map((one) => one.status)).toEqual(Array(3).fill('success'))
    expect(calls('Contact').map((call) => [call.status, call.recordCount])).toEqual([
      [200, 1],
      [401, 3],
      [200, 3],
    ])
    expect(simulator.org.sessions.minted).toBe(2)
    expect(simulator.org.count('Contact')).toBe(4)
  })

  it('by its age is opened anew once, and so is one that ends just as the call arrives', async () => {
    const { simulator, group, ended, calls } = scenario
    const { org } = simulator
    org.advanceTime((org.settings.sessionSeconds + 1) * 1000)
    expect((await ended(await group('Contact', creates('Ada')))).map((one) => one.status)).toEqual([
      'success',
    ])
    expect(org.sessions.minted).toBe(2)
    org.faults.add({ match: { operation: 'collections' }, action: { type: 'expireSessions' } })
    const [operation] = await ended(await group('Contact', creates('Bob')))
    expect(operation).toMatchObject({ status: 'success', metadata: { retry: { attempts: 1 } } })
    expect(org.sessions.minted).toBe(3)
    expect(calls('Contact').map((call) => call.status)).toEqual([200, 401, 200, 401, 200])
    expect(org.count('Contact')).toBe(3)
  })

  it('under several groups in flight is opened anew once for all of them', async () => {
    const { simulator, group, ended, calls } = scenario
    const gate = simulator.org.faults.hold({ operation: 'collections.create' })
    const objects = ['Contact', 'Case', 'Task', 'Account']
    const bodies = (object: string): Record<string, unknown>[] => {
      const field = object === 'Contact' ? 'LastName' : object === 'Account' ? 'Name' : 'Subject'
      return ['Ada', 'Bob'].map((value) => ({ type: 'create', record: { [field]: value } }))
    }
    const ids = (await Promise.all(objects.map((object) => group(object, bodies(object))))).flat()
    await gate.waitForArrivals(objects.length)
    simulator.org.sessions.expireAll()
    gate.release()
    const operations = await ended(ids)
    expect(operations.map((one) => one.status)).toEqual(Array(8).fill('success'))
    expect(simulator.org.sessions.minted).toBe(2)
    expect(tokenCalls()).toBe(2)
    for (const object of objects) {
      const last = calls(object).slice(-2)
      expect(last.map((call) => [call.status, call.recordCount])).toEqual([
        [401, 2],
        [200, 2],
      ])
    }
    expect(simulator.org.counts()).toMatchObject({ Contact: 3, Case: 2, Task: 2, Account: 2 })
  })

  it('and that nobody may open again breaks the connection: writes wait, and nothing is spent on them', async () => {
    const { simulator, tenant, database, group, ended, calls, tried } = scenario
    const { sql } = database
    const fault = simulator.org.faults.add({
      match: { operation: 'token' },
      times: 0,
      action: { type: 'invalidGrant' },
    })
    simulator.org.sessions.expireAll()
    const spent = simulator.org.apiUsed
    const met = await group('Contact', creates('Ada', 'Bob'))
    await tried(met, 1)
    await waitUntil(async () => (await sql`select 1 from connection where status = 'broken'`).length === 1, {
      timeoutMs: 5_000,
      what: 'the connection to be broken',
    })
    const tokens = tokenCalls()
    const before = calls('Contact').length
    const waiting = await group('Contact', creates('Cyd', 'Dee', 'Eve'))
    // the lane has been looked at since, and was put off
    await waitUntil(
      async () => (await sql`select 1 from lane where due_at > now() + interval '5 s'`).length === 1,
      { timeoutMs: 5_000, what: 'the lane to be held' },
    )
    for (const id of [...met, ...waiting]) {
      const operation = await tenant.operation(id, 0)
      expect(operation).toMatchObject({ status: 'in_progress', metadata: { state: 'queued' } })
    }
    for (const id of met) {
      expect((await tenant.operation(id, 0)).result).toMatch(/NO_WORKING_CONNECTION.*invalid_grant/)
    }
    expect(calls('Contact')).toHaveLength(before)
    expect(tokenCalls()).toBe(tokens)
    expect(simulator.org.apiUsed).toBe(spent)
    expect(simulator.org.count('Contact')).toBe(1)

    // mended, everything leaves
    simulator.org.faults.remove(fault)
    await sql`update connection set status = 'working', status_reason = null`
    await sql`update lane set due_at = now() where due_at is not null`
    const operations = await ended([...met, ...waiting])
    expect(operations.map((one) => one.status)).toEqual(Array(5).fill('success'))
    expect(simulator.org.count('Contact')).toBe(6)
  })
})

describe('a login host', () => {
  const limit = { error: 'rate_limit_exceeded', error_description: 'too many logins' }

  it.each<[string, FaultAction]>([
    ['that drops the call', { type: 'dropBefore' }],
    ['that drops its answer', { type: 'dropAfter' }],
    ['that shows a page', { type: 'status', canned: 'unavailableHtml' }],
    ['that fails inside', { type: 'status', canned: 'emptyServerError' }],
    ['that limits log-ins', { type: 'status', status: 400, body: limit }],
    ['that takes its time', { type: 'delay', ms: 50 }],
  ])('%s breaks no connection: what waits for the session goes once there is one', async (_, action) => {
    const { simulator, group, database } = scenario
    simulator.org.sessions.expireAll()
    simulator.org.faults.add({ match: { operation: 'token' }, action })
    const operations = await endedSoon(scenario, await group('Contact', creates('Ada', 'Bob')))
    expect(operations.map((one) => one.status)).toEqual(['success', 'success'])
    expect(simulator.org.count('Contact')).toBe(3)
    expect([...(await database.sql`select status from connection`)]).toEqual([{ status: 'working' }])
  })
})
