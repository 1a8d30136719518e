import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { errorTable } from '../../src/providers/salesforce/error-table.ts'
import { waitUntil } from '../support/wait-until.ts'
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
afterEach(() => scenario.expectSettled())
afterAll(() => scenario.stop())

const written = (): number => scenario.simulator.org.count('Contact') - before
const sizes = (): number[] => scenario.calls('Contact').map((call) => call.recordCount)

/** Gives the records with these last names errors with those codes, as often as told. */
const strike = (code: string, times = 1): void => {
  scenario.simulator.org.faults.add({
    match: { operation: 'collections.create', recordMatches: { field: 'LastName', value: code } },
    times,
    action: { type: 'recordError', statusCode: code, message: `says ${code}`, fields: ['LastName'] },
  })
}

const listed = [...errorTable].map(([code, row]) => ({ code, ...row }))
const permanent = listed.filter((row) => row.item === 'permanent').map((row) => row.code)
const passing = listed.filter((row) => row.item === 'transient' || row.item === 'again')

describe('a record’s own error', () => {
  it('that is permanent fails that record with its code, text and fields, and no other, after one call', async () => {
    const bad = [...permanent, 'A_CODE_THAT_NOBODY_LISTED']
    expect(bad.length).toBeGreaterThan(40)
    for (const code of bad) strike(code)
    const operations = await scenario.ended(await scenario.group('Contact', creates(...bad, 'Good')))
    expect(operations.map((one) => one.metadata.state)).toEqual([...bad.map(() => 'failed'), 'succeeded'])
    for (const [index, code] of bad.entries()) {
      expect(operations[index]!.metadata).toMatchObject({
        retry: { attempts: 1, nextAttempt: null },
        records: [{ success: false, errors: [{ code, message: `says ${code}`, fields: ['LastName'] }] }],
      })
    }
    expect(sizes()).toEqual([bad.length + 1])
    expect(written()).toBe(1)
  })

  it('that can pass is sent again: locks, windows, overload, and what another’s error undid', async () => {
    const names = passing.map((row) => row.code)
    expect(names).toEqual(
      expect.arrayContaining([
        'UNABLE_TO_LOCK_ROW',
        'QUERY_TIMEOUT',
        'UNKNOWN_EXCEPTION',
        'INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE',
        'TXN_SECURITY_METERING_ERROR',
        'PROCESSING_HALTED',
      ]),
    )
    for (const name of names) strike(name)
    const ids = await scenario.group('Contact', creates('Good', ...names))
    const operations = await endedSoon(scenario, ids)
    expect(operations.map((one) => one.metadata.state)).toEqual(Array(names.length + 1).fill('succeeded'))
    expect(operations.map((one) => one.metadata.retry.attempts)).toEqual([1, ...names.map(() => 2)])
    expect(written()).toBe(names.length + 1)
    for (const [index, name] of names.entries()) {
      expect(await scenario.attempts(ids[index + 1]!)).toMatchObject([
        { number: 1, decision: 'retry', errors: [{ code: name }] },
        { number: 2, decision: 'succeeded' },
      ])
    }
  })

  it('is tried as often as its code is worth, and then fails', async () => {
    const bounded = passing.filter((row) => row.maxRetries !== undefined)
    expect(bounded.map((row) => [row.code, row.maxRetries]).toSorted()).toEqual([
      ['API_CURRENTLY_DISABLED', 3],
      ['INTERNAL_ERROR', 1],
      ['QUERY_TIMEOUT', 3],
      ['UNKNOWN_EXCEPTION', 1],
    ])
    for (const row of bounded) strike(row.code, row.maxRetries! + 1)
    const names = bounded.map((row) => row.code)
    const operations = await endedSoon(scenario, await scenario.group('Contact', creates(...names)))
    expect(operations.map((one) => one.metadata.state)).toEqual(names.map(() => 'failed'))
    expect(operations.map((one) => one.metadata.retry.attempts)).toEqual(
      bounded.map((row) => row.maxRetries! + 1),
    )
    expect(operations.map(codes)).toEqual(names.map((name) => [name]))
    expect(written()).toBe(0)
  })

  it('that is about the session or a limit of the org was not written, and is sent again', async () => {
    const names = listed
      .filter((row) => row.item === 'auth' || row.item === 'throttled')
      .map((row) => row.code)
    for (const name of names) strike(name)
    const operations = await endedSoon(scenario, await scenario.group('Contact', creates('Good', ...names)))
    expect(operations.map((one) => one.metadata.state)).toEqual(Array(names.length + 1).fill('succeeded'))
    expect(written()).toBe(names.length + 1)
  })

  it('that names a limit of the org leaves the org alone: it is not sent on and on', async () => {
    const { group, simulator, database, hurry } = scenario
    simulator.org.faults.add({
      match: { operation: 'collections.create' },
      times: 0,
      action: {
        type: 'recordError',
        statusCode: 'REQUEST_LIMIT_EXCEEDED',
        message: 'TotalRequests Limit exceeded.',
      },
    })
    const ids = await group('Contact', creates('Ada', 'Bob'))
    try {
      await waitUntil(
        async () => (await database.sql`select from lane where held_by = 'limit'`).length === 1,
        { timeoutMs: 10_000, what: 'the lane to be held for the limit' },
      )
    } finally {
      simulator.org.faults.clear()
      await hurry()
      await scenario.ended(ids)
    }
    const operations = await scenario.ended(ids)
    expect(operations.map((one) => [one.metadata.state, one.metadata.retry.attempts])).toEqual(
      Array(2).fill(['succeeded', 1]),
    )
    expect(sizes()).toEqual([2, 2])
  })

  it('of several at once fails it as soon as one of them is permanent, and all are told', async () => {
    const { tenant, simulator } = scenario
    const id = await tenant.write('Contact', {
      type: 'create',
      record: { LastName: 'x'.repeat(81), Email: 'nobody', Score__c: -1 },
    })
    const [operation] = await scenario.ended([id])
    expect(operation!.metadata.state).toBe('failed')
    expect(codes(operation!)).toEqual(['STRING_TOO_LONG', 'INVALID_EMAIL_ADDRESS'])
    expect(simulator.org.count('Contact')).toBe(before)
  })
})

