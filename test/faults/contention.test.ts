import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Operation } from '../../src/contract/operation.ts'
import { defaultSettings } from '../../src/simulator/settings.ts'
import type { RequestEntry } from '../../src/simulator/start.ts'
import { concurrently, createTenant } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'
import { endedSoon } from './ended-soon.ts'
import { codes, creates, startScenario, type Scenario } from './scenario.ts'

let scenario: Scenario
/** Records that the org had, by object. */
let before: Record<string, number>

beforeAll(async () => {
  scenario = await startScenario({ groupConcurrency: 4 })
})
beforeEach(() => {
  org().requests.clear()
  before = { ...org().counts() }
})
afterEach(async () => {
  org().settings = { ...defaultSettings }
  // what one test's locks made of the concurrency is not the next one's
  await scenario.database.sql`delete from pacing`
  await scenario.expectSettled()
})
afterAll(() => scenario.stop())

const org = () => scenario.simulator.org
const written = (...objects: string[]): number[] =>
  objects.map((object) => org().count(object) - before[object]!)
const writes = (): RequestEntry[] => org().requests.list((entry) => entry.path.includes('/composite'))
const states = (operations: Operation[]): string[] => operations.map((one) => one.metadata.state)
const attemptsOf = (operations: Operation[]): number[] => operations.map((one) => one.metadata.retry.attempts)

const inFlight = (count: number): Promise<void> =>
  waitUntil(() => org().requests.totals.inFlight === count, {
    timeoutMs: 10_000,
    what: `${count} calls in flight`,
  })

/** The accounts that a call wrote or whose children it wrote. */
const parentsOf = (entry: RequestEntry): Set<unknown> =>
  new Set(
    entry.ids.map((id) => {
      const record = org().record(id!)!
      return record['AccountId'] ?? record['Id']
    }),
  )

/** Pairs of calls that were in flight at once and had a parent in common. */
const meetings = (entries: RequestEntry[]): [number, number][] =>
  entries.flatMap((one, index) =>
    entries
      .slice(index + 1)
      .filter((other) => other.startMs < one.endMs! && one.startMs < other.endMs!)
      .filter((other) => [...parentsOf(one)].some((parent) => parentsOf(other).has(parent)))
      .map((other): [number, number] => [one.seq, other.seq]),
  )

