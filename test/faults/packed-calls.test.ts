import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Operation } from '../../src/contract/operation.ts'
import type { FaultAction, RequestEntry } from '../../src/simulator/start.ts'
import { endedSoon } from './ended-soon.ts'
import { codes, creates, startScenario, type Scenario } from './scenario.ts'
import { oneStory } from '../support/one-story.ts'

let scenario: Scenario
let before: Record<string, number>

const start = async (): Promise<void> => {
  scenario = await startScenario({}, { packing: 'riders' })
}
const strike = (action: FaultAction, times = 1): void => {
  scenario.simulator.org.faults.add({ match: { operation: 'composite' }, times, action })
}

/** Calls that wrote, or tried to. */
const writes = (): RequestEntry[] =>
  scenario.simulator.org.requests.list((entry) => entry.path.includes('/composite'))
const operationsOf = (): string[] => writes().map((entry) => entry.operation)
const written = (): Record<string, number> => {
  const now = scenario.simulator.org.counts()
  return Object.fromEntries(['Contact', 'Lead', 'Account'].map((name) => [name, now[name]! - before[name]!]))
}

let keys = 0

/** Two creates of Leads and two upserts of Accounts wait, and the Contacts whose group is due take them along. */
async function postPacked(): Promise<{ contacts: string[]; leads: string[]; accounts: string[] }> {
  const { tenant, group } = scenario
  const later = { maxDelayMinutes: 60 }
  const leads: string[] = []
  const accounts: string[] = []
  for (const name of ['Ada', 'Bob']) {
    keys += 1
    const record = { LastName: name, Company: 'C' }
    leads.push(await tenant.write('Lead', { type: 'create', record, autoBatchPolicy: later }))
    accounts.push(
      await tenant.write('Account', {
        type: 'upsert',
        externalIdField: 'External_Id__c',
        record: { External_Id__c: `key-${keys}`, Name: name },
        autoBatchPolicy: later,
      }),
    )
  }
  return { leads, accounts, contacts: await group('Contact', creates('Cyd', 'Dee')) }
}

const states = (operations: Operation[]): string[] => operations.map((one) => one.metadata.state)
const attemptsOf = (operations: Operation[]): number[] => operations.map((one) => one.metadata.retry.attempts)

beforeAll(start)
beforeEach(() => {
  const { org } = scenario.simulator
  org.requests.clear()
  before = { ...org.counts() }
})
afterEach(async () => {
  await scenario.expectSettled()
})
afterAll(() => scenario.stop())

