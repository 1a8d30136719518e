import { afterAll, beforeAll, expect, it } from 'vitest'
import type { FaultAction } from '../../src/simulator/start.ts'
import { interaction, postInteraction } from '../support/engagement.ts'
import { startOwnDatabase, type OwnDatabase } from './own-database.ts'

let service: OwnDatabase
beforeAll(async () => {
  service = await startOwnDatabase()
})
afterAll(() => service.stop())

const withKey = (key: string) =>
  service.simulator.org.find('EngagementInteraction', 'ExternalIdentifierId', key)
const post = (externalIdentifierId: string) =>
  postInteraction<{ code?: string; remedy?: string; result?: { recordId: string } }>(
    service.tenant,
    { engagementInteraction: interaction({ externalIdentifierId }) },
    { 'request-timeout': '5' },
  )
const strike = (action: FaultAction): void =>
  void service.simulator.org.faults.add({ match: { operation: 'engagement' }, action })

it('with the database away, an interaction whose answer is lost is found, or is not known and never sent twice', async () => {
  const { org } = service.simulator
  org.create('EngagementInteraction', { ExternalIdentifierId: 'unknown', CommunicationChannel: 'Web Chat' })
  // The one of that id is older than what follows, by the org's clock.
  org.advanceTime(60_000)
  expect((await post('known')).status).toBe(200)
  await service.kill()
  strike({ type: 'dropAfter' })
  const found = await post('found')
  expect(found).toMatchObject({ status: 200, body: { result: { recordId: withKey('found')[0]!.Id } } })
  expect(found.headers.get('writeback-recorded')).toBe('false')
  strike({ type: 'dropBefore' })
  const unknown = await post('unknown')
  expect([unknown.status, unknown.body.code]).toEqual([502, 'OUTCOME_UNKNOWN'])
  expect(unknown.body.remedy).toContain('look the records up')
  expect(withKey('unknown')).toHaveLength(1)
  const sent = org.requests.list((entry) => entry.operation === 'engagement.create')
  expect(sent).toHaveLength(3)
})