describe('a request’s error', () => {
  /** Refuses the request that carries the record of this last name. */
  const refuse = (code: string, status = 400): void => {
    scenario.simulator.org.faults.add({
      match: { operation: 'collections.create', recordMatches: { field: 'LastName', value: code } },
      action: { type: 'status', status, body: [{ errorCode: code, message: `says ${code}` }] },
    })
  }
  /** Each in a call of its own. */
  const singly = async (names: string[]) =>
    (
      await Promise.all(
        names.map((LastName) => scenario.group('Contact', [{ type: 'create', record: { LastName } }])),
      )
    ).flat()

  it('that is permanent fails what the request carried, with its code, after one call', async () => {
    const refusals = [
      ...listed.filter((row) => row.request === 'permanent').map((row) => row.code),
      'A_CODE_THAT_NOBODY_LISTED',
    ]
    for (const code of refusals) refuse(code)
    const operations = await scenario.ended(await singly(refusals))
    expect(operations.map((one) => [one.metadata.state, codes(one), one.metadata.retry.attempts])).toEqual(
      refusals.map((code) => ['failed', [code], 1]),
    )
    expect(sizes()).toEqual(refusals.map(() => 1))
    expect(written()).toBe(0)
  })

  it('that is not known, under a status that is the org’s own fault, leaves creates in doubt', async () => {
    refuse('A_CODE_THAT_NOBODY_LISTED', 500)
    const [operation] = await scenario.ended(await singly(['A_CODE_THAT_NOBODY_LISTED']))
    expect(operation!.metadata.state).toBe('in_doubt')
    expect(codes(operation!)).toEqual(['OUTCOME_UNKNOWN', 'A_CODE_THAT_NOBODY_LISTED'])
    expect(sizes()).toEqual([1])
  })

  it('that can pass is sent again', async () => {
    const names = listed
      .filter((row) => row.request === 'transient' || row.request === 'again')
      .map((row) => row.code)
    for (const name of names) refuse(name, 503)
    const operations = await endedSoon(scenario, await singly(names))
    expect(operations.map((one) => [one.metadata.state, one.metadata.retry.attempts])).toEqual(
      names.map(() => ['succeeded', 2]),
    )
    expect(written()).toBe(names.length)
  })
})
