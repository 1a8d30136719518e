import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { FaultAction } from '../../src/simulator/start.ts'
import { codes, creates, startScenario, type Scenario } from './scenario.ts'

let scenario: Scenario
/** Long enough for any call that is answered, short enough to wait for one that is not. */
const CALL_MS = 2_000

beforeAll(async () => {
  scenario = await startScenario({ providerTimeoutMs: CALL_MS })
})
afterEach(async () => {
  expect((await fetch(`${scenario.app.url}/healthz`)).status).toBe(200)
  await scenario.expectSettled()
})
afterAll(() => scenario.stop())

interface Case {
  name: string
  action: FaultAction
  /** Whether the org had written by then. */
  written: boolean
  /** What the operation tells of it, behind OUTCOME_UNKNOWN; a socket's end has more than one name. */
  code?: string
}

const cases: Case[] = [
  { name: 'cut off midway', action: { type: 'cutAnswer' }, written: true },
  { name: 'dropped after the commit', action: { type: 'dropAfter' }, written: true },
  { name: 'dropped before anything ran', action: { type: 'dropBefore' }, written: false },
  { name: 'never given', action: { type: 'hang', when: 'after' }, written: true, code: 'TIMEOUT' },
  {
    name: 'a gateway’s page after the commit',
    action: { type: 'status', canned: 'badGatewayHtml', when: 'after' },
    written: true,
    code: 'UNEXPECTED_HTML',
  },
  {
    name: 'an overloaded edge’s page after the commit',
    action: { type: 'status', canned: 'unavailableHtml', when: 'after' },
    written: true,
    code: 'UNEXPECTED_HTML',
  },
  {
    name: 'a gateway’s time-out page',
    action: { type: 'status', canned: 'gatewayTimeoutHtml' },
    written: false,
    code: 'UNEXPECTED_HTML',
  },
  {
    name: 'a server error’s page after the commit',
    action: { type: 'status', canned: 'serverErrorHtml', when: 'after' },
    written: true,
    code: 'UNEXPECTED_HTML',
  },
  {
    name: 'a page with status 500',
    action: { type: 'status', status: 500, body: '<html><body>Sorry</body></html>' },
    written: false,
    code: 'UNEXPECTED_HTML',
  },
  {
    name: 'status 500 without a body',
    action: { type: 'status', canned: 'emptyServerError', when: 'after' },
    written: true,
    code: 'EMPTY_ANSWER',
  },
  {
    name: 'the platform’s own fault',
    action: { type: 'status', canned: 'unknownException', when: 'after' },
    written: true,
    code: 'UNKNOWN_EXCEPTION',
  },
  { name: 'a log-in page with 200', action: { type: 'html200' }, written: false, code: 'UNEXPECTED_HTML' },
  {
    name: 'JSON of another shape',
    action: { type: 'wrongShape' },
    written: true,
    code: 'UNREADABLE_ANSWER',
  },
  {
    name: 'one record short',
    action: { type: 'forgetRecord', index: 0 },
    written: true,
    code: 'NO_ANSWER_FOR_RECORD',
  },
]

