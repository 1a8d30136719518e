import { describe, expect, it } from 'vitest'
import type { FaultAction } from '../../src/simulator/start.ts'
import { codes, connect, contacts, record, request } from './client.ts'
import type { Client, Item, Reply } from './client.ts'

const create = (client: Client, count: number): Promise<Reply> =>
  client.call('POST', 'composite/sobjects', { records: contacts(count) })

const codesOf = async (client: Client, count: number): Promise<(string | undefined)[]> =>
  ((await create(client, count)).body as Item[]).map((item) => codes(item)[0])

const group = (referenceId: string, records: object[]): object => ({
  referenceId,
  method: 'POST',
  url: '/services/data/v60.0/composite/sobjects',
  body: { records },
})

describe('failures bound to the size of a group', () => {
  it.each([
    ['tooManyBatchRetries', 'Too many batch retries in the presence of Apex triggers and partial failures.'],
    ['apexCpuLimit', 'Apex CPU time limit exceeded'],
    ['apexQueryLimit', 'Too many SOQL queries: 101'],
    ['apexLock', 'UNABLE_TO_LOCK_ROW'],
  ] as const)('%s strikes all records of a big one, and none of a small one', async (canned, text) => {
    const client = await connect()
    client.org.faults.add({ match: { moreThan: 2 }, times: 0, action: { type: 'recordError', canned } })
    const items = (await create(client, 3)).body as Item[]
    for (const { errors } of items) {
      expect(errors).toMatchObject([{ statusCode: 'CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY' }])
      expect(errors[0]?.message).toContain(text)
    }
    expect(client.org.count('Contact')).toBe(0)
    expect(await codesOf(client, 2)).toEqual([undefined, undefined])
  })

  it('count each group of a composite call by itself', async () => {
    const client = await connect()
    const action: FaultAction = { type: 'recordError', canned: 'tooManyBatchRetries' }
    client.org.faults.add({ match: { moreThan: 2 }, times: 0, action })
    const compositeRequest = [group('a', contacts(2)), group('b', contacts(3))]
    await client.call('POST', 'composite', { compositeRequest })
    expect(client.org.count('Contact')).toBe(2)
  })

  it('strike deletes as well, and one record by itself unless bound to more', async () => {
    const client = await connect()
    const ids = [1, 2].map((n) => client.org.create('Contact', { LastName: `n${n}` }))
    client.org.faults.add({ match: { moreThan: 1 }, action: { type: 'recordError', canned: 'apexCpuLimit' } })
    expect((await client.call('DELETE', `sobjects/Contact/${ids[0] ?? ''}`)).status).toBe(204)
    const more = client.org.create('Contact', { LastName: 'n3' })
    const items = await client.items('DELETE', `?ids=${ids[1] ?? ''},${more}`)
    expect(items.map((item) => codes(item)[0])).toEqual(Array(2).fill('CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY'))
    client.org.faults.add({ action: { type: 'recordError', canned: 'apexCpuLimit' } })
    const single = await client.call('POST', 'sobjects/Contact', { LastName: 'x' })
    expect(single).toMatchObject({
      status: 400,
      body: [{ errorCode: 'CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY' }],
    })
  })

  it('may be of some records of a big group only', async () => {
    const client = await connect()
    const action: FaultAction = { type: 'recordError', statusCode: 'X', message: 'y' }
    client.org.faults.add({
      match: { moreThan: 1, recordMatches: { field: 'LastName', value: 'Person 0' } },
      times: 0,
      action,
    })
    expect(await codesOf(client, 2)).toEqual(['X', undefined])
    expect(await codesOf(client, 1)).toEqual([undefined])
  })

  it('may be a refusal of the whole call', async () => {
    const client = await connect()
    const action: FaultAction = { type: 'status', canned: 'exceededIdLimit' }
    client.org.faults.add({ match: { moreThan: 2 }, times: 0, action })
    const reply = await create(client, 3)
    expect(reply).toMatchObject({ status: 400, body: [{ errorCode: 'EXCEEDED_ID_LIMIT' }] })
    expect((await create(client, 2)).status).toBe(200)
    const compositeRequest = [group('a', contacts(2)), group('b', contacts(1))]
    expect((await client.call('POST', 'composite', { compositeRequest })).status).toBe(400)
  })
})

