import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Operation } from '../../src/contract/operation.ts'
import type { FaultAction } from '../../src/simulator/start.ts'
import { endedSoon } from './ended-soon.ts'
import { codes, startScenario, type Scenario } from './scenario.ts'

/** Whose Contacts' departments are written on update only where there is none yet. */
let scenario: Scenario
const CALL_MS = 1_500

beforeAll(async () => {
  const selectedFieldSettings = { Department: { writeOnUpdate: 'ifEmpty' } }
  scenario = await startScenario(
    { providerTimeoutMs: CALL_MS },
    { packing: 'none' },
    { Contact: { objectName: 'Contact', selectedFieldSettings } },
  )
})
beforeEach(() => scenario.simulator.org.requests.clear())
afterEach(() => scenario.expectSettled())
afterAll(() => scenario.stop())

const org = () => scenario.simulator.org
const states = (operations: Operation[]): string[] => operations.map((one) => one.metadata.state)
const attemptsOf = (operations: Operation[]): number[] => operations.map((one) => one.metadata.retry.attempts)
const made = (): string[] =>
  org()
    .requests.list()
    .map((entry) => entry.operation)
    .filter((one) => one !== 'token')

/** Two Contacts, of which the first has a department. */
const contacts = (): string[] => [
  org().create('Contact', { LastName: 'Filled', Department: 'Sales' }),
  org().create('Contact', { LastName: 'Empty' }),
]

/** Updates them as one group, with a third that names no department. */
async function update(ids: string[], Department = 'New'): Promise<string[]> {
  const plain = org().create('Contact', { LastName: 'Plain' })
  const records = [...ids.map((id) => ({ id, Phone: '7', Department })), { id: plain, Phone: '7' }]
  const operations: string[] = []
  for (const record of records)
    operations.push(
      await scenario.tenant.write('Contact', {
        type: 'update',
        record,
        autoBatchPolicy: { maxDelayMinutes: 60, maxRecords: records.length },
      }),
    )
  return operations
}

const departments = (ids: string[]): unknown[] => ids.map((id) => org().record(id)!['Department'])
const phones = (ids: string[]): unknown[] => ids.map((id) => org().record(id)!['Phone'])

describe('fields that are written only where there is no value, and the read before it', () => {
  it('costs one call for the whole group', async () => {
    const ids = contacts()
    expect(states(await scenario.ended(await update(ids)))).toEqual(Array(3).fill('succeeded'))
    expect(departments(ids)).toEqual(['Sales', 'New'])
    expect(phones(ids)).toEqual(['7', '7'])
    expect(made()).toEqual(['collections.retrieve', 'collections.update'])
  })

  it('of upserts is one query, whose pages are all read', async () => {
    org().settings.queryPageSize = 2
    const keys = ['a', 'b', 'c', 'd', 'e']
    for (const [index, key] of keys.entries())
      org().create('Contact', {
        LastName: key,
        External_Id__c: key,
        Department: index % 2 === 0 ? 'Sales' : null,
      })
    const ids: string[] = []
    for (const key of keys)
      ids.push(
        await scenario.tenant.write('Contact', {
          type: 'upsert',
          externalIdField: 'External_Id__c',
          record: { External_Id__c: key, LastName: key, Department: 'New' },
          autoBatchPolicy: { maxDelayMinutes: 60, maxRecords: keys.length },
        }),
      )
    expect(states(await scenario.ended(ids))).toEqual(Array(5).fill('succeeded'))
    expect(keys.map((key) => org().find('Contact', 'External_Id__c', key)[0]!['Department'])).toEqual([
      'Sales',
      'New',
      'Sales',
      'New',
      'Sales',
    ])
    expect(made()).toEqual(['query', 'query', 'query', 'collections.upsert'])
    org().settings.queryPageSize = 2000
  })

  it('that is refused for good fails the writes that need it, and no other of the group', async () => {
    org().faults.add({
      match: { operation: 'collections.retrieve' },
      action: {
        type: 'status',
        status: 400,
        body: [{ errorCode: 'INVALID_FIELD', message: 'No such column Department' }],
      },
    })
    const ids = contacts()
    const operations = await scenario.ended(await update(ids))
    expect(states(operations)).toEqual(['failed', 'failed', 'succeeded'])
    expect(operations.map(codes)).toEqual([['INVALID_FIELD'], ['INVALID_FIELD'], []])
    expect([departments(ids), phones(ids)]).toEqual([
      ['Sales', null],
      [null, null],
    ])
    expect(made()).toEqual(['collections.retrieve', 'collections.update'])
  })

  it.each(['totalRequests', 'concurrentRequests', 'concurrentLongTxn'] as const)(
    'that a limit turns away (%s) keeps the whole group from being written, and spends nothing',
    async (canned) => {
      org().faults.add({
        match: { operation: 'collections.retrieve' },
        action: { type: 'status', canned },
      })
      const ids = contacts()
      const writes = await update(ids)
      await scenario.deferred(writes)
      expect(made()).toEqual(['collections.retrieve'])
      await scenario.hurry()
      const operations = await scenario.ended(writes)
      expect([states(operations), attemptsOf(operations)]).toEqual([
        Array(3).fill('succeeded'),
        Array(3).fill(1),
      ])
      expect(departments(ids)).toEqual(['Sales', 'New'])
      expect(made()).toEqual(['collections.retrieve', 'collections.retrieve', 'collections.update'])
    },
  )

  it.each<[string, FaultAction]>([
    ['dropped', { type: 'dropAfter' }],
    ['cut off', { type: 'cutAnswer' }],
    ['never given', { type: 'hang' }],
    ['a log-in page', { type: 'html200' }],
    ['a gateway’s page', { type: 'status', canned: 'badGatewayHtml' }],
    ['of another shape', { type: 'wrongShape' }],
  ])(
    'whose answer is %s writes nothing and leaves nothing in doubt: the group goes again',
    async (_, action) => {
      org().faults.add({ match: { operation: 'collections.retrieve' }, action })
      const ids = contacts()
      const operations = await endedSoon(scenario, await update(ids))
      expect([states(operations), attemptsOf(operations)]).toEqual([
        Array(3).fill('succeeded'),
        Array(3).fill(2),
      ])
      expect(departments(ids)).toEqual(['Sales', 'New'])
      expect(made()).toEqual(['collections.retrieve', 'collections.retrieve', 'collections.update'])
    },
  )

  it('that meets an ended session goes on with a new one', async () => {
    org().sessions.expireAll()
    const ids = contacts()
    const operations = await scenario.ended(await update(ids))
    expect([states(operations), attemptsOf(operations)]).toEqual([
      Array(3).fill('succeeded'),
      Array(3).fill(1),
    ])
    expect(departments(ids)).toEqual(['Sales', 'New'])
    expect(made()).toEqual(['collections.retrieve', 'collections.retrieve', 'collections.update'])
  })
})
