import { describe, expect, it } from 'vitest'
import { connect, type Client, type Reply } from './client.ts'
import { interaction as least, sampleInteraction } from '../support/engagement.ts'

const path = (version = '63.0', rest = ''): string =>
  `/services/data/v${version}/connect/service-excellence/engagement-interactions${rest}`

const post = (client: Client, engagementInteraction: unknown, version?: string): Promise<Reply> =>
  client.call('POST', path(version), { engagementInteraction })

const counts = (client: Client): number[] =>
  ['EngagementInteraction', 'EngagementAttendee', 'EngagementTopic'].map((name) => client.org.count(name))

interface Made {
  engagementInteraction: {
    id: string
    engagementAttendees: { id: string }[]
    engagementTopics: { id: string }[]
  }
  status: { code?: number; message: string }
}

describe('an engagement interaction', () => {
  it('of Salesforce’s own sample is kept as three records, its custom fields with them', async () => {
    const client = await connect()
    const ids = {
      internalAttendeeId: client.org.create('Contact', { LastName: 'Attendee' }),
      relatedPersonId: client.org.create('Contact', { LastName: 'Person' }),
    }
    const reply = await post(client, sampleInteraction(ids))
    expect(reply.status).toBe(201)
    const { engagementInteraction: made, status } = reply.body as Made
    expect(status).toEqual({ code: 201, message: 'Success' })
    expect(counts(client)).toEqual([1, 1, 1])
    expect(client.org.record(made.id)).toMatchObject({
      ExternalIdentifierId: 'external_identifier_id',
      CommunicationChannel: 'Voice Call',
      PhoneNumber: '9999999999',
      sampleLocation__Latitude__s: 12,
      sampleLocation__Longitude__s: 17,
      sampleCheckbox__c: true,
      sampleDate__c: '2022-06-17',
    })
    expect(client.org.record(made.engagementAttendees[0]!.id)).toMatchObject({
      EngagementInteractionId: made.id,
      InternalAttendeeId: ids.internalAttendeeId,
    })
    expect(client.org.record(made.engagementTopics[0]!.id)).toMatchObject({
      EngagementInteractionId: made.id,
      Name: 'fee reversal',
      sampleNumber__c: 1706,
    })
    const shown = await client.call('GET', path('63.0', `/${made.id}`))
    expect(shown.body).toMatchObject({
      engagementInteraction: { id: made.id, engagementTopics: [{ name: 'fee reversal' }] },
    })
    expect((await client.call('DELETE', path('63.0', `/${made.id}`))).status).toBe(204)
    expect(counts(client)).toEqual([0, 0, 0])
    expect((await client.call('GET', path('63.0', `/${made.id}`))).status).toBe(404)
  })

  it('is written whole or not at all, and refused in the Connect shape', async () => {
    const client = await connect()
    const bad = [
      [least({ engagementTopics: [{ name: 'a' }, { topicId: 'b' }] }), 'REQUIRED_FIELD_MISSING'],
      [least({ engagementTopics: [{ name: 'a', relatedPersonId: 'nobody' }] }), 'INVALID_ID_FIELD'],
      [least({ attendeeVerified: undefined }), 'REQUIRED_FIELD_MISSING'],
      [least({ sentiment: 'Furious' }), 'INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST'],
      [least({ colour: 'red' }), 'JSON_PARSER_ERROR'],
      [least({ customFieldsList: [{ key: 'colour__c', value: 'red' }] }), 'INVALID_FIELD'],
      [least({ startDateTime: 'today' }), 'INVALID_TYPE_ON_FIELD_IN_RECORD'],
    ] as const
    for (const [interaction, errorCode] of bad) {
      const reply = await post(client, interaction)
      expect([reply.status, reply.body]).toEqual([
        400,
        [{ errorCode, message: expect.any(String) as string }],
      ])
    }
    expect(counts(client)).toEqual([0, 0, 0])
  })

  it('needs version 55, and its later fields their own', async () => {
    const client = await connect()
    expect((await post(client, least(), '54.0')).status).toBe(404)
    expect((await post(client, least(), '55.0')).status).toBe(201)
    expect((await post(client, least({ customFieldsList: [] }), '55.0')).status).toBe(400)
    expect((await post(client, least({ phoneNumber: '1' }), '56.0')).status).toBe(400)
    expect((await post(client, least({ phoneNumber: '1', customFieldsList: [] }), '57.0')).status).toBe(201)
  })

  it('answers as the settings read what is not documented', async () => {
    const client = await connect()
    const { settings } = client.org
    settings.engagementStatus = 200
    settings.engagementStatusCode = 0
    expect(await post(client, least())).toMatchObject({ status: 200, body: { status: { code: 0 } } })
    settings.engagementStatusCode = 'absent'
    expect((await post(client, least())).body).toMatchObject({ status: { message: 'Success' } })
    settings.engagementErrors = 'inStatus'
    const failed = await post(client, least({ sentiment: 'Furious' }))
    expect(failed).toMatchObject({
      status: 200,
      body: { engagementInteraction: null, status: { code: 400 } },
    })
    expect(counts(client)).toEqual([2, 0, 0])
  })

  it('whose external identifier is there already is a second one or a duplicate, as the setting says', async () => {
    const client = await connect()
    const keyed = least({ externalIdentifierId: 'one' })
    await post(client, keyed)
    for (const [reading, status] of [
      ['badRequest', 400],
      ['conflict', 409],
    ] as const) {
      client.org.settings.engagementRepeat = reading
      const reply = await post(client, keyed)
      expect([reply.status, reply.body]).toMatchObject([status, [{ errorCode: 'DUPLICATE_VALUE' }]])
      expect((await post(client, least({ externalIdentifierId: reading }))).status).toBe(201)
    }
    client.org.settings.engagementRepeat = 'second'
    expect((await post(client, keyed)).status).toBe(201)
    expect(client.org.find('EngagementInteraction', 'ExternalIdentifierId', 'one')).toHaveLength(2)
  })

  it('wants a licence', async () => {
    const client = await connect()
    client.org.settings.engagementAccess = 'forbidden'
    expect(await post(client, least())).toMatchObject({
      status: 403,
      body: [{ errorCode: 'FUNCTIONALITY_NOT_ENABLED' }],
    })
    client.org.settings.engagementAccess = 'absent'
    expect((await post(client, least())).status).toBe(404)
    expect(counts(client)).toEqual([0, 0, 0])
  })

  it('cannot go in a composite call', async () => {
    const client = await connect()
    const reply = await client.call('POST', '/services/data/v63.0/composite', {
      compositeRequest: [{ method: 'POST', url: path(), referenceId: 'a', body: {} }],
    })
    expect(reply.body).toMatchObject({ compositeResponse: [{ httpStatusCode: 400 }] })
  })

  it('can be struck by faults, by its fields', async () => {
    const client = await connect()
    client.org.faults.add({
      match: { operation: 'engagement', recordMatches: { field: 'externalIdentifierId', value: 'two' } },
      action: { type: 'recordError', statusCode: 'UNABLE_TO_LOCK_ROW', message: 'busy' },
    })
    expect((await post(client, least({ externalIdentifierId: 'one' }))).status).toBe(201)
    expect((await post(client, least({ externalIdentifierId: 'two' }))).body).toEqual([
      { errorCode: 'UNABLE_TO_LOCK_ROW', message: 'busy' },
    ])
    client.org.faults.add({ match: { object: 'EngagementInteraction' }, action: { type: 'dropAfter' } })
    await expect(post(client, least())).rejects.toThrow()
    expect(counts(client)[0]).toBe(2)
    const [, , last] = client.org.requests.list((entry) => entry.operation === 'engagement.create')
    expect(last).toMatchObject({
      dropped: true,
      ids: [expect.any(String)],
      objects: ['EngagementInteraction'],
    })
  })
})