describe('children of one parent', () => {
  it('in two lanes, and their parent in a third, never meet at its lock: no two calls in flight have one parent', async () => {
    const { tenant } = scenario
    org().settings.lockParents = true
    org().settings.latencyMs = { min: 40, max: 100 }
    const parents = ['A', 'B', 'C', 'D', 'E', 'F'].map((Name) => org().create('Account', { Name }))
    const autoBatchPolicy = { maxDelaySeconds: 0.1, maxRecords: 5 }
    const ids = await concurrently(Array.from({ length: 60 }), 12, (_, index) => {
      const parent = parents[(index >> 1) % parents.length]!
      if (index % 10 === 0)
        return tenant.write('Account', { type: 'update', record: { id: parent, Name: `N${index}` } })
      return index % 2 === 0
        ? tenant.write('Contact', {
            type: 'create',
            record: { LastName: `N${index}`, AccountId: parent.slice(0, 15) },
            autoBatchPolicy,
          })
        : tenant.write('Case', {
            type: 'create',
            record: { Subject: `N${index}`, AccountId: parent },
            autoBatchPolicy,
          })
    })
    const operations = await scenario.ended(ids)
    expect([...new Set(states(operations))]).toEqual(['succeeded'])
    expect([...new Set(attemptsOf(operations))]).toEqual([1])
    expect(written('Contact', 'Case', 'Account')).toEqual([24, 30, 6])
    const made = writes()
    expect(new Set(made.flatMap((entry) => entry.objects))).toEqual(new Set(['Account', 'Contact', 'Case']))
    expect(meetings(made)).toEqual([])
    // kept apart, and not merely one at a time
    expect(org().requests.totals.maxInFlight).toBeGreaterThan(1)
  })

  it('wait for the call that has their parent, in another lane too, and the others of their lane go on', async () => {
    const { group, ended, database } = scenario
    org().settings.lockParents = true
    const [shared, free] = ['Shared', 'Free'].map((Name) => org().create('Account', { Name }))
    const gate = org().faults.hold({ operation: 'collections.create', object: 'Contact' })
    const contacts = await group('Contact', [
      { type: 'create', record: { LastName: 'Ada', AccountId: shared } },
    ])
    await gate.arrived
    const waits = await scenario.tenant.write('Case', {
      type: 'create',
      record: { Subject: 'Waits', AccountId: shared },
    })
    const goes = await scenario.tenant.write('Case', {
      type: 'create',
      record: { Subject: 'Goes', AccountId: free },
    })
    expect(states(await ended([goes]))).toEqual(['succeeded'])
    await waitUntil(
      async () => (await database.sql`select from lane where held_by = 'parent'`).length === 1,
      { timeoutMs: 10_000, what: 'the lane to be held for a parent' },
    )
    gate.release()
    const operations = await ended([...contacts, waits])
    expect([states(operations), attemptsOf(operations)]).toEqual([
      ['succeeded', 'succeeded'],
      [1, 1],
    ])
    expect(meetings(writes())).toEqual([])
  })

  it('whose parent is named in two ways meet at its lock, and what was locked out is sent again', async () => {
    const { group, attempts } = scenario
    org().settings.lockParents = true
    const AccountId = org().create('Account', { Name: 'Shared', External_Id__c: 'shared-1' })
    const gate = org().faults.hold({ operation: 'collections.create', object: 'Contact' })
    const contacts = await group(
      'Contact',
      ['Ada', 'Bob'].map((LastName) => ({ type: 'create', record: { LastName, AccountId } })),
    )
    await gate.arrived
    const cases = await group('Case', [
      { type: 'create', record: { Subject: 'Child', Account: { External_Id__c: 'shared-1' } } },
      { type: 'create', record: { Subject: 'Free' } },
    ])
    await scenario.tried(cases, 1)
    gate.release()
    const operations = await endedSoon(scenario, [...contacts, ...cases])
    expect(states(operations)).toEqual(Array(4).fill('succeeded'))
    const [ada, bob, child, free] = attemptsOf(operations)
    expect([ada, bob, free]).toEqual([1, 1, 1])
    expect(child).toBeGreaterThan(1)
    expect((await attempts(cases[0]!))[0]).toMatchObject({
      decision: 'retry',
      errors: [{ code: 'UNABLE_TO_LOCK_ROW' }],
    })
    expect(written('Contact', 'Case')).toEqual([2, 2])
    const [pace] = await scenario.database.sql`select concurrency from pacing`
    expect(pace).toEqual({ concurrency: 2 })
  })

  it('that the org lets wait for the lock pass at once, and cost no second call', async () => {
    const { group } = scenario
    org().settings.lockParents = true
    org().settings.lockWaitMs = 10_000
    const AccountId = org().create('Account', { Name: 'Shared', External_Id__c: 'shared-2' })
    const gate = org().faults.hold({ operation: 'collections.create', object: 'Contact' })
    const ids = await group('Contact', [{ type: 'create', record: { LastName: 'Ada', AccountId } }])
    await gate.arrived
    const Account = { External_Id__c: 'shared-2' }
    ids.push(...(await group('Case', [{ type: 'create', record: { Subject: 'Child', Account } }])))
    await inFlight(2)
    gate.release()
    const operations = await scenario.ended(ids)
    expect([states(operations), attemptsOf(operations)]).toEqual([
      ['succeeded', 'succeeded'],
      [1, 1],
    ])
    expect(writes()).toHaveLength(2)
  })

  it('one of which the org cannot lock fail as a whole group where it does that, and are sent again whole', async () => {
    const { group } = scenario
    org().settings.lockParents = true
    org().settings.lockFailsBatch = true
    const AccountId = org().create('Account', { Name: 'Shared', External_Id__c: 'shared-3' })
    const gate = org().faults.hold({ operation: 'collections.create', object: 'Contact' })
    const first = await group('Contact', [{ type: 'create', record: { LastName: 'Ada', AccountId } }])
    await gate.arrived
    const Account = { External_Id__c: 'shared-3' }
    const cases = await group('Case', [
      { type: 'create', record: { Subject: 'Child', Account } },
      { type: 'create', record: { Subject: 'Innocent' } },
    ])
    await scenario.tried(cases, 1)
    expect(written('Case')).toEqual([0])
    gate.release()
    const operations = await endedSoon(scenario, [...first, ...cases])
    expect(states(operations)).toEqual(Array(3).fill('succeeded'))
    expect(scenario.calls('Case').every((call) => call.recordCount === 2)).toBe(true)
    expect(written('Case')).toEqual([2])
  })
})