describe.each(cases)('an answer that is $name', ({ action, written, code }) => {
  it('leaves creates in doubt: never a success, never sent again', async () => {
    const { simulator, group, ended, calls } = scenario
    const before = { calls: calls('Contact').length, records: simulator.org.count('Contact') }
    simulator.org.faults.add({ match: { operation: 'collections.create', object: 'Contact' }, action })
    const operations = await ended(await group('Contact', creates('Ada', 'Bob', 'Cyd')))
    for (const operation of operations) {
      expect(operation).toMatchObject({
        status: 'failure',
        metadata: { state: 'in_doubt', retry: { attempts: 1, nextAttempt: null }, successfulRecordIds: [] },
      })
      expect(codes(operation)[0]).toBe('OUTCOME_UNKNOWN')
      if (code !== undefined) expect(codes(operation)[1]).toBe(code)
    }
    // the lane's next group goes out alone
    const [next] = await ended(await group('Contact', creates('Next')))
    expect(next!.status).toBe('success')
    expect(
      calls('Contact')
        .slice(before.calls)
        .map((call) => call.recordCount),
    ).toEqual([3, 1])
    expect(simulator.org.count('Contact')).toBe(before.records + (written ? 4 : 1))
  })

  it('lets updates and upserts succeed by being sent again, without a second record', async () => {
    const { simulator, group, ended, calls, attempts } = scenario
    const ids = ['Ada', 'Bob'].map((Name) => simulator.org.create('Account', { Name }))
    const before = { calls: calls('Account').length, records: simulator.org.count('Account') }
    const key = `key-${before.calls}`
    for (const operation of ['collections.update', 'collections.upsert'])
      simulator.org.faults.add({ match: { operation, object: 'Account' }, action })
    const [updates, upserts] = await Promise.all([
      group(
        'Account',
        ids.map((id, index) => ({ type: 'update', record: { id, Name: `Changed ${index}` } })),
      ),
      group(
        'Account',
        [0, 1].map((index) => ({
          type: 'upsert',
          externalIdField: 'External_Id__c',
          record: { External_Id__c: `${key}-${index}`, Name: `Upserted ${index}` },
        })),
      ),
    ])
    const operations = await ended([...updates, ...upserts])
    expect(operations.map((one) => one.status)).toEqual(Array(4).fill('success'))
    expect(operations.map((one) => one.metadata.retry.attempts)).toEqual([2, 2, 2, 2])
    const made = calls('Account').slice(before.calls)
    expect(made.map((call) => `${call.operation} ${call.recordCount}`).sort()).toEqual([
      'collections.update 2',
      'collections.update 2',
      'collections.upsert 2',
      'collections.upsert 2',
    ])
    ids.forEach((id, index) => {
      expect(simulator.org.record(id)).toMatchObject({ Name: `Changed ${index}` })
    })
    expect(simulator.org.count('Account')).toBe(before.records + 2)
    for (const index of [0, 1]) {
      const found = simulator.org.find('Account', 'External_Id__c', `${key}-${index}`)
      expect(found).toMatchObject([{ Name: `Upserted ${index}` }])
      expect(operations[2 + index]!.metadata.successfulRecordIds).toEqual([found[0]!['Id']])
    }
    expect(await attempts(updates[0]!)).toMatchObject([
      { number: 1, decision: 'retry' },
      { number: 2, decision: 'succeeded' },
    ])
  })
})

describe('a refusal before the org', () => {
  it('is safe to try again, for creates too: an edge that knew no route', async () => {
    const { simulator, group, ended, calls } = scenario
    simulator.org.faults.add({
      match: { operation: 'collections.create', object: 'Task' },
      action: { type: 'status', canned: 'noRoute' },
    })
    const bodies = ['Ada', 'Bob'].map((Subject) => ({ type: 'create', record: { Subject } }))
    const operations = await ended(await group('Task', bodies))
    expect(operations.map((one) => one.status)).toEqual(['success', 'success'])
    expect(calls('Task').map((call) => [call.status, call.recordCount])).toEqual([
      [420, 2],
      [200, 2],
    ])
    expect(simulator.org.count('Task')).toBe(2)
  })

  it('is never a success when it redirects: a new session, the new host, one record', async () => {
    const { simulator, group, ended, calls } = scenario
    const { minted } = simulator.org.sessions
    simulator.org.faults.add({
      match: { operation: 'collections.create', object: 'Case' },
      action: { type: 'redirect', location: 'https://login.salesforce.com/' },
    })
    const bodies = ['Ada', 'Bob'].map((Subject) => ({ type: 'create', record: { Subject } }))
    const operations = await ended(await group('Case', bodies))
    expect(operations.map((one) => one.status)).toEqual(['success', 'success'])
    expect(calls('Case').map((call) => call.status)).toEqual([302, 200])
    expect(simulator.org.sessions.minted).toBe(minted + 1)
    expect(simulator.org.count('Case')).toBe(2)
  })
})
