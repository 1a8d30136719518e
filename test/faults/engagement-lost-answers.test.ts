import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Operation } from '../../src/contract/operation.ts'
import type { FaultAction, RequestEntry } from '../../src/simulator/start.ts'
import { interaction, postInteraction, queueInteraction } from '../support/engagement.ts'
import { concurrently, createTenant, type Answer } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'
import { codes, startScenario, type Scenario } from './scenario.ts'
import { oneStory } from '../support/one-story.ts'

let scenario: Scenario
/** Long enough for any call that is answered, short enough to wait for one that is not. */
const CALL_MS = 1_500

beforeAll(async () => {
  // Waits between tries are drawn from nothing up to their bound: so low, the first is none, and the next grow.
  vi.spyOn(Math, 'random').mockReturnValue(0.0009)
  scenario = await startScenario({ providerTimeoutMs: CALL_MS })
  // All that waits for the end of a call's time waits for it together.
  ;[plain, groups, keyed, slow] = await Promise.all([
    loseEach(lost, 'reason'),
    loseGroups(),
    loseEach(written, 'externalIdentifierId'),
    loseWhileRunning('slow'),
  ])
})
afterEach(() => scenario.expectSettled())
afterAll(async () => {
  await scenario.stop()
  vi.restoreAllMocks()
})

const org = () => scenario.simulator.org
const withKey = (key: string) => org().find('EngagementInteraction', 'ExternalIdentifierId', key)
const sends = (key: string): number =>
  org().requests.list(
    ({ operation, parts, keys }) =>
      (operation === 'engagement.create' || parts?.some((part) => part.operation === 'engagement.create')) ===
        true && keys.includes(key),
  ).length
const lookUps = (key: string): number =>
  org().requests.list((entry) => entry.operation === 'query' && entry.keys.includes(key)).length

const strike = (action: FaultAction, operation = 'engagement', times = 1): void =>
  void org().faults.add({ match: { operation }, action, times })
/** Strikes the one call that carries an interaction with this value. */
const strikeOne = (action: FaultAction, field: string, value: string): void =>
  void org().faults.add({ match: { operation: 'engagement', recordMatches: { field, value } }, action })

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
/** The operation once it has ended, without the waits before its tries. */
async function endOf(id: string): Promise<Operation> {
  let operation: Operation
  await waitUntil(
    async () => {
      await scenario.hurry()
      operation = await scenario.tenant.operation(id, 0)
      return operation.status !== 'in_progress'
    },
    { timeoutMs: 10_000, what: 'an operation to end' },
  )
  return operation!
}
const state = async (id: string): Promise<string> => (await endOf(id)).metadata.state

/** Queues one that leaves at once and alone, and follows it to its end. */
const queueAlone = async (part: Record<string, unknown>): Promise<Operation> => {
  const policy = { autoBatchPolicy: { maxDelaySeconds: 0, maxRecords: 1 } }
  return scenario.tenant.operation(await queueInteraction(scenario.tenant, part, policy))
}

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

const written = lost.filter(([, , isWritten]) => isWritten)

/** What came of a synchronous call and of one from the queue that lost their answers in the same way. */
interface Pair {
  now: Answer<Said>
  queued: Operation
}

/** Loses answers in all ways at once, each of interactions of its own: one of the ways takes as long as a call may. */
async function loseEach(ways: typeof lost, field: string): Promise<Map<string, Pair>> {
  const pairs = ways.map(async ([name, action]): Promise<[string, Pair]> => {
    for (const when of ['now', 'later']) strikeOne(action, field, `${when} ${name}`)
    const [now, queued] = await Promise.all([
      post({ [field]: `now ${name}` }),
      queueAlone({ [field]: `later ${name}` }),
    ])
    return [name, { now, queued }]
  })
  return new Map(await Promise.all(pairs))
}

/** The same of groups of three, which have a lane to themselves: each holds the next three. */
async function loseGroups(): Promise<Map<string, Operation[]>> {
  const tenant = await createTenant(scenario.app.url, scenario.simulator.url)
  const policy = { autoBatchPolicy: { maxDelayMinutes: 60, maxRecords: 3 } }
  const groups: [string, string[]][] = []
  for (const [name, action] of lost) {
    const reason = `group ${name}`
    strikeOne(action, 'reason', reason)
    groups.push([name, await concurrently([1, 2, 3], 3, () => queueInteraction(tenant, { reason }, policy))])
  }
  const ended = groups.map(async ([name, ids]): Promise<[string, Operation[]]> => [
    name,
    await Promise.all(ids.map((id) => tenant.operation(id))),
  ])
  return new Map(await Promise.all(ended))
}

