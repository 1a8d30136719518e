import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Operation } from '../../src/contract/operation.ts'
import type { CannedAnswer } from '../../src/simulator/canned-answers.ts'
import type { FaultAction } from '../../src/simulator/start.ts'
import { caller } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'
import { endWaits, endedSoon } from './ended-soon.ts'
import { codes, creates, startScenario, type Scenario } from './scenario.ts'

let scenario: Scenario
/** Contacts that the org had. */
let before: number

beforeAll(async () => {
  scenario = await startScenario(
    {},
    { packing: 'none' },
    {
      Contact: { objectName: 'Contact' },
      Lead: { objectName: 'Lead', deletionSettings: { enabled: true } },
    },
  )
  await scenario.ended(await scenario.group('Contact', creates('First')))
})
beforeEach(() => {
  org().requests.clear()
  before = org().count('Contact')
})
afterEach(() => {
  org().settings = { ...org().settings, storageFullFor: [], viewAllData: true }
  return scenario.expectSettled()
})
afterAll(() => scenario.stop())

const org = () => scenario.simulator.org
const written = (): number => org().count('Contact') - before
const states = (operations: Operation[]): string[] => operations.map((one) => one.metadata.state)
const attemptsOf = (operations: Operation[]): number[] => operations.map((one) => one.metadata.retry.attempts)

describe('an org that is full', () => {
  it('fails creates with its word, and still takes updates', async () => {
    const { group, ended } = scenario
    const id = org().create('Contact', { LastName: 'Old' })
    org().settings.storageFullFor = ['Contact']
    const created = await group('Contact', creates('Ada', 'Bob'))
    const updated = await group('Contact', [{ type: 'update', record: { id, LastName: 'New' } }])
    const operations = await ended([...created, ...updated])
    expect(states(operations)).toEqual(['failed', 'failed', 'succeeded'])
    expect(codes(operations[0]!)).toEqual(['STORAGE_LIMIT_EXCEEDED'])
    expect(attemptsOf(operations)).toEqual([1, 1, 1])
    expect(written()).toBe(1)
    expect(org().record(id)).toMatchObject({ LastName: 'New' })
  })
})

describe('maintenance', () => {
  it.each<[string, FaultAction]>([
    ['of each record', { type: 'recordError', canned: 'maintenance' }],
    ['of the whole request', { type: 'status', canned: 'maintenance' }],
  ])('that is said %s is waited out, and then everything is written, each once', async (_, action) => {
    org().faults.add({ match: { operation: 'collections' }, times: 2, action })
    const { group, attempts } = scenario
    const ids = await group('Contact', creates('Ada', 'Bob', 'Cyd'))
    const operations = await endedSoon(scenario, ids)
    expect([states(operations), attemptsOf(operations)]).toEqual([
      Array(3).fill('succeeded'),
      Array(3).fill(3),
    ])
    expect(written()).toBe(3)
    expect((await attempts(ids[0]!))[0]).toMatchObject({
      decision: 'retry',
      errors: [{ code: 'INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE' }],
    })
  })
})

describe('an API that is disabled for now', () => {
  const disabled: FaultAction = {
    type: 'status',
    status: 403,
    body: [{ errorCode: 'API_CURRENTLY_DISABLED', message: 'API is currently disabled' }],
  }

  it.each([
    [3, 'succeeded', 4, 1],
    [4, 'failed', 4, 0],
  ] as const)('for %i calls: %s', async (times, state, attempts, records) => {
    org().faults.add({ match: { operation: 'collections' }, times, action: disabled })
    const operations = await endedSoon(scenario, await scenario.group('Contact', creates('Ada')))
    expect([states(operations), attemptsOf(operations)]).toEqual([[state], [attempts]])
    expect(codes(operations[0]!)).toEqual(state === 'failed' ? ['API_CURRENTLY_DISABLED'] : [])
    expect(written()).toBe(records)
  })
})

describe('an org that no session helps with', () => {
  const redirect: FaultAction = { type: 'redirect', location: 'https://login.salesforce.com/' }
  const canned = (name: CannedAnswer): FaultAction => ({ type: 'status', canned: name })

  it.each<[string, FaultAction]>([
    ['has no API', canned('apiDisabled')],
    ['bars the session from it', canned('sessionNotForRest')],
    ['refuses every session', canned('invalidSession')],
    ['is elsewhere', redirect],
  ])(
    'since it %s: the connection is broken, nothing is lost, and all leaves when it is mended',
    async (_, action) => {
      const { group, tenant, app, database } = scenario
      const { minted } = org().sessions
      const refusal = org().faults.add({ match: { operation: 'collections' }, times: 0, action })
      const ids = await group('Contact', creates('Ada', 'Bob'))
      await waitUntil(
        async () => {
          await endWaits(scenario, ids)
          const rows = await database.sql`
          select from connection
          where status = 'broken' and not exists (select from write where state = 'sending')`
          return rows.length === 1
        },
        { timeoutMs: 10_000, what: 'the connection to be broken' },
      )
      expect(org().sessions.minted - minted).toBeLessThanOrEqual(3)
      for (const id of ids)
        expect((await tenant.operation(id, 0)).metadata).toMatchObject({ state: 'queued' })
      const answer = await tenant.post<{ status: number }>('Contact', {
        type: 'create',
        record: { LastName: 'Now' },
      })
      expect(answer.status).toBe(424)

      org().faults.remove(refusal)
      const path = `/v1/projects/${tenant.projectId}/connections/${tenant.connectionId}`
      const mended = await caller(app.url)('PATCH', path, {
        credentials: {
          type: 'oauth2-client-credentials',
          clientId: 'writeback-demo',
          clientSecret: 'demo-secret',
          loginUrl: scenario.simulator.url,
        },
      })
      expect(mended.status).toBe(200)
      expect(states(await endedSoon(scenario, ids))).toEqual(['succeeded', 'succeeded'])
      expect(written()).toBe(2)
    },
  )
})

