import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startApp, type App } from '../../src/app.ts'
import { startSimulator, type FaultAction, type Simulator } from '../../src/simulator/start.ts'
import { endLeases } from '../batcher/fixture.ts'
import type { TestDatabase } from '../support/database.ts'
import { interaction, postInteraction, queueInteraction } from '../support/engagement.ts'
import { startProcess, type ServiceProcess } from '../support/processes.ts'
import { expectLanesTrue, refuseIllegalMoves } from '../support/queue-fixture.ts'
import { appOptions, createServiceDatabase, createTenant } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'

let database: TestDatabase
let simulator: Simulator
let child: ServiceProcess
let app: App | null = null
const key = randomBytes(32)

beforeAll(async () => {
  database = await createServiceDatabase()
  await refuseIllegalMoves(database.sql)
  simulator = await startSimulator()
  child = await startProcess(database.url, key.toString('base64'))
})
afterAll(async () => {
  await child.end('SIGKILL')
  await app?.stop(5_000)
  await simulator.close()
  await database.drop()
})

it('interactions in flight when their process is killed are found, in doubt, or sent again once that is safe', async () => {
  const { org } = simulator
  const tenant = await createTenant(child.url, simulator.url)
  const match = (reason: string) => ({ recordMatches: { field: 'reason', value: reason } })
  const hang = (reason: string, action: FaultAction): void =>
    void org.faults.add({ match: match(reason), action })
  hang('without a key', { type: 'hang', when: 'after' })
  hang('at once', { type: 'hang', when: 'after' })
  hang('never run', { type: 'hang' })
  const gate = org.faults.hold(match('running'))
  const alone = { autoBatchPolicy: { maxDelaySeconds: 0, maxRecords: 1 } }
  const ids = new Map<string, string>()
  // One less than may be in flight: a dead process keeps its share of them for a while.
  for (const reason of ['without a key', 'never run', 'running']) {
    const part = reason === 'without a key' ? {} : { externalIdentifierId: reason }
    ids.set(reason, await queueInteraction(tenant, { reason, ...part }, alone))
  }
  const now = postInteraction(tenant, {
    engagementInteraction: interaction({ reason: 'at once', externalIdentifierId: 'at once' }),
    reference: 'at once',
  }).catch(() => 'cut off')
  const arrived = () => org.requests.list(({ operation }) => operation === 'engagement.create').length
  await waitUntil(() => arrived() === 4, { timeoutMs: 20_000, what: 'all of them to be in flight' })
  await child.end('SIGKILL')
  expect(await now).toBe('cut off')

  app = await startApp(appOptions(database.url, { encryptionKey: key, sweepMs: 100 }))
  const ended = async (reason: string): Promise<unknown> => {
    let state = 'in_progress'
    await waitUntil(
      async () => {
        const [row] = await database.sql<
          { state: string }[]
        >`select state from write where id = ${ids.get(reason)!}`
        state = row!.state
        return !['queued', 'sending'].includes(state)
      },
      { timeoutMs: 15_000, what: `${reason} to end` },
    )
    const made = org.find('EngagementInteraction', 'Reason', reason)
    return { state, made: made.length }
  }
  const [own] = await database.sql<{ id: string }[]>`select id from write where reference = 'at once'`
  ids.set('at once', own!.id)
  await endLeases(database.sql)
  expect(await ended('without a key')).toEqual({ state: 'in_doubt', made: 1 })
  expect(await ended('at once')).toEqual({ state: 'succeeded', made: 1 })
  expect(org.find('EngagementInteraction', 'Reason', 'running')).toEqual([])
  gate.release()
  expect(await ended('running')).toEqual({ state: 'succeeded', made: 1 })
  expect(org.find('EngagementInteraction', 'Reason', 'never run')).toEqual([])
  await database.sql`update batch set ended_at = ended_at - interval '11 minutes' where state = 'ended'`
  expect(await ended('never run')).toEqual({ state: 'succeeded', made: 1 })
  expect(arrived()).toBe(5)
  await expectLanesTrue(database.sql)
})
