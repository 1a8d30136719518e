import { describe, expect, it } from 'vitest'
import { connect } from './client.ts'
import type { Client, Reply } from './client.ts'

const errorsOf = (reply: Reply): { errorCode: string; message: string; fields?: string[] }[] =>
  reply.body as { errorCode: string; message: string; fields?: string[] }[]

const at = (version: number, path: string): string => `/services/data/v${version}.0/${path}`

const create = async (client: Client, fields: object): Promise<string> =>
  ((await client.call('POST', 'sobjects/Contact', fields)).body as { id: string }).id

describe('create', () => {
  it('answers 201 with the id and its place', async () => {
    const client = await connect()
    const reply = await client.call('POST', 'sobjects/Contact', { LastName: 'Ada', FirstName: 'Lovelace' })
    expect(reply.status).toBe(201)
    const { id } = reply.body as { id: string }
    expect(reply.body).toEqual({ id, success: true, errors: [] })
    expect(reply.headers.get('location')).toBe(at(60, `sobjects/Contact/${id}`))
    expect(client.org.record(id)).toMatchObject({
      LastName: 'Ada',
      FirstName: 'Lovelace',
      Name: 'Lovelace Ada',
    })
  })

  it('turns every record error into a request-level one at 400', async () => {
    const client = await connect()
    const reply = await client.call('POST', 'sobjects/Contact', {
      Notes__c: 'REJECT',
      Score__c: -1,
      LastName: 'x',
    })
    expect(reply.status).toBe(400)
    expect(errorsOf(reply).map((error) => error.errorCode)).toEqual([
      'FIELD_CUSTOM_VALIDATION_EXCEPTION',
      'FIELD_CUSTOM_VALIDATION_EXCEPTION',
    ])
    expect(errorsOf(reply)[0]).toEqual({
      errorCode: 'FIELD_CUSTOM_VALIDATION_EXCEPTION',
      message: 'Notes must not say REJECT.',
      fields: ['Notes__c'],
    })
  })

  it('refuses an Id in the body, and takes POST to /Id', async () => {
    const client = await connect()
    const refused = await client.call('POST', 'sobjects/Contact', { Id: '003000000000001AAA', LastName: 'x' })
    expect([refused.status, errorsOf(refused)[0]?.errorCode]).toEqual([400, 'INVALID_FIELD'])
    expect((await client.call('POST', 'sobjects/Contact/Id', { LastName: 'x' })).status).toBe(201)
  })
})

describe('update', () => {
  it('answers an empty 204, changes only what was sent and clears what is null', async () => {
    const client = await connect()
    const id = await create(client, { LastName: 'Ada', Title: 'Countess', Department: 'Maths' })
    const reply = await client.call('PATCH', `sobjects/Contact/${id}`, { Title: 'Dr', Department: null })
    expect([reply.status, reply.body]).toEqual([204, ''])
    expect(client.org.record(id)).toMatchObject({ LastName: 'Ada', Title: 'Dr', Department: null })
  })

  it('can be a POST with _HttpMethod', async () => {
    const client = await connect()
    const id = await create(client, { LastName: 'Ada' })
    expect(
      (await client.call('POST', `sobjects/Contact/${id}?_HttpMethod=PATCH`, { Title: 'Dr' })).status,
    ).toBe(204)
    expect(client.org.record(id)?.Title).toBe('Dr')
  })

  it('tells apart unknown, deleted and malformed ids', async () => {
    const client = await connect()
    const id = await create(client, { LastName: 'Ada' })
    await client.call('DELETE', `sobjects/Contact/${id}`)
    const answerFor = async (name: string): Promise<unknown[]> => {
      const reply = await client.call('PATCH', `sobjects/Contact/${name}`, { Title: 'x' })
      return [reply.status, errorsOf(reply)[0]?.errorCode]
    }
    expect(await answerFor('003000000000001AAA')).toEqual([404, 'NOT_FOUND'])
    expect(await answerFor(id)).toEqual([404, 'ENTITY_IS_DELETED'])
    expect(await answerFor('nonsense')).toEqual([400, 'MALFORMED_ID'])
    expect(await answerFor(client.org.create('Account', { Name: 'a' }))).toEqual([400, 'MALFORMED_ID'])
  })
})

