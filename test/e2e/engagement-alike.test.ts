import { afterAll, beforeAll, expect, it } from 'vitest'
import { startSimulator } from '../../src/simulator/start.ts'
import { endedOf } from '../support/ended-of.ts'
import { interaction, postInteraction, queueInteraction } from '../support/engagement.ts'
import { expectLanesTrue, refuseIllegalMoves } from '../support/queue-fixture.ts'
import { concurrently, createTenant, startService, type Service, type Tenant } from '../support/service.ts'

/*
 * The same 500 interactions at once, one by one, and through the queue, in groups: what comes of them in the
 * org, their outcomes and the API calls that they cost are the same.
 */

let service: Service
beforeAll(async () => {
  service = await startService()
  await refuseIllegalMoves(service.database.sql)
})
afterAll(() => service.stop())

const COUNT = 500
const GROUP = 25
const isBad = (at: number): boolean => at % 50 === 7

/** Every 50th is one that the org must refuse; some have an external id, attendees and topics. */
const interactions = Array.from({ length: COUNT }, (_, at) => ({
  reason: `Reason ${at}`,
  phoneNumber: `${at}`,
  ...(at % 3 === 0 ? { externalIdentifierId: `call-${at}` } : {}),
  ...(isBad(at) ? { contextId: 'x'.repeat(300) } : {}),
  customFieldsList: [{ key: 'sampleLocation__c', value: { latitude: at / 10, longitude: -at / 4 } }],
  ...(at % 5 === 0
    ? {
        engagementAttendees: [
          { startDateTime: '2022-04-17T12:00:00Z', isAuthenticated: true, isVerified: false },
        ],
        engagementTopics: [{ name: `Topic ${at}` }],
      }
    : {}),
}))

const FIELDS = [
  ...['Reason', 'PhoneNumber', 'ExternalIdentifierId', 'CommunicationChannel', 'StartDateTime'],
  ...['sampleLocation__Latitude__s', 'sampleLocation__Longitude__s'],
]

/** Sends the interactions in its way; answers their operations in their order. */
type Way = (tenant: Tenant) => Promise<string[]>

const atOnce: Way = (tenant) =>
  concurrently(interactions, 20, async (part) => {
    const { body } = await postInteraction<{ operationId: string }>(tenant, {
      engagementInteraction: interaction(part),
    })
    return body.operationId
  })
const queued: Way = (tenant) =>
  concurrently(interactions, 20, (part) =>
    queueInteraction(tenant, part, { autoBatchPolicy: { maxDelayMinutes: 60, maxRecords: GROUP } }),
  )

/** What came of a way: in the org, in the operations, and in calls. */
async function resultOf(way: Way) {
  const simulator = await startSimulator()
  const { org } = simulator
  try {
    const tenant = await createTenant(service.app.url, simulator.url)
    const ids = await way(tenant)
    await flushAll(tenant)
    const operations = await endedOf(tenant, ids)
    const idsOf = operations.map(({ metadata }) => metadata.successfulRecordIds[0])
    const topics = Map.groupBy(org.records('EngagementTopic'), (one) => one['EngagementInteractionId'])
    const fieldsOf = (id: string) => {
      const record: Record<string, unknown> = org.record(id)!
      return [...FIELDS.map((name) => record[name]), topics.get(id)?.map((one) => one['Name'])]
    }
    return {
      outcomes: operations.map(({ status, metadata: { state, records } }) => ({
        status,
        state,
        records: records.map(({ success, created, errors }) => ({ success, created, errors })),
      })),
      // In the order of their operations: each names the record that holds its own values.
      contents: idsOf.map((id) => (id === undefined ? null : fieldsOf(id))),
      counts: org.counts(),
      apiCalls: org.apiUsed,
      requests: org.requests.list((entry) => entry.recordCount > 0).length,
    }
  } finally {
    await simulator.close()
  }
}

/** Two lanes, those with an external id and those without: the last group of each is not full. */
async function flushAll({ call, projectId, integrationId, installationId }: Tenant): Promise<void> {
  const path = `/v1/projects/${projectId}/integrations/${integrationId}/installations/${installationId}/lanes`
  const { body } = await call<{ results: { id: string }[] }>('GET', path)
  for (const { id } of body.results) await call('POST', `/v1/projects/${projectId}/lanes/${id}:flush`)
}

it('500 interactions come to the same at once and through the queue', { timeout: 60_000 }, async () => {
  const [one, other] = await Promise.all([resultOf(atOnce), resultOf(queued)])
  const { requests: singly, ...ofCalls } = one
  const { requests: together, ...ofGroups } = other
  expect(ofGroups).toEqual(ofCalls)
  expect([singly, ofCalls.apiCalls]).toEqual([COUNT, COUNT])
  expect(together).toBe(Math.ceil(167 / GROUP) + Math.ceil(333 / GROUP))
  const failed = ofCalls.outcomes.flatMap(({ state }, at) => (state === 'failed' ? [at] : []))
  expect(failed).toEqual(interactions.flatMap((_, at) => (isBad(at) ? [at] : [])))
  expect(ofCalls.contents.map((fields) => fields?.[0] ?? null)).toEqual(
    interactions.map(({ reason }, at) => (isBad(at) ? null : reason)),
  )
  await expectLanesTrue(service.database.sql)
})
