import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startSimulator, type Simulator } from '../../src/simulator/start.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { concurrently } from '../support/service.ts'
import { startPeer, type PeerProcess } from './peer-process.ts'
import { oneStory } from '../support/one-story.ts'

const WRITES = 250
const objects = ['Contact', 'Lead'] as const

/** Writes to two objects in turn; one in fifty has no last name, which the org requires. */
const writes = Array.from({ length: WRITES }, (_, index) => {
  const object = objects[index % objects.length]!
  const isGood = index % 50 !== 7
  const record = {
    ...(isGood ? { LastName: `Ngata ${index}` } : {}),
    ...(object === 'Lead' ? { Company: 'Alder' } : {}),
    External_Id__c: `peer-${index}`,
  }
  return { object, isGood, record }
})
const good = writes.filter(({ isGood }) => isGood)
const externalIds = (records: Record<string, unknown>[]) =>
  records.map((record) => String(record['External_Id__c'])).sort()
const outcome = { succeeded: good.length, failed: WRITES - good.length, waiting: 0 }

/** A peer with an org of its own. */
interface Running {
  peer: PeerProcess
  simulator: Simulator
}

const batching = ['pg-boss', 'graphile-worker']
const running = new Map<string, Running>()
let database: TestDatabase

const the = (name: string): Running => running.get(name)!
const postAll = ({ peer }: Running) =>
  concurrently(writes, 32, ({ object, record }) => peer.post(object, record))
const held = ({ simulator: { org } }: Running) =>
  externalIds(objects.flatMap((object) => org.records(object, 0, WRITES)))

beforeAll(async () => {
  database = await createTestDatabase({ empty: true })
  const starting = [...batching, 'synchronous', 'bare-handler'].map(async (name) => {
    const simulator = await startSimulator()
    const env = { DATABASE_URL: database.url, LOGIN_URL: simulator.url }
    running.set(name, { peer: await startPeer(name, env), simulator })
  })
  await Promise.all(starting)
})
afterAll(async () => {
  for (const [name, { peer, simulator }] of running) {
    expect(await peer.stop(name === 'bare-handler' ? 'disconnect' : 'SIGTERM')).toBe(0)
    await simulator.close()
  }
  await database.drop()
})

describe('the peers', oneStory, () => {
  describe.each(batching)('the peer on %s', (name) => {
    it('keeps what was posted until its worker begins', async () => {
      const answers = await postAll(the(name))
      expect(answers.filter(({ status }) => status !== 200)).toEqual([])
      expect(new Set(answers.map(({ body }) => body.operationId)).size).toBe(WRITES)
      expect(await the(name).peer.done()).toEqual({ succeeded: 0, failed: 0, waiting: WRITES, calls: 0 })
      expect(held(the(name))).toEqual([])
    })

    it('sends it in groups and settles each write by its own result', async () => {
      const { peer, simulator } = the(name)
      await peer.drain()
      const { calls, ...counts } = await peer.emptied()
      expect(counts).toEqual(outcome)
      expect(held(the(name))).toEqual(externalIds(good.map(({ record }) => record)))
      expect(simulator.org.requests.totals.apiCalls).toBe(calls)
      // Two objects: two calls for each hundred fetched at once.
      expect(calls).toBeGreaterThanOrEqual(4)
      expect(calls).toBeLessThanOrEqual(8)
    })
  })

  describe('the peer without a queue', () => {
    it('makes one call for each write while the caller waits', async () => {
      const { peer, simulator } = the('synchronous')
      const answers = await postAll(the('synchronous'))
      expect(answers.map(({ status }) => status)).toEqual(writes.map(({ isGood }) => (isGood ? 200 : 422)))
      await peer.drain()
      expect(await peer.emptied()).toEqual({ ...outcome, calls: WRITES })
      expect(simulator.org.requests.totals.apiCalls).toBe(WRITES)
      expect(held(the('synchronous'))).toEqual(externalIds(good.map(({ record }) => record)))
    })
  })

  describe('the bare handler', () => {
    it('answers an id of its own to each valid write, and refuses an invalid one', async () => {
      const { peer, simulator } = the('bare-handler')
      const answers = await Promise.all([1, 2].map(() => peer.post('Contact', { LastName: 'Ngata' })))
      expect(answers.map(({ status }) => status)).toEqual([200, 200])
      expect(answers[0]!.body.operationId).toMatch(/^[0-9a-f-]{36}$/)
      expect(answers[0]!.body.operationId).not.toBe(answers[1]!.body.operationId)
      const refused = await peer.post('Contact', { LastName: 'Ngata' }, { type: 'insert' })
      expect(refused.status).toBe(400)
      expect(simulator.org.requests.totals.total).toBe(0)
    })
  })
})
