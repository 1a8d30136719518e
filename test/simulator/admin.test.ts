import { describe, expect, it } from 'vitest'
import { connect, contacts, postToken, record, refreshForm, request } from './client.ts'
import type { Client, Reply } from './client.ts'

const admin = (client: Client, method: string, path: string, body?: unknown): Promise<Reply> =>
  request(method, `${client.url}/__admin/${path}`, body)

describe('admin calls', () => {
  it('show the state, and count as no calls', async () => {
    const client = await connect({ rotateRefreshTokens: true, dailyApiLimit: 50 })
    await client.items('POST', '', { records: contacts(2) })
    await postToken(client.url, refreshForm())
    const { body } = await admin(client, 'GET', 'state')
    expect(body).toMatchObject({
      orgId: client.org.id,
      records: { Contact: 2, Account: 0 },
      apiUsage: { used: 1, limit: 50 },
      requests: {
        total: 3,
        byOperation: { token: 2, 'collections.create': 1 },
        byStatus: { 200: 2, 400: 1 },
      },
      sessions: { live: 0, minted: 1, grants: 0, oldRefreshTokenPresented: true },
      settings: { rotateRefreshTokens: true },
    })
    expect(client.org.apiUsed).toBe(1)
  })

  it('find records by external id and page through all', async () => {
    const client = await connect()
    await client.items('POST', '', {
      records: Array.from({ length: 5 }, (_, i) =>
        record('Contact', { LastName: `p${i}`, External_Id__c: `e${i}`, Region_Key__c: 'north' }),
      ),
    })
    const found = await admin(client, 'GET', 'records/Contact?externalId=E3')
    expect(found.body).toMatchObject({ totalSize: 5, records: [{ LastName: 'p3' }] })
    const region = await admin(client, 'GET', 'records/Contact?externalId=north&field=Region_Key__c')
    expect((region.body as { records: unknown[] }).records).toHaveLength(5)
    const page = await admin(client, 'GET', 'records/Contact?offset=1&limit=2')
    expect(page.body).toMatchObject({ totalSize: 5, records: [{ LastName: 'p1' }, { LastName: 'p2' }] })
    expect((await admin(client, 'GET', 'records/Nope')).status).toBe(404)
  })

  it('reset everything but the defined objects', async () => {
    const client = await connect({ rotateRefreshTokens: true })
    client.org.defineObject({ name: 'Thing__c', fields: [] })
    const id = client.org.create('Contact', { LastName: 'a', External_Id__c: 'k' })
    await client.call('GET', 'limits')
    await admin(client, 'POST', 'settings', { rotateRefreshTokens: false, dailyApiLimit: 7 })
    await admin(client, 'POST', 'faults', { times: 0, action: { type: 'status', status: 500 } })
    const { body } = await admin(client, 'POST', 'reset')
    expect(body).toMatchObject({
      records: { Contact: 0, Thing__c: 0 },
      apiUsage: { used: 0, limit: 5_000_000 },
      requests: { total: 0 },
      settings: { rotateRefreshTokens: true },
      faults: 0,
    })
    expect((await client.call('GET', 'limits')).status).toBe(401)
    expect((await postToken(client.url, refreshForm())).status).toBe(200)
    expect(client.org.create('Contact', { LastName: 'b', External_Id__c: 'k' })).toBe(id)
  })

  it('add, list and remove faults', async () => {
    const client = await connect()
    const add = await admin(client, 'POST', 'faults', [
      {
        id: 'mine',
        match: { operation: 'limits' },
        times: 0,
        action: { type: 'status', canned: 'totalRequests' },
      },
      { action: { type: 'html200' }, match: { operation: 'describe' } },
    ])
    expect(add.body).toEqual({ ids: ['mine', 'fault-1'] })
    expect((await client.call('GET', 'limits')).status).toBe(403)
    expect((await admin(client, 'GET', 'faults')).body).toMatchObject({
      faults: [{ id: 'mine', struck: 1 }, {}],
    })
    await admin(client, 'DELETE', 'faults/mine')
    expect((await client.call('GET', 'limits')).status).toBe(200)
    await admin(client, 'DELETE', 'faults')
    expect((await client.call('GET', 'sobjects/Lead/describe')).headers.get('content-type')).toContain('json')
  })

  it('change settings', async () => {
    const client = await connect()
    const changed = await admin(client, 'POST', 'settings', {
      latencyMs: { min: 0, max: 1 },
      apiUsed: 9,
      dailyApiLimit: 10,
      badValueSinksRequest: true,
    })
    expect(changed.body).toMatchObject({ apiUsed: 9, dailyApiLimit: 10, badValueSinksRequest: true })
    expect((await client.call('GET', 'limits')).status).toBe(200)
    expect((await client.call('GET', 'limits')).status).toBe(403)
  })

  it('end sessions and define objects', async () => {
    const client = await connect()
    const defined = await admin(client, 'POST', 'objects', {
      name: 'Thing__c',
      keyPrefix: 'aZ9',
      fields: [{ name: 'Colour__c', type: 'string', length: 3 }],
    })
    expect(defined.body).toEqual({ name: 'Thing__c', keyPrefix: 'aZ9' })
    const items = await client.items('POST', '', {
      records: ['red', 'blue'].map((Colour__c) => record('Thing__c', { Colour__c })),
    })
    expect(items.map((item) => item.success)).toEqual([true, false])
    await admin(client, 'POST', 'sessions')
    expect((await client.call('GET', 'limits')).status).toBe(401)
  })

  it.each([
    ['POST', 'faults', { action: { type: 'nope' } }],
    ['POST', 'faults', {}],
    ['POST', 'faults', { action: { type: 'status' } }],
    ['POST', 'faults', { action: { type: 'delay', ms: '5' } }],
    ['POST', 'faults', { action: { type: 'status', canned: 'nope' } }],
    ['POST', 'settings', { nope: 1 }],
    ['POST', 'settings', { dailyApiLimit: 'many' }],
    ['POST', 'settings', { apiUsed: 'all' }],
    ['POST', 'settings', { latencyMs: { min: 1 } }],
    ['POST', 'settings', { compositeAccess: 'never' }],
    ['POST', 'settings', { duplicateResultKey: 'other' }],
    ['POST', 'settings', { storageFullFor: 'Contact' }],
    ['POST', 'faults', { action: { type: 'recordError', canned: 'nope' } }],
    ['POST', 'objects', { name: 'x' }],
    ['POST', 'settings', '{'],
    ['GET', 'records/Contact?limit=x', undefined],
    ['GET', 'records/Contact?externalId=x&field=Nope', undefined],
  ])('%s %s with %j is refused with the reason', async (method, path, body) => {
    const client = await connect()
    const reply = await admin(client, method, path, body)
    expect(reply.status).toBe(400)
    expect((reply.body as { error: string }).error).not.toBe('')
  })
})
