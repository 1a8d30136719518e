import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { FaultAction } from '../../src/simulator/start.ts'
import { interaction, postInteraction, queueInteraction } from '../support/engagement.ts'
import { concurrently } from '../support/service.ts'
import { codes, startScenario, type Scenario } from './scenario.ts'

let scenario: Scenario
/** Long enough for any call that is answered, short enough to wait for one that is not. */
const CALL_MS = 1_500

beforeAll(async () => {
  scenario = await startScenario({ providerTimeoutMs: CALL_MS })
})
afterEach(() => scenario.expectSettled())
afterAll(() => scenario.stop())

const org = () => scenario.simulator.org
const withKey = (key: string) => org().find('EngagementInteraction', 'ExternalIdentifierId', key)
const sends = (key?: string): number =>
  org().requests.list(
    ({ operation, parts, keys }) =>
      (operation === 'engagement.create' || parts?.some((part) => part.operation === 'engagement.create')) ===
        true &&
      (key === undefined || keys.includes(key)),
  ).length
const lookUps = (key: string): number =>
  org().requests.list((entry) => entry.operation === 'query' && entry.keys.includes(key)).length

const strike = (action: FaultAction, operation = 'engagement', times = 1): void =>
  void org().faults.add({ match: { operation }, action, times })

interface Said {
  operationId: string
  code?: string
  result?: { success: boolean; recordId?: string; data: unknown }
  errors?: { code: string }[]
}
const post = (part: Record<string, unknown>, seconds = 20) =>
  postInteraction<Said>(
    scenario.tenant,
    { engagementInteraction: interaction(part) },
    { 'request-timeout': String(seconds) },
  )
const state = async (id: string): Promise<string> => (await scenario.tenant.operation(id)).metadata.state

/** Lets the answers of all tries so far have been lost long ago. */
const letTimePass = async (): Promise<void> => {
  await scenario.database
    .sql`update batch set ended_at = ended_at - interval '11 minutes' where state = 'ended'`
}

const lost: [name: string, action: FaultAction, isWritten: boolean, status: number][] = [
  ['dropped after the commit', { type: 'dropAfter' }, true, 502],
  ['dropped before anything ran', { type: 'dropBefore' }, false, 502],
  ['cut off midway', { type: 'cutAnswer' }, true, 502],
  ['never given', { type: 'hang', when: 'after' }, true, 504],
  ['JSON of another shape', { type: 'wrongShape' }, true, 502],
  [
    'a gateway’s page after the commit',
    { type: 'status', canned: 'badGatewayHtml', when: 'after' },
    true,
    502,
  ],
]

describe('an interaction without an external id, whose answer is lost', () => {
  it.each(lost)('is in doubt and never sent again (%s)', async (_, action, isWritten, status) => {
    const before = { sends: sends(), records: org().count('EngagementInteraction') }
    strike(action)
    const answer = await post({})
    expect([answer.status, answer.body.code]).toEqual([status, 'OUTCOME_UNKNOWN'])
    expect(await state(answer.body.operationId)).toBe('in_doubt')
    strike(action)
    const queued = await queueInteraction(scenario.tenant, {})
    const operation = await scenario.tenant.operation(queued)
    expect(operation.metadata).toMatchObject({ state: 'in_doubt', retry: { attempts: 1 } })
    expect(codes(operation)[0]).toBe('OUTCOME_UNKNOWN')
    expect(sends() - before.sends).toBe(2)
    expect(org().count('EngagementInteraction') - before.records).toBe(isWritten ? 2 : 0)
  })
})