describe('an org that is full', () => {
  it('takes no new records of the objects named, and still updates', async () => {
    const client = await connect()
    client.org.create('Contact', { LastName: 'Old', External_Id__c: 'old' })
    await request('POST', `${client.url}/__admin/settings`, { storageFullFor: ['Contact'] })
    const items = await client.items('POST', '', {
      records: [...contacts(1), record('Account', { Name: 'a' })],
    })
    expect(items[0]?.errors).toEqual([
      { statusCode: 'STORAGE_LIMIT_EXCEEDED', message: 'storage limit exceeded', fields: [] },
    ])
    expect(items[1]?.success).toBe(true)
    const upserts = await client.items('PATCH', '/Contact/External_Id__c', {
      records: ['old', 'new'].map((key) => record('Contact', { External_Id__c: key, LastName: 'x' })),
    })
    expect(upserts.map((item) => codes(item)[0])).toEqual([undefined, 'STORAGE_LIMIT_EXCEEDED'])
    await request('POST', `${client.url}/__admin/settings`, { storageFullFor: [] })
    expect(await codesOf(client, 1)).toEqual([undefined])
  })
})

describe('maintenance', () => {
  const errorCode = 'INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE'

  it('refuses all records of every write, single ones included', async () => {
    const client = await connect()
    const id = client.org.create('Contact', { LastName: 'a' })
    client.org.faults.add({ id: 'm', times: 0, action: { type: 'recordError', canned: 'maintenance' } })
    expect(await codesOf(client, 2)).toEqual([errorCode, errorCode])
    expect(codes((await client.items('DELETE', `?ids=${id}`))[0])).toEqual([errorCode])
    const single = await client.call('PATCH', `sobjects/Contact/${id}`, { Title: 'x' })
    expect(single).toMatchObject({ status: 400, body: [{ errorCode }] })
    expect((await client.call('GET', `sobjects/Contact/${id}`)).status).toBe(200)
    client.org.faults.remove('m')
    expect(await codesOf(client, 1)).toEqual([undefined])
  })

  it('or the whole request with 503', async () => {
    const client = await connect()
    client.org.faults.add({ action: { type: 'status', canned: 'maintenance' } })
    expect(await create(client, 1)).toMatchObject({ status: 503, body: [{ errorCode }] })
    expect(client.org.count('Contact')).toBe(0)
  })
})

describe('an org that refuses composite calls', () => {
  it.each([
    ['forbidden', 403, 'INSUFFICIENT_ACCESS'],
    ['absent', 404, 'NOT_FOUND'],
  ] as const)('%s: %i for them alone', async (compositeAccess, status, errorCode) => {
    const client = await connect()
    await request('POST', `${client.url}/__admin/settings`, { compositeAccess })
    const call = (): Promise<Reply> =>
      client.call('POST', 'composite', { compositeRequest: [group('a', contacts(1))] })
    expect(await call()).toMatchObject({ status, body: [{ errorCode }] })
    expect(client.org.count('Contact')).toBe(0)
    expect((await create(client, 1)).status).toBe(200)
    client.org.settings.compositeAccess = 'allowed'
    expect((await call()).status).toBe(200)
  })
})

describe('HTML with a server error', () => {
  it.each([
    ['serverErrorHtml', 500],
    ['badGatewayHtml', 502],
    ['unavailableHtml', 503],
    ['gatewayTimeoutHtml', 504],
    ['noRoute', 420],
  ] as const)('%s: %i', async (canned, status) => {
    const client = await connect()
    client.org.faults.add({ action: { type: 'status', canned } })
    const reply = await create(client, 1)
    expect(reply.status).toBe(status)
    expect(reply.headers.get('content-type')).toContain('text/html')
    expect(reply.body).toContain('<html>')
  })
})

describe('a value that sinks its whole request', () => {
  const text =
    '{\n  "records": [\n    {"attributes": {"type": "Contact"}, "LastName": "a", "Synced_At__c": "soon"}\n  ]\n}'

  it('is named by line and column', async () => {
    const client = await connect()
    client.org.settings.badValueSinksRequest = true
    const [error] = (await client.call('POST', 'composite/sobjects', text)).body as { message: string }[]
    const column = (text.split('\n')[2] ?? '').indexOf('"soon"') + 1
    expect(error?.message).toContain('Cannot deserialize instance of datetime from VALUE_STRING value soon')
    expect(error?.message).toContain(`at [line:3, column:${column}]`)
  })

  it('sinks only its own part of a composite call, named by its place in the whole body', async () => {
    const client = await connect()
    client.org.settings.badValueSinksRequest = true
    const body = JSON.stringify({
      compositeRequest: [
        group('a', contacts(2)),
        group('b', [...contacts(1), record('Contact', { LastName: 'x', Score__c: 'high' })]),
      ],
    })
    const reply = await client.call('POST', 'composite', body)
    const place = `[line:1, column:${body.indexOf('"high"') + 1}]`
    expect(reply.body).toMatchObject({
      compositeResponse: [
        { httpStatusCode: 200 },
        {
          httpStatusCode: 400,
          body: [{ errorCode: 'JSON_PARSER_ERROR', message: expect.stringContaining(place) as unknown }],
        },
      ],
    })
    expect(client.org.count('Contact')).toBe(2)
  })
})