describe('a key that is not unique', () => {
  const upsert = (key: string) => ({
    type: 'upsert',
    externalIdField: 'Region_Key__c',
    record: { Region_Key__c: key, LastName: 'Upserted' },
  })

  it('fails the upsert that finds several records, and no other', async () => {
    for (const LastName of ['One', 'Two']) org().create('Contact', { LastName, Region_Key__c: 'EU' })
    const operations = await scenario.ended(await scenario.group('Contact', [upsert('EU'), upsert('US')]))
    expect(states(operations)).toEqual(['failed', 'succeeded'])
    expect(codes(operations[0]!)).toEqual(['DUPLICATE_EXTERNAL_ID'])
    expect(org().find('Contact', 'LastName', 'Upserted')).toHaveLength(1)
  })

  it('fails every upsert where the user may not see all data', async () => {
    org().settings.viewAllData = false
    const operations = await scenario.ended(await scenario.group('Contact', [upsert('EU'), upsert('US')]))
    expect(states(operations)).toEqual(['failed', 'failed'])
    expect(operations.map(codes)).toEqual([['INSUFFICIENT_ACCESS'], ['INSUFFICIENT_ACCESS']])
    expect(scenario.calls('Contact')).toHaveLength(1)
    expect(written()).toBe(0)
  })
})

describe('a group that the org says is too big', () => {
  it('fails with that word, since it never holds more than 100 of the 200 that are allowed', async () => {
    org().faults.add({
      match: { operation: 'collections', moreThan: 3 },
      action: { type: 'status', canned: 'exceededIdLimit' },
    })
    const operations = await scenario.ended(
      await scenario.group('Contact', creates('Ada', 'Bob', 'Cyd', 'Dee')),
    )
    expect(states(operations)).toEqual(Array(4).fill('failed'))
    expect(codes(operations[0]!)).toEqual(['EXCEEDED_ID_LIMIT'])
    expect(scenario.calls('Contact')).toHaveLength(1)
  })
})

describe('an answer of 400 in which every record failed', () => {
  it('is read record by record: what is permanent fails with its own code, what can pass goes again', async () => {
    const { group, calls } = scenario
    org().faults.add({ match: { operation: 'collections' }, action: { type: 'allFailed400' } })
    org().faults.add({
      match: { operation: 'collections', recordMatches: { field: 'LastName', value: 'Locked' } },
      action: { type: 'recordError', canned: 'lockedRow' },
    })
    const bodies = [
      ...creates('Locked'),
      { type: 'create', record: { LastName: 'Bad', Email: 'nobody' } },
      { type: 'create', record: { FirstName: 'No last name' } },
    ]
    const operations = await endedSoon(scenario, await group('Contact', bodies))
    expect(states(operations)).toEqual(['succeeded', 'failed', 'failed'])
    expect(operations.map(codes)).toEqual([[], ['INVALID_EMAIL_ADDRESS'], ['REQUIRED_FIELD_MISSING']])
    expect(calls('Contact').map((call) => [call.status, call.recordCount])).toEqual([
      [400, 3],
      [200, 1],
    ])
    expect(written()).toBe(1)
  })

  it('of which there is only one is that record’s, too', async () => {
    org().faults.add({ match: { operation: 'collections' }, action: { type: 'allFailed400' } })
    const record = { LastName: 'Bad', Email: 'nobody' }
    const operations = await scenario.ended(await scenario.group('Contact', [{ type: 'create', record }]))
    expect([states(operations), codes(operations[0]!)]).toEqual([['failed'], ['INVALID_EMAIL_ADDRESS']])
    expect(operations[0]!.metadata.records[0]!.errors[0]!.fields).toEqual(['Email'])
  })

  it('and was all or none keeps the offender apart from the innocent', async () => {
    org().faults.add({ match: { operation: 'collections' }, action: { type: 'allFailed400' } })
    const allOrNone = { maxDelayMinutes: 60, maxRecords: 2, allOrNone: true }
    const operations = await scenario.ended(
      await scenario.group('Contact', [
        { ...creates('Innocent')[0]!, autoBatchPolicy: allOrNone },
        { type: 'create', record: { FirstName: 'Offender' }, autoBatchPolicy: allOrNone },
      ]),
    )
    expect(operations.map(codes)).toEqual([['ALL_OR_NONE_OPERATION_ROLLED_BACK'], ['REQUIRED_FIELD_MISSING']])
    expect(written()).toBe(0)
    expect(scenario.calls('Contact').map((call) => call.status)).toEqual([400])
  })
})

describe('a record that is gone', () => {
  it('fails its update, and a delete has what it asked for', async () => {
    const { ended, group } = scenario
    const id = org().create('Lead', { LastName: 'Gone', Company: 'C' })
    const first = await ended(await group('Lead', [{ type: 'delete', record: { id } }]))
    const second = await ended(await group('Lead', [{ type: 'delete', record: { id } }]))
    const [update] = await ended(await group('Lead', [{ type: 'update', record: { id, LastName: 'Late' } }]))
    expect([...states(first), ...states(second)]).toEqual(['succeeded', 'succeeded'])
    expect([update!.metadata.state, codes(update!)]).toEqual(['failed', ['ENTITY_IS_DELETED']])
    expect(scenario.calls('Lead').map((call) => call.operation)).toEqual([
      'collections.delete',
      'collections.delete',
      'collections.update',
    ])
    expect(org().count('Lead')).toBe(0)
  })
})