describe('an interaction with an external id, whose answer is lost', () => {
  it.each(lost.filter(([, , isWritten]) => isWritten))(
    'is found, and sent once (%s)',
    async (name, action) => {
      strike(action)
      const now = await post({ externalIdentifierId: `now ${name}` })
      const [record, ...others] = withKey(`now ${name}`)
      expect([now.status, others]).toEqual([200, []])
      expect(now.body.result).toMatchObject({ success: true, recordId: record!.Id, data: { Id: record!.Id } })
      strike(action)
      const queued = await queueInteraction(scenario.tenant, { externalIdentifierId: `later ${name}` })
      const operation = await scenario.tenant.operation(queued)
      expect(operation.metadata).toMatchObject({
        state: 'succeeded',
        successfulRecordIds: withKey(`later ${name}`).map(({ Id }) => Id),
        records: [{ created: true }],
      })
      expect([sends(`now ${name}`), sends(`later ${name}`)]).toEqual([1, 1])
      expect([lookUps(`now ${name}`), lookUps(`later ${name}`)]).toEqual([1, 1])
    },
  )

  it('and that is not there is looked for again, and sent again only 10 minutes later', async () => {
    strike({ type: 'dropBefore' })
    const id = await queueInteraction(scenario.tenant, { externalIdentifierId: 'gone' })
    for (const attempts of [2, 3, 4]) {
      await scenario.tried([id], attempts)
      await scenario.hurry()
    }
    expect(sends('gone')).toBe(1)
    expect(lookUps('gone')).toBeGreaterThanOrEqual(3)
    await letTimePass()
    await scenario.hurry()
    expect(await state(id)).toBe('succeeded')
    expect([sends('gone'), withKey('gone').length]).toEqual([2, 1])
    const decisions = (await scenario.attempts(id)).map((one) => one['decision'])
    expect([decisions[0], decisions.at(-1)]).toEqual(['retry', 'succeeded'])
  })

  it('while its request is still running, is not sent beside it', async () => {
    const gate = org().faults.hold({ operation: 'engagement' })
    const id = await queueInteraction(scenario.tenant, { externalIdentifierId: 'slow' })
    await scenario.tried([id], 2)
    expect(withKey('slow')).toEqual([])
    gate.release()
    await scenario.hurry()
    expect(await state(id)).toBe('succeeded')
    expect([sends('slow'), withKey('slow').length]).toEqual([1, 1])
  })

  it('and that is not found in a synchronous call’s time is left to the queue, which goes on with it', async () => {
    strike({ type: 'dropBefore' })
    const answer = await post({ externalIdentifierId: 'late' }, 2)
    expect([answer.status, answer.body.code]).toEqual([504, 'STILL_TRYING'])
    expect(sends('late')).toBe(1)
    expect(lookUps('late')).toBeGreaterThanOrEqual(1)
    await letTimePass()
    await scenario.hurry()
    expect(await state(answer.body.operationId)).toBe('succeeded')
    expect([sends('late'), withKey('late').length]).toEqual([2, 1])
  })

  it('is in doubt once its deadline has passed without a word', async () => {
    strike({ type: 'dropBefore' })
    const id = await queueInteraction(scenario.tenant, { externalIdentifierId: 'expired' })
    await scenario.tried([id], 1)
    await scenario.database.sql`update write set deadline_at = now() where id = ${id}`
    await scenario.hurry()
    const operation = await scenario.tenant.operation(id)
    expect([operation.metadata.state, codes(operation)[0]]).toEqual(['in_doubt', 'OUTCOME_UNKNOWN'])
    expect([sends('expired'), withKey('expired').length]).toEqual([1, 0])
  })

  it('is in doubt when the org cannot look it up, and is sent again by hand all the same', async () => {
    const refusal: FaultAction = {
      type: 'status',
      status: 400,
      body: [{ errorCode: 'INVALID_FIELD', message: "No such column 'ExternalIdentifierId'" }],
    }
    strike({ type: 'dropBefore' })
    strike(refusal, 'query', 2)
    const id = await queueInteraction(scenario.tenant, { externalIdentifierId: 'unseen' })
    const operation = await scenario.tenant.operation(id)
    expect([operation.metadata.state, codes(operation)]).toEqual([
      'in_doubt',
      ['OUTCOME_UNKNOWN', 'LOOK_UP_FAILED'],
    ])
    expect(sends('unseen')).toBe(1)
    const { projectId, call } = scenario.tenant
    expect((await call('POST', `/v1/projects/${projectId}/operations/${id}:retry`)).status).toBe(200)
    expect(await state(id)).toBe('succeeded')
    expect([sends('unseen'), withKey('unseen').length]).toEqual([2, 1])
  })

  it('is in doubt when the org has more than one of it', async () => {
    const record = { ExternalIdentifierId: 'twice', CommunicationChannel: 'Web Chat' }
    org().create('EngagementInteraction', record)
    strike({ type: 'dropAfter' })
    const answer = await post({ externalIdentifierId: 'twice' })
    expect([answer.status, answer.body.code]).toEqual([502, 'OUTCOME_UNKNOWN'])
    expect(await state(answer.body.operationId)).toBe('in_doubt')
    expect([sends('twice'), withKey('twice').length]).toEqual([1, 2])
  })

  it('is not taken for another whose id differs in its letter case', async () => {
    org().create('EngagementInteraction', { ExternalIdentifierId: 'CASE', CommunicationChannel: 'Web Chat' })
    strike({ type: 'dropBefore' })
    const id = await queueInteraction(scenario.tenant, { externalIdentifierId: 'case' })
    expect(await state(id)).toBe('in_doubt')
    expect([sends('case'), withKey('case').length]).toEqual([1, 0])
  })

  it('is found by hand where it is there: a retry writes no second one', async () => {
    strike({ type: 'dropAfter' })
    strike({ type: 'status', canned: 'unknownException' }, 'query', 0)
    const id = await queueInteraction(scenario.tenant, { externalIdentifierId: 'by hand' })
    await scenario.tried([id], 1)
    await scenario.database.sql`update write set deadline_at = now() where id = ${id}`
    await scenario.hurry()
    expect(await state(id)).toBe('in_doubt')
    org().faults.clear()
    const { projectId, call } = scenario.tenant
    await call('POST', `/v1/projects/${projectId}/operations/${id}:retry`)
    expect(await state(id)).toBe('succeeded')
    expect([sends('by hand'), withKey('by hand').length]).toEqual([1, 1])
  })

  it('that the org does not show, and refuses as a duplicate when it is sent again, is in doubt', async () => {
    org().settings.engagementRepeat = 'conflict'
    try {
      strike({ type: 'dropAfter' })
      strike({ type: 'wrongShape', body: { totalSize: 0, done: true, records: [] } }, 'query', 2)
      const id = await queueInteraction(scenario.tenant, { externalIdentifierId: 'hidden' })
      await scenario.tried([id], 2)
      await letTimePass()
      await scenario.hurry()
      const operation = await scenario.tenant.operation(id)
      expect([operation.metadata.state, codes(operation)]).toEqual([
        'in_doubt',
        ['OUTCOME_UNKNOWN', 'DUPLICATE_VALUE'],
      ])
      expect([sends('hidden'), withKey('hidden').length]).toEqual([2, 1])
      const repeated = await post({ externalIdentifierId: 'hidden' })
      expect(repeated).toMatchObject({ status: 422, body: { errors: [{ code: 'DUPLICATE_VALUE' }] } })
    } finally {
      org().settings.engagementRepeat = 'second'
    }
  })

  it('keeps the next of its id back until it is settled', async () => {
    strike({ type: 'dropBefore' })
    const first = await queueInteraction(scenario.tenant, { externalIdentifierId: 'chain', reason: 'first' })
    await scenario.tried([first], 1)
    const second = await queueInteraction(scenario.tenant, {
      externalIdentifierId: 'chain',
      reason: 'second',
    })
    await scenario.tried([first], 2)
    expect((await scenario.tenant.operation(second, 0)).metadata.state).toBe('queued')
    await letTimePass()
    await scenario.hurry()
    expect(await state(second)).toBe('succeeded')
    expect(withKey('chain').map((record) => record['Reason'])).toEqual(['first', 'second'])
  })

  it('is looked up with a new session when the old one has ended, and through limits', async () => {
    const actions: [key: string, action: FaultAction][] = [
      ['session', { type: 'expireSessions' }],
      ['limit', { type: 'status', canned: 'concurrentRequests' }],
    ]
    for (const [key, action] of actions) {
      strike({ type: 'dropAfter' })
      strike(action, 'query')
      const id = await queueInteraction(scenario.tenant, { externalIdentifierId: key })
      if (key === 'limit') {
        await scenario.deferred([id])
        await scenario.hurry()
      }
      expect(await state(id)).toBe('succeeded')
      expect([sends(key), withKey(key).length]).toEqual([1, 1])
    }
  })
})