describe('calls that carry several groups', oneStory, () => {
  describe('a packed call', () => {
    it('whose answer lacks one group leaves that group alone in doubt', async () => {
      strike({ type: 'forgetPart', index: 1 })
      const { contacts, leads, accounts } = await postPacked()
      const [atContacts, atLeads, atAccounts] = [
        await scenario.ended(contacts),
        await endedSoon(scenario, leads),
        await endedSoon(scenario, accounts),
      ]
      const lost = states(atLeads)[0] === 'in_doubt' ? atLeads : atContacts
      expect([...states(atContacts), ...states(atLeads), ...states(atAccounts)].sort()).toEqual([
        'in_doubt',
        'in_doubt',
        ...Array<string>(4).fill('succeeded'),
      ])
      expect(codes(lost[0]!)).toEqual(['OUTCOME_UNKNOWN', 'ANSWER_MISMATCH'])
      expect(written()).toEqual({ Contact: 2, Lead: 2, Account: 2 })
      expect(operationsOf()).toEqual(['composite'])
    })

    it.each([
      ['a server error', { type: 'status', canned: 'serverErrorHtml', when: 'after' }, 'UNEXPECTED_HTML'],
      [
        'a gateway’s time-out',
        { type: 'status', canned: 'gatewayTimeoutHtml', when: 'after' },
        'UNEXPECTED_HTML',
      ],
      [
        'an overloaded edge’s page',
        { type: 'status', canned: 'unavailableHtml', when: 'after' },
        'UNEXPECTED_HTML',
      ],
      [
        'an empty server error',
        { type: 'status', canned: 'emptyServerError', when: 'after' },
        'EMPTY_ANSWER',
      ],
      ['an answer without subresponses', { type: 'wrongShape' }, 'UNREADABLE_ANSWER'],
      ['half an answer', { type: 'cutAnswer' }, null],
    ] as const)(
      'that %s follows after the commit: creates in doubt, upserts sent again',
      async (_, action, code) => {
        strike(action)
        const { contacts, leads, accounts } = await postPacked()
        const operations = await scenario.ended([...contacts, ...leads])
        expect(states(operations)).toEqual(Array(4).fill('in_doubt'))
        if (code !== null) for (const one of operations) expect(codes(one)).toEqual(['OUTCOME_UNKNOWN', code])
        const again = await endedSoon(scenario, accounts)
        expect([states(again), attemptsOf(again)]).toEqual([
          ['succeeded', 'succeeded'],
          [2, 2],
        ])
        expect(written()).toEqual({ Contact: 2, Lead: 2, Account: 2 })
        expect(operationsOf()).toEqual(['composite', 'collections.upsert'])
      },
    )

    it('of which nothing ran, and says so, is sent again whole', async () => {
      const halted = [{ errorCode: 'PROCESSING_HALTED', message: 'The transaction was rolled back' }]
      const parts = ['g0', 'g1', 'g2'].map((referenceId) => ({
        referenceId,
        httpStatusCode: 400,
        httpHeaders: {},
        body: halted,
      }))
      strike({ type: 'status', status: 200, body: { compositeResponse: parts } })
      const { contacts, leads, accounts } = await postPacked()
      const operations = await endedSoon(scenario, [...contacts, ...leads, ...accounts])
      expect([states(operations), attemptsOf(operations)]).toEqual([
        Array(6).fill('succeeded'),
        Array(6).fill(2),
      ])
      expect(written()).toEqual({ Contact: 2, Lead: 2, Account: 2 })
      expect((await scenario.attempts(contacts[0]!))[0]).toMatchObject({
        decision: 'retry',
        errors: [{ code: 'PROCESSING_HALTED' }],
      })
    })

    it('that one record’s lock is met in sends that record again, and nothing else', async () => {
      const { org } = scenario.simulator
      org.faults.add({
        match: { operation: 'collections.create', recordMatches: { field: 'LastName', value: 'Dee' } },
        action: { type: 'recordError', canned: 'lockedRow' },
      })
      const { contacts, leads, accounts } = await postPacked()
      const operations = await endedSoon(scenario, [...contacts, ...leads, ...accounts])
      expect([states(operations), attemptsOf(operations)]).toEqual([
        Array(6).fill('succeeded'),
        [1, 2, 1, 1, 1, 1],
      ])
      expect(written()).toEqual({ Contact: 2, Lead: 2, Account: 2 })
      expect(writes().map((entry) => [entry.operation, entry.recordCount])).toEqual([
        ['composite', 6],
        ['collections.create', 1],
      ])
    })

    it('with an item too few in one group leaves that group in doubt, and believes the others', async () => {
      strike({ type: 'forgetRecord', index: 0 })
      const { contacts, leads, accounts } = await postPacked()
      const operations = await endedSoon(scenario, [...contacts, ...leads, ...accounts])
      expect(states(operations).toSorted()).toEqual([
        'in_doubt',
        'in_doubt',
        ...Array<string>(4).fill('succeeded'),
      ])
      expect(written()).toEqual({ Contact: 2, Lead: 2, Account: 2 })
      expect(operationsOf()).toEqual(['composite'])
    })

    it('that meets an ended session goes again whole with a new one', async () => {
      strike({ type: 'expireSessions' })
      const { minted } = scenario.simulator.org.sessions
      const { contacts, leads, accounts } = await postPacked()
      const operations = await scenario.ended([...contacts, ...leads, ...accounts])
      expect([states(operations), attemptsOf(operations)]).toEqual([
        Array(6).fill('succeeded'),
        Array(6).fill(1),
      ])
      expect(writes().map((entry) => [entry.operation, entry.status])).toEqual([
        ['composite', 401],
        ['composite', 200],
      ])
      expect(scenario.simulator.org.sessions.minted).toBe(minted + 1)
    })

    it('that a limit turns away costs none of its groups a try', async () => {
      const { hurry, deferred } = scenario
      strike({ type: 'status', canned: 'concurrentRequests' })
      const { contacts, leads, accounts } = await postPacked()
      const ids = [...contacts, ...leads, ...accounts]
      await deferred(ids)
      await hurry()
      const operations = await scenario.ended(ids)
      expect([states(operations), attemptsOf(operations)]).toEqual([
        Array(6).fill('succeeded'),
        Array(6).fill(1),
      ])
      expect(written()).toEqual({ Contact: 2, Lead: 2, Account: 2 })
    })

    it('that is refused as malformed goes as one call for each group', async () => {
      const body = [{ errorCode: 'INVALID_BATCH_REQUEST', message: 'no' }]
      strike({ type: 'status', status: 400, body })
      const { contacts, leads, accounts } = await postPacked()
      const operations = await scenario.ended([...contacts, ...leads, ...accounts])
      expect([states(operations), attemptsOf(operations)]).toEqual([
        Array(6).fill('succeeded'),
        Array(6).fill(1),
      ])
      expect(operationsOf().toSorted()).toEqual([
        'collections.create',
        'collections.create',
        'collections.upsert',
        'composite',
      ])
    })

    it('has the write headers on each of its groups, and none on the call', async () => {
      const { tenant, simulator, group } = scenario
      const options = { runAssignmentRules: false }
      simulator.org.defineAssignmentRule({ object: 'Lead', assign: { field: 'Rating', value: 'Hot' } })
      const leads = []
      for (const body of [{ options }, {}])
        leads.push(
          await tenant.write('Lead', {
            type: 'create',
            record: { LastName: 'Ada', Company: 'C' },
            autoBatchPolicy: { maxDelayMinutes: 60 },
            ...body,
          }),
        )
      const contacts = await group('Contact', creates('Cyd'))
      const operations = await scenario.ended([...leads, ...contacts])
      expect(operationsOf()).toEqual(['composite'])
      const ratings = operations
        .slice(0, 2)
        .map((one) => simulator.org.record(one.metadata.successfulRecordIds[0]!)!['Rating'])
      expect(ratings).toEqual([null, 'Hot'])
      const [call] = writes()
      expect(call!.headers).toEqual({})
      expect(call!.parts!.map((part) => part.headers).filter((one) => Object.keys(one).length > 0)).toEqual([
        { 'sforce-auto-assign': 'FALSE' },
      ])
    })
  })

  describe('an org without composite calls', () => {
    it.each(['forbidden', 'absent'] as const)(
      '(%s) is asked once, and gets a call for each group',
      async (access) => {
        await scenario.stop()
        await start()
        const { org } = scenario.simulator
        before = { ...org.counts() }
        org.settings.compositeAccess = access
        for (const round of [1, 2]) {
          const { contacts, leads, accounts } = await postPacked()
          const operations = await scenario.ended([...contacts, ...leads, ...accounts])
          expect([states(operations), attemptsOf(operations)]).toEqual([
            Array(6).fill('succeeded'),
            Array(6).fill(1),
          ])
          expect(operationsOf().filter((one) => one === 'composite')).toHaveLength(1)
          expect(operationsOf()).toHaveLength(1 + 3 * round)
        }
        expect(written()).toEqual({ Contact: 4, Lead: 4, Account: 4 })
      },
    )
  })
})