describe('a lock inside a trigger', () => {
  it('that hides in another code is sent again as the same group, not a smaller one', async () => {
    const { group, attempts, calls } = scenario
    org().faults.add({
      match: { operation: 'collections.create' },
      action: { type: 'recordError', canned: 'apexLock' },
    })
    const ids = await group('Contact', creates('Ada', 'Bob', 'Cyd', 'Dee'))
    const operations = await endedSoon(scenario, ids)
    expect([states(operations), attemptsOf(operations)]).toEqual([
      Array(4).fill('succeeded'),
      Array(4).fill(2),
    ])
    expect(calls('Contact').map((call) => call.recordCount)).toEqual([4, 4])
    expect((await attempts(ids[0]!))[0]).toMatchObject({
      decision: 'retry',
      errors: [{ code: 'CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY' }],
    })
    expect(written('Contact')).toEqual([4])
  })
})

describe('two upserts of one new key', () => {
  it('from two installations race, and the loser updates what the winner made', async () => {
    const { app, simulator, tenant } = scenario
    org().settings.upsertRace = true
    const other = await createTenant(app.url, simulator.url, undefined, { packing: 'none' })
    const gate = org().faults.hold({ operation: 'collections.upsert' })
    const body = (Phone: string) => ({
      type: 'upsert',
      externalIdField: 'External_Id__c',
      record: { External_Id__c: 'new', Name: 'Raced', Phone },
    })
    const first = await tenant.write('Account', body('first'))
    await gate.waitForArrivals(1)
    const second = await other.write('Account', body('second'))
    await gate.waitForArrivals(2)
    gate.release()
    const operations = await Promise.all([tenant.operation(first), other.operation(second)])
    expect(states(operations)).toEqual(['succeeded', 'succeeded'])
    expect(attemptsOf(operations).toSorted()).toEqual([1, 2])
    expect(org().find('Account', 'External_Id__c', 'new')).toHaveLength(1)
    expect(operations[0].metadata.successfulRecordIds).toEqual(operations[1].metadata.successfulRecordIds)
  })

  it('that the org refuses twice is no race, and fails with the provider’s word', async () => {
    const { group } = scenario
    org().faults.add({
      match: { operation: 'collections.upsert' },
      times: 2,
      action: {
        type: 'recordError',
        statusCode: 'DUPLICATE_VALUE',
        message: 'duplicate value found: Case_Key__c duplicates value on record with id: 001',
      },
    })
    const record = { External_Id__c: 'k', Name: 'Clash' }
    const ids = await group('Account', [{ type: 'upsert', externalIdField: 'External_Id__c', record }])
    const operations = await endedSoon(scenario, ids)
    expect([states(operations), attemptsOf(operations), codes(operations[0]!)]).toEqual([
      ['failed'],
      [2],
      ['DUPLICATE_VALUE'],
    ])
    expect(written('Account')).toEqual([0])
  })
})
