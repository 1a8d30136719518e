import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { expectLanesTrue, refuseIllegalMoves } from '../support/queue-fixture.ts'
import {
  interaction,
  postInteraction,
  queueInteraction,
  RESOURCE,
  sampleInteraction,
} from '../support/engagement.ts'
import { concurrently, createTenant, startService, type Service } from '../support/service.ts'
import { oneStory } from '../support/one-story.ts'

let service: Service
beforeAll(async () => {
  service = await startService()
  await refuseIllegalMoves(service.database.sql)
})
afterEach(async () => {
  expect(service.simulator.org.faults.list()).toEqual([])
  await expectLanesTrue(service.database.sql)
})
afterAll(() => service.stop())

const anyText = expect.any(String) as string
const org = () => service.simulator.org
const sampleIds = () => ({
  internalAttendeeId: org().create('Contact', { LastName: 'Attendee' }),
  relatedPersonId: org().create('Contact', { LastName: 'Person' }),
})

/** The interactions of this external id that the org has. */
const withKey = (key: string) => org().find('EngagementInteraction', 'ExternalIdentifierId', key)

interface Written {
  operationId: string
  result: { success: boolean; recordId: string; data: Record<string, unknown> }
}

describe('engagement interactions', oneStory, () => {
  describe('an engagement interaction', () => {
    it('of the documentation is written as printed, and answered as a single write', async () => {
      const engagementInteraction = sampleInteraction(sampleIds())
      const { status, body } = await postInteraction<Written>(service.tenant, { engagementInteraction })
      expect(status).toBe(200)
      const { recordId } = body.result
      expect(body).toEqual({
        operationId: anyText,
        result: {
          success: true,
          recordId,
          data: {
            engagementInteraction: {
              id: recordId,
              engagementAttendees: [{ id: anyText }],
              engagementTopics: [{ id: anyText }],
            },
            status: { code: 201, message: 'Success' },
          },
        },
      })
      expect(org().record(recordId)).toMatchObject({
        ExternalIdentifierId: 'external_identifier_id',
        sampleLocation__Latitude__s: 12,
      })
      const operation = await service.tenant.operation(body.operationId, 0)
      expect(operation).toMatchObject({
        status: 'success',
        resource: 'EngagementInteraction',
        metadata: {
          objects: ['EngagementInteraction'],
          state: 'succeeded',
          successfulRecordIds: [recordId],
          records: [{ recordId, created: true }],
        },
      })
      const [entry] = org().requests.list((one) => one.operation === 'engagement.create')
      expect(entry).toMatchObject({ apiCalls: 1, headers: {} })
    })

    it('that the org refuses is a 422 with the org’s own errors', async () => {
      const engagementInteraction = sampleInteraction({
        ...sampleIds(),
        relatedPersonId: 'testrelatedpersonid',
      })
      const before = org().counts()
      const answer = await postInteraction(service.tenant, { engagementInteraction })
      expect(answer.status).toBe(422)
      expect(answer.body).toEqual({
        operationId: anyText,
        errors: [{ code: 'INVALID_ID_FIELD', message: anyText, fields: [] }],
        result: { success: false },
        rawResponse: [{ errorCode: 'INVALID_ID_FIELD', message: anyText }],
      })
      expect(org().counts()).toEqual(before)
    })

    it('takes variables with their types, and an idempotency key', async () => {
      const body = {
        engagementInteraction: interaction({
          attendeeVerified: '{{verified}}',
          externalIdentifierId: 'call-{{number}}',
          customFieldsList: [{ key: 'sampleLocation__c', value: '{{place}}' }],
        }),
        variables: { verified: true, number: 7, place: { latitude: 1.5, longitude: -2 } },
      }
      const headers = { 'idempotency-key': 'interaction-7' }
      const first = await postInteraction(service.tenant, body, headers)
      expect(first.status).toBe(200)
      const again = await postInteraction(service.tenant, body, headers)
      expect([again.body, again.headers.get('idempotency-replayed')]).toEqual([first.body, 'true'])
      expect(withKey('call-7')).toMatchObject([{ AttendeeVerified: true, sampleLocation__Latitude__s: 1.5 }])
      const other = { ...body, variables: { ...body.variables, number: 8 } }
      expect((await postInteraction(service.tenant, other, headers)).status).toBe(422)
    })

    it('travels with up to 24 others when asynchronous, and each counts as an API call', async () => {
      const before = org().apiUsed
      const policy = { autoBatchPolicy: { maxDelaySeconds: 3 } }
      const numbers = Array.from({ length: 60 }, (_, index) => index)
      const ids = await concurrently(numbers, 20, (number) =>
        queueInteraction(service.tenant, { reason: `Reason ${number}` }, policy),
      )
      const operations = await concurrently(ids, 60, (id) => service.tenant.operation(id))
      expect(new Set(operations.map((one) => one.metadata.state))).toEqual(new Set(['succeeded']))
      const batches = org().requests.list((one) => one.operation === 'compositeBatch')
      expect(batches.map((one) => one.recordCount).sort()).toEqual([10, 25, 25])
      expect(org().apiUsed - before).toBe(60)
      const groups = Map.groupBy(operations, (operation) => operation.metadata.batchId)
      expect([...groups.values()].map((group) => group.length).sort()).toEqual([10, 25, 25])
      for (const [index, operation] of operations.entries())
        expect(org().record(operation.metadata.successfulRecordIds[0]!)).toMatchObject({
          Reason: `Reason ${index}`,
        })
    })

    it('that is bad fails alone', async () => {
      const policy = { autoBatchPolicy: { maxDelaySeconds: 60, maxRecords: 3 } }
      const ids = [
        await queueInteraction(service.tenant, { reason: 'fine' }, policy),
        await queueInteraction(service.tenant, { contextId: 'x'.repeat(300) }, policy),
        await queueInteraction(service.tenant, { reason: 'fine too' }, policy),
      ]
      const [one, two, three] = await concurrently(ids, 3, (id) => service.tenant.operation(id))
      expect([one, two, three].map((operation) => operation!.metadata.state)).toEqual([
        'succeeded',
        'failed',
        'succeeded',
      ])
      expect(two!.metadata.records[0]!.errors).toMatchObject([{ code: 'STRING_TOO_LONG' }])
      expect(new Set([one, two, three].map((operation) => operation!.metadata.batchId)).size).toBe(1)
    })

    it('of one external id is written after the one before it, never in one request', async () => {
      const gate = org().faults.hold({ operation: 'engagement' })
      const policy = { autoBatchPolicy: { maxDelaySeconds: 0 } }
      const ids: string[] = []
      for (const reason of ['first', 'second', 'third'])
        ids.push(await queueInteraction(service.tenant, { externalIdentifierId: 'ordered', reason }, policy))
      const now = postInteraction<Written>(service.tenant, {
        engagementInteraction: interaction({ externalIdentifierId: 'ORDERED', reason: 'last' }),
      })
      await gate.arrived
      expect(gate.arrivals).toBe(1)
      gate.release()
      expect((await now).status).toBe(200)
      expect([...withKey('ordered'), ...withKey('ORDERED')].map((record) => record['Reason'])).toEqual([
        'first',
        'second',
        'third',
        'last',
      ])
    })

    it('can be promoted, cancelled and sent again by hand', async () => {
      const { tenant } = service
      const path = (id: string, move: string): string =>
        `/v1/projects/${tenant.projectId}/operations/${id}:${move}`
      const policy = { autoBatchPolicy: { maxDelayMinutes: 60 } }
      const promoted = await queueInteraction(tenant, { reason: 'promoted' }, policy)
      const answer = await tenant.call('POST', path(promoted, 'promote'))
      expect(answer).toMatchObject({
        status: 200,
        body: { operationId: promoted, result: { success: true } },
      })
      const cancelled = await queueInteraction(tenant, { reason: 'cancelled' }, policy)
      expect((await tenant.call('POST', path(cancelled, 'cancel'))).status).toBe(200)
      expect(org().find('EngagementInteraction', 'Reason', 'cancelled')).toEqual([])

      org().faults.add({
        match: { operation: 'engagement' },
        action: { type: 'recordError', statusCode: 'FIELD_CUSTOM_VALIDATION_EXCEPTION', message: 'not now' },
      })
      const failed = await queueInteraction(tenant, { reason: 'again' })
      expect((await tenant.operation(failed)).metadata.state).toBe('failed')
      expect((await tenant.call('POST', path(failed, 'retry'))).status).toBe(200)
      expect((await tenant.operation(failed)).metadata.state).toBe('succeeded')
    })

    it('shows in its lane by its resource', async () => {
      const { tenant } = service
      await queueInteraction(
        tenant,
        { externalIdentifierId: 'lane' },
        { autoBatchPolicy: { maxDelaySeconds: 2 } },
      )
      const { body } = await tenant.call<{ results: { id: string; waiting: number }[] }>(
        'GET',
        `/v1/projects/${tenant.projectId}/integrations/${tenant.integrationId}/installations/${tenant.installationId}/lanes`,
      )
      const lane = body.results.find((one) => one.waiting > 0)!
      expect(lane).toMatchObject({
        objectName: RESOURCE,
        type: 'create',
        externalIdField: 'externalIdentifierId',
        allOrNone: false,
        waiting: 1,
      })
      await tenant.call('POST', `/v1/projects/${tenant.projectId}/lanes/${lane.id}:flush`)
      await org().waitForRequests(1, (entry) => entry.keys.includes('lane'))
    })
  })

  describe('the configuration of an installation', () => {
    it('has to list the object, where it lists any', async () => {
      const { app, simulator } = service
      const without = await createTenant(app.url, simulator.url, { Contact: { objectName: 'Contact' } })
      const body = { engagementInteraction: interaction() }
      const answer = await postInteraction(without, body)
      expect(answer).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } })
      const listing = { EngagementInteraction: { objectName: 'EngagementInteraction', mapToName: 'call' } }
      const with_ = await createTenant(app.url, simulator.url, listing)
      expect((await postInteraction(with_, body)).status).toBe(200)
    })

    it('lets other records of the object be written as ever', async () => {
      const answer = await service.tenant.post('EngagementInteraction', {
        type: 'create',
        record: { CommunicationChannel: 'Web Chat' },
      })
      expect(answer.status).toBe(200)
    })
  })

  describe('the licence', () => {
    it.each([
      ['forbidden', 'FUNCTIONALITY_NOT_ENABLED'],
      ['absent', 'NOT_FOUND'],
    ] as const)(
      'that is missing (%s) is a 422 with the org’s word, asynchronous or not',
      async (access, code) => {
        org().settings.engagementAccess = access
        try {
          const now = await postInteraction(service.tenant, { engagementInteraction: interaction() })
          expect(now).toMatchObject({ status: 422, body: { errors: [{ code }] } })
          const policy = { autoBatchPolicy: { maxDelaySeconds: 60, maxRecords: 2 } }
          const ids = [
            await queueInteraction(service.tenant, {}, policy),
            await queueInteraction(service.tenant, {}, policy),
          ]
          for (const operation of await concurrently(ids, 2, (id) => service.tenant.operation(id)))
            expect(operation.metadata).toMatchObject({ state: 'failed', records: [{ errors: [{ code }] }] })
        } finally {
          org().settings.engagementAccess = 'allowed'
        }
      },
    )
  })
})