describe('delete and get', () => {
  it('deletes with an empty 204, once', async () => {
    const client = await connect()
    const id = await create(client, { LastName: 'Ada', External_Id__c: 'k' })
    const first = await client.call('DELETE', `sobjects/Contact/${id}`)
    expect([first.status, first.body]).toEqual([204, ''])
    const second = await client.call('DELETE', `sobjects/Contact/${id}`)
    expect([second.status, errorsOf(second)[0]]).toEqual([
      404,
      { errorCode: 'ENTITY_IS_DELETED', message: 'entity is deleted', fields: [] },
    ])
    expect((await client.call('GET', `sobjects/Contact/External_Id__c/k`)).status).toBe(404)
    expect(client.org.count('Contact')).toBe(0)
  })

  it('gets a record by id or external id, all fields or some', async () => {
    const client = await connect()
    const id = await create(client, { LastName: 'Ada', External_Id__c: 'a/b c' })
    const all = await client.call('GET', `sobjects/Contact/${id}`)
    expect(all.body).toMatchObject({
      attributes: { type: 'Contact' },
      Id: id,
      LastName: 'Ada',
      FirstName: null,
    })
    const some = await client.call('GET', `sobjects/Contact/External_Id__c/a%2Fb%20c?fields=lastname,Id`)
    expect(some.body).toEqual({
      attributes: { type: 'Contact', url: at(60, `sobjects/Contact/${id}`) },
      Id: id,
      LastName: 'Ada',
    })
    const unknown = await client.call('GET', `sobjects/Contact/${id}?fields=Nope`)
    expect([unknown.status, errorsOf(unknown)[0]?.errorCode]).toEqual([400, 'INVALID_FIELD'])
  })
})

describe('upsert', () => {
  const path = 'sobjects/Contact/External_Id__c/key%201'

  it('creates with 201, and updates with a body from version 46 and without one before', async () => {
    const client = await connect()
    const created = await client.call('PATCH', path, { LastName: 'Ada' })
    const { id } = created.body as { id: string }
    expect([created.status, created.body]).toEqual([201, { id, success: true, errors: [], created: true }])
    expect(client.org.record(id)?.External_Id__c).toBe('key 1')
    const updated = await client.call('PATCH', at(46, path), { Title: 'Dr' })
    expect([updated.status, updated.body]).toEqual([200, { id, success: true, errors: [], created: false }])
    const older = await client.call('PATCH', at(45, path), { Title: 'Prof' })
    expect([older.status, older.body]).toEqual([204, ''])
    expect(client.org.records('Contact')).toHaveLength(1)
    expect(client.org.record(id)?.Title).toBe('Prof')
  })

  it('never creates with updateOnly', async () => {
    const client = await connect()
    expect((await client.call('PATCH', `${path}?updateOnly=true`, { LastName: 'Ada' })).status).toBe(404)
    expect(client.org.count('Contact')).toBe(0)
  })

  it('refuses the key or an Id in the body, and fields that are no key', async () => {
    const client = await connect()
    for (const extra of [{ External_Id__c: 'key 1' }, { Id: '003000000000001AAA' }]) {
      const reply = await client.call('PATCH', path, { LastName: 'x', ...extra })
      expect([reply.status, errorsOf(reply)[0]?.errorCode]).toEqual([400, 'INVALID_FIELD'])
    }
    expect((await client.call('PATCH', 'sobjects/Contact/Title/x', { LastName: 'x' })).status).toBe(404)
  })

  it('answers 300 with the records when several match, and writes nothing', async () => {
    const client = await connect()
    const ids = ['a', 'b'].map((name) =>
      client.org.create('Contact', { LastName: name, Region_Key__c: 'north' }),
    )
    const reply = await client.call('PATCH', 'sobjects/Contact/Region_Key__c/north', { Title: 'x' })
    expect(reply.status).toBe(300)
    expect(reply.body).toEqual(ids.map((id) => at(60, `sobjects/Contact/${id}`)))
    expect(ids.map((id) => client.org.record(id)?.Title)).toEqual([null, null])
  })

  it('needs View All Data for a key that is not unique', async () => {
    const client = await connect()
    client.org.settings.viewAllData = false
    const reply = await client.call('PATCH', 'sobjects/Contact/Region_Key__c/north', { LastName: 'x' })
    expect(reply.status).toBe(403)
    expect((await client.call('PATCH', path, { LastName: 'x' })).status).toBe(201)
  })
})