describe('a group of interactions', () => {
  const group = (keys: (string | null)[]): Promise<string[]> =>
    concurrently(keys, 1, (key) =>
      queueInteraction(scenario.tenant, key === null ? {} : { externalIdentifierId: key }, {
        autoBatchPolicy: { maxDelayMinutes: 60, maxRecords: keys.length },
      }),
    )
  const states = async (ids: string[]): Promise<string[]> =>
    (await scenario.ended(ids)).map((operation) => operation.metadata.state)

  it.each(lost)('without external ids is in doubt as a whole (%s)', async (_, action) => {
    const before = sends()
    strike(action)
    expect(await states(await group([null, null, null]))).toEqual(['in_doubt', 'in_doubt', 'in_doubt'])
    expect(sends() - before).toBe(1)
  })

  it('is found by one look-up, and one that is a result short is not believed', async () => {
    strike({ type: 'forgetRecord', index: 0 })
    const ids = await group(['g1', 'g2', 'g3'])
    expect(await states(ids)).toEqual(['succeeded', 'succeeded', 'succeeded'])
    const operations = await scenario.ended(ids)
    expect(operations.map((operation) => operation.metadata.successfulRecordIds)).toEqual(
      ['g1', 'g2', 'g3'].map((key) => withKey(key).map(({ Id }) => Id)),
    )
    expect([sends('g1'), lookUps('g1'), lookUps('g3')]).toEqual([1, 1, 1])
    strike({ type: 'forgetRecord', index: 0 })
    expect(await states(await group([null, null]))).toEqual(['in_doubt', 'in_doubt'])
  })

  it('sends those that are new beside those that are looked up', async () => {
    strike({ type: 'dropBefore' })
    const old = await group(['old1', 'old2'])
    await scenario.tried(old, 1)
    org().create('EngagementInteraction', { ExternalIdentifierId: 'old1', CommunicationChannel: 'Web Chat' })
    const [fresh] = await group(['new'])
    await scenario.hurry()
    expect(await states([old[0]!, fresh!])).toEqual(['succeeded', 'succeeded'])
    expect((await scenario.tenant.operation(old[1]!, 0)).metadata.state).toBe('queued')
    await letTimePass()
    await scenario.hurry()
    expect(await states([old[1]!])).toEqual(['succeeded'])
    expect(['old1', 'old2', 'new'].map((key) => [withKey(key).length, sends(key)])).toEqual([
      [1, 1],
      [1, 2],
      [1, 1],
    ])
  })
})
