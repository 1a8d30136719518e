import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startSimulator, type Simulator } from '../../src/simulator/start.ts'
import { creates, startScenario, type Scenario } from './scenario.ts'

let scenario: Scenario
let again: Simulator | undefined

beforeEach(async () => {
  again = undefined
  scenario = await startScenario()
})
afterEach(async () => {
  await scenario.stop()
  await again?.close()
})

const upsert = (key: string): Record<string, unknown> => ({
  type: 'upsert',
  externalIdField: 'External_Id__c',
  record: { External_Id__c: key, Name: key },
})

describe('an org that cannot be reached', () => {
  it('loses nothing and puts no create in doubt: all of it was provably not sent, and is when it is back', async () => {
    const { simulator, group, ended, tried, hurry, attempts, tenant, expectSettled } = scenario
    await ended(await group('Account', [upsert('before')]))
    await simulator.close()
    // an upsert first: a socket that was just closed may still look open to one call, which costs a create its outcome
    const first = await group('Account', [upsert('first')])
    await tried(first, 1)
    const ids = await group('Contact', creates('Ada', 'Bob', 'Cyd'))
    await tried(ids, 1)
    for (const id of ids) expect((await tenant.operation(id, 0)).status).toBe('in_progress')
    again = await startSimulator({ port: Number(new URL(simulator.url).port) })
    await hurry()
    const operations = await ended([...first, ...ids])
    expect(operations.map((one) => one.status)).toEqual(Array(4).fill('success'))
    expect(again.org.records('Contact').map((record) => record['LastName'])).toEqual(['Ada', 'Bob', 'Cyd'])
    expect(again.org.find('Account', 'External_Id__c', 'first')).toHaveLength(1)
    const history = await attempts(ids[0]!)
    expect(history.at(0)).toMatchObject({ answer: 'not_sent', errors: [{ code: 'ECONNREFUSED' }] })
    expect(history.at(-1)).toMatchObject({ answer: 'answered', decision: 'succeeded' })
    expect(operations[1]!.metadata.retry.attempts).toBe(history.length)
    await expectSettled()
  })
})