/** Gives up a call that the org goes on with, and lets it run to its end once it has been looked up. */
async function loseWhileRunning(key: string): Promise<{ before: unknown[]; operation: Operation }> {
  const gate = org().faults.hold({ recordMatches: { field: 'externalIdentifierId', value: key } })
  const id = await queueInteraction(
    scenario.tenant,
    { externalIdentifierId: key },
    { autoBatchPolicy: { maxDelaySeconds: 0, maxRecords: 1 } },
  )
  await scenario.tried([id], 3)
  const before = withKey(key)
  gate.release()
  return { before, operation: await scenario.tenant.operation(id) }
}

let plain: Map<string, Pair>
let groups: Map<string, Operation[]>
let keyed: Map<string, Pair>
let slow: Awaited<ReturnType<typeof loseWhileRunning>>

describe('interactions', oneStory, () => {
  describe('interactions without an external id, whose answer is lost', () => {
    const found = (reason: string) => org().find('EngagementInteraction', 'Reason', reason)
    it.each(lost)('is in doubt and never sent again (%s)', async (name, _, isWritten, status) => {
      const { now, queued } = plain.get(name)!
      expect([now.status, now.body.code]).toEqual([status, 'OUTCOME_UNKNOWN'])
      expect(await state(now.body.operationId)).toBe('in_doubt')
      expect(queued.metadata).toMatchObject({ state: 'in_doubt', retry: { attempts: 1 } })
      expect(codes(queued)[0]).toBe('OUTCOME_UNKNOWN')
      const written = isWritten ? 1 : 0
      expect([found(`now ${name}`).length, found(`later ${name}`).length]).toEqual([written, written])
    })

    it.each(lost)('in a group is in doubt as a whole (%s)', (name, _, isWritten) => {
      const group = groups.get(name)!
      for (const { metadata } of group)
        expect(metadata).toMatchObject({ state: 'in_doubt', retry: { attempts: 1 } })
      expect(new Set(group.map(({ metadata }) => metadata.batchId)).size).toBe(1)
      expect(found(`group ${name}`)).toHaveLength(isWritten ? 3 : 0)
    })

    it('has cost one call for each of them', () => {
      const ofThem = ({ operation, keys }: RequestEntry): boolean =>
        keys.length === 0 && ['engagement.create', 'compositeBatch'].includes(operation)
      expect(org().requests.list(ofThem)).toHaveLength(3 * lost.length)
    })
  })

  describe('an interaction with an external id, whose answer is lost', () => {
    it.each(written)('is found, and sent once (%s)', (name) => {
      const { now, queued } = keyed.get(name)!
      const [record, ...others] = withKey(`now ${name}`)
      expect([now.status, others]).toEqual([200, []])
      expect(now.body.result).toMatchObject({ success: true, recordId: record!.Id, data: { Id: record!.Id } })
      expect(queued.metadata).toMatchObject({
        state: 'succeeded',
        successfulRecordIds: withKey(`later ${name}`).map(({ Id }) => Id),
        records: [{ created: true }],
      })
      expect([sends(`now ${name}`), sends(`later ${name}`)]).toEqual([1, 1])
      expect([lookUps(`now ${name}`), lookUps(`later ${name}`)]).toEqual([1, 1])
    })

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
      expect(await state(id)).toBe('succeeded')
      expect([sends('gone'), withKey('gone').length]).toEqual([2, 1])
      const decisions = (await scenario.attempts(id)).map((one) => one['decision'])
      expect([decisions[0], decisions.at(-1)]).toEqual(['retry', 'succeeded'])
    })

    it('while its request is still running, is not sent beside it', () => {
      expect(slow.before).toEqual([])
      expect(slow.operation.metadata.state).toBe('succeeded')
      expect([sends('slow'), withKey('slow').length]).toEqual([1, 1])
    })

    it('and that is not found in a synchronous call’s time is left to the queue, which goes on with it', async () => {
      strike({ type: 'dropBefore' })
      const answer = await post({ externalIdentifierId: 'late' }, 1)
      expect([answer.status, answer.body.code]).toEqual([504, 'STILL_TRYING'])
      expect(sends('late')).toBe(1)
      expect(lookUps('late')).toBeGreaterThanOrEqual(1)
      await letTimePass()
      expect(await state(answer.body.operationId)).toBe('succeeded')
      expect([sends('late'), withKey('late').length]).toEqual([2, 1])
    })

    it('is in doubt once its deadline has passed without a word', async () => {
      strike({ type: 'dropBefore' })
      const id = await queueInteraction(scenario.tenant, { externalIdentifierId: 'expired' })
      await scenario.tried([id], 1)
      await scenario.database.sql`update write set deadline_at = now() where id = ${id}`
      const operation = await endOf(id)
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
      const operation = await endOf(id)
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

    it('is not taken for an older one of its id, which leaves it in doubt', async () => {
      const older = org().create('EngagementInteraction', {
        ExternalIdentifierId: 'again',
        CommunicationChannel: 'Web Chat',
      })
      // The org's clock is ahead of ours from here on: it is by the org's own that the record is older.
      org().advanceTime(60_000)
      strike({ type: 'dropBefore' })
      const id = await queueInteraction(scenario.tenant, { externalIdentifierId: 'again' })
      await scenario.tried([id], 3)
      expect((await scenario.tenant.operation(id, 0)).metadata.state).not.toBe('succeeded')
      await letTimePass()
      const operation = await endOf(id)
      expect([operation.metadata.state, codes(operation)]).toEqual([
        'in_doubt',
        ['OUTCOME_UNKNOWN', 'LOOK_UP_FAILED'],
      ])
      expect([sends('again'), withKey('again').map(({ Id }) => Id)]).toEqual([1, [older]])
      // Its own beside an older one is told apart from it.
      strike({ type: 'dropAfter' })
      const own = await post({ externalIdentifierId: 'again' })
      expect([own.status, own.body.result?.recordId]).toEqual([200, withKey('again')[1]!.Id])
    })

    it('is not taken for what another write made a moment before, or since', async () => {
      const [first, third] = ['first', 'third'].map((reason) => ({ externalIdentifierId: 'next', reason }))
      expect((await post(first!)).status).toBe(200)
      strike({ type: 'dropBefore' })
      const id = await queueInteraction(scenario.tenant, { externalIdentifierId: 'next', reason: 'second' })
      await scenario.tried([id], 2)
      await scenario.database.sql`update write set deadline_at = now() where id = ${id}`
      expect(await state(id)).toBe('in_doubt')
      expect((await post(third!)).status).toBe(200)
      const { projectId, call } = scenario.tenant
      await call('POST', `/v1/projects/${projectId}/operations/${id}:retry`)
      const { metadata } = await endOf(id)
      const made = withKey('next')
      expect(made.map((record) => record['Reason'])).toEqual(['first', 'third', 'second'])
      expect([metadata.state, metadata.successfulRecordIds]).toEqual(['succeeded', [made[2]!.Id]])
    })

    it('is not taken for another whose id differs in its letter case', async () => {
      org().create('EngagementInteraction', {
        ExternalIdentifierId: 'CASE',
        CommunicationChannel: 'Web Chat',
      })
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
        strike({ type: 'wrongShape', body: { totalSize: 0, done: true, records: [] } }, 'query', 0)
        const id = await queueInteraction(scenario.tenant, { externalIdentifierId: 'hidden' })
        await scenario.tried([id], 2)
        await letTimePass()
        const operation = await endOf(id)
        expect([operation.metadata.state, codes(operation)]).toEqual([
          'in_doubt',
          ['OUTCOME_UNKNOWN', 'DUPLICATE_VALUE'],
        ])
        expect([sends('hidden'), withKey('hidden').length]).toEqual([2, 1])
        org().faults.clear()
        const repeated = await post({ externalIdentifierId: 'hidden' })
        expect(repeated).toMatchObject({ status: 422, body: { errors: [{ code: 'DUPLICATE_VALUE' }] } })
      } finally {
        org().settings.engagementRepeat = 'second'
      }
    })

    it('keeps the next of its id back until it is settled', async () => {
      strike({ type: 'dropBefore' })
      const first = await queueInteraction(scenario.tenant, {
        externalIdentifierId: 'chain',
        reason: 'first',
      })
      await scenario.tried([first], 1)
      const second = await queueInteraction(scenario.tenant, {
        externalIdentifierId: 'chain',
        reason: 'second',
      })
      await scenario.tried([first], 2)
      expect((await scenario.tenant.operation(second, 0)).metadata.state).toBe('queued')
      await letTimePass()
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
        if (key === 'limit') await scenario.deferred([id])
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
      (await concurrently(ids, 1, endOf)).map((operation) => operation.metadata.state)

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
      org().create('EngagementInteraction', {
        ExternalIdentifierId: 'old1',
        CommunicationChannel: 'Web Chat',
      })
      const [fresh] = await group(['new'])
      expect(await states([old[0]!, fresh!])).toEqual(['succeeded', 'succeeded'])
      expect((await scenario.tenant.operation(old[1]!, 0)).status).toBe('in_progress')
      await letTimePass()
      expect(await states([old[1]!])).toEqual(['succeeded'])
      expect(['old1', 'old2', 'new'].map((key) => [withKey(key).length, sends(key)])).toEqual([
        [1, 1],
        [1, 2],
        [1, 1],
      ])
    })
  })
})
