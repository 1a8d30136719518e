import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Operation } from '../../src/contract/operation.ts'
import { codes, creates, startScenario, type Scenario } from './scenario.ts'

let scenario: Scenario
let before: number

beforeAll(async () => {
  scenario = await startScenario()
})
beforeEach(() => {
  const { org } = scenario.simulator
  org.settings.duplicateResultKey = 'byVersion'
  org.table('Contact')!.duplicateRules = []
  org.requests.clear()
})
afterEach(() => scenario.expectSettled())
afterAll(() => scenario.stop())

const org = () => scenario.simulator.org
const states = (operations: Operation[]): string[] => operations.map((one) => one.metadata.state)
const made = (): string[] =>
  org()
    .requests.list()
    .map((entry) => entry.operation)
    .filter((one) => one !== 'token')

const defineRule = (action: 'alert' | 'block'): void =>
  org().defineDuplicateRule({ object: 'Contact', name: 'Same e-mail', fields: ['Email'], action })

let serial = 0
/** Existing Contacts with one e-mail address of their own. */
function existing(count: number): { ids: string[]; Email: string } {
  serial += 1
  const Email = `twin-${serial}@example.com`
  const ids = Array.from({ length: count }, () => org().create('Contact', { LastName: 'Old', Email }))
  // what was there before a rule is compared with, but not looked at itself
  defineRule('alert')
  before = org().count('Contact')
  return { ids, Email }
}

const force = { options: { forceUpdateOnCollision: true } }

const withOptions = (options: object, ...bodies: Record<string, unknown>[]) =>
  bodies.map((body) => ({ ...body, ...options }))

describe('forceUpdateOnCollision', () => {
  it.each(['duplicateResut', 'duplicateResult'] as const)(
    'updates the one record that the rule found, which the org spells %s, and creates the others',
    async (key) => {
      org().settings.duplicateResultKey = key
      const { ids, Email } = existing(1)
      const [first, last] = creates('Ada', 'Cyd')
      const match = { type: 'create', record: { LastName: 'Updated', Email, Phone: '5' } }
      const operations = await scenario.ended(
        await scenario.group('Contact', withOptions(force, first!, match, last!)),
      )
      expect(states(operations)).toEqual(Array(3).fill('succeeded'))
      expect(operations[1]!.metadata).toMatchObject({
        successfulRecordIds: ids,
        records: [{ success: true, recordId: ids[0] }],
      })
      expect(org().record(ids[0]!)).toMatchObject({ LastName: 'Updated', Phone: '5', Email })
      expect(org().count('Contact')).toBe(before + 2)
      expect(made()).toEqual(['collections.create', 'single.create', 'single.update'])
    },
  )

  it('leaves several matches alone: the rule’s refusal stands', async () => {
    const { ids, Email } = existing(2)
    const operations = await scenario.ended(
      await scenario.group(
        'Contact',
        withOptions(force, { type: 'create', record: { LastName: 'Which', Email } }),
      ),
    )
    expect(states(operations)).toEqual(['failed'])
    expect(codes(operations[0]!)).toEqual(['DUPLICATES_DETECTED'])
    for (const id of ids) expect(org().record(id)).toMatchObject({ LastName: 'Old' })
    expect(org().count('Contact')).toBe(before)
    expect(made()).toEqual(['collections.create', 'single.create'])
  })

  it('fails with the record’s own error where the match cannot be updated', async () => {
    const { ids, Email } = existing(1)
    org().faults.add({
      match: { operation: 'single.update' },
      action: { type: 'recordError', statusCode: 'ENTITY_IS_LOCKED', message: 'in approval' },
    })
    const [operation] = await scenario.ended(
      await scenario.group('Contact', [{ type: 'create', record: { LastName: 'New', Email }, ...force }]),
    )
    expect([operation!.metadata.state, codes(operation!)]).toEqual(['failed', ['ENTITY_IS_LOCKED']])
    expect(org().record(ids[0]!)).toMatchObject({ LastName: 'Old' })
  })

  it('leaves in doubt whose update was lost on the way back, and touches it no more', async () => {
    const { ids, Email } = existing(1)
    org().faults.add({ match: { operation: 'single.update' }, action: { type: 'dropAfter' } })
    const body = { type: 'create', record: { LastName: 'Lost', Email }, ...force }
    const [operation] = await scenario.ended(await scenario.group('Contact', [body]))
    expect(operation!.metadata.state).toBe('in_doubt')
    expect(codes(operation!)[0]).toBe('OUTCOME_UNKNOWN')
    expect(org().record(ids[0]!)).toMatchObject({ LastName: 'Lost' })
    expect(org().count('Contact')).toBe(before)
    expect(made()).toEqual(['collections.create', 'single.create', 'single.update'])
  })
})

describe('a duplicate rule', () => {
  it('without any option fails its own record, and no other', async () => {
    const { Email } = existing(1)
    const [good] = creates('Good')
    const operations = await scenario.ended(
      await scenario.group('Contact', [{ type: 'create', record: { LastName: 'Twin', Email } }, good!]),
    )
    expect(states(operations)).toEqual(['failed', 'succeeded'])
    expect(codes(operations[0]!)).toEqual(['DUPLICATES_DETECTED'])
    expect(made()).toEqual(['collections.create'])
  })

  it('that only warns lets pass what allowDuplicates sends; one that blocks does not', async () => {
    const { Email } = existing(1)
    const body = { type: 'create', record: { LastName: 'Twin', Email }, options: { allowDuplicates: true } }
    const [saved] = await scenario.ended(await scenario.group('Contact', [body]))
    defineRule('block')
    const [blocked] = await scenario.ended(await scenario.group('Contact', [body]))
    expect([saved!.metadata.state, blocked!.metadata.state]).toEqual(['succeeded', 'failed'])
    expect(codes(blocked!)).toEqual(['DUPLICATES_DETECTED'])
    expect(org().count('Contact')).toBe(before + 1)
  })
})
