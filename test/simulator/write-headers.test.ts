import { describe, expect, it } from 'vitest'
import { connect, contacts, record } from './client.ts'
import type { Client, Reply } from './client.ts'

const headers = {
  'Sforce-Auto-Assign': 'FALSE',
  'Sforce-Duplicate-Rule-Header': 'allowSave=true; includeRecordDetails=false; runAsCurrentUser=true',
  'Sforce-Call-Options': 'client=writeback, defaultNamespace=wb',
  'Sforce-Mru': 'updateMru=false',
  'x-sfdc-packageversion-wb': '1.4',
}

const lowerCase = Object.fromEntries(
  Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
)

const createOne = (client: Client, more: Record<string, string>, version = 60): Promise<Reply> =>
  client.call('POST', `/services/data/v${version}.0/composite/sobjects`, { records: contacts(1) }, more)

describe('write headers', () => {
  it('are in the request log, without any others', async () => {
    const client = await connect()
    await createOne(client, { ...headers, 'X-Other': 'x' })
    await createOne(client, {})
    const [, withHeaders, without] = client.org.requests.list()
    expect(withHeaders?.headers).toEqual(lowerCase)
    expect(without?.headers).toEqual({})
  })

  it('of composite subrequests are in the log by part', async () => {
    const client = await connect()
    const part = (referenceId: string, httpHeaders?: object): object => ({
      referenceId,
      method: 'POST',
      url: '/services/data/v60.0/composite/sobjects',
      body: { allOrNone: true, records: contacts(2) },
      ...(httpHeaders ? { httpHeaders } : {}),
    })
    const body = { compositeRequest: [part('a', { ...headers, 'X-Other': 'x' }), part('b')] }
    await client.call('POST', 'composite', body, { 'Sforce-Auto-Assign': 'TRUE' })
    const entry = client.org.requests.list().at(-1)
    expect(entry?.headers).toEqual({ 'sforce-auto-assign': 'TRUE' })
    const common = {
      operation: 'collections.create',
      objects: ['Contact'],
      recordCount: 2,
      keys: [],
      allOrNone: true,
    }
    expect(entry?.parts).toEqual([
      { ...common, headers: lowerCase },
      { ...common, headers: {} },
    ])
  })

  it.each(['Accept', 'authorization', 'CONTENT-TYPE'])(
    'of a subrequest must not name %s: the whole call is refused',
    async (name) => {
      const client = await connect()
      const reply = await client.call('POST', 'composite', {
        compositeRequest: [
          {
            referenceId: 'a',
            method: 'POST',
            url: '/services/data/v60.0/sobjects/Contact',
            body: { LastName: 'x' },
            httpHeaders: { 'Sforce-Auto-Assign': 'FALSE', [name]: 'x' },
          },
        ],
      })
      expect(reply.status).toBe(400)
      expect(client.org.count('Contact')).toBe(0)
    },
  )

  it.each([
    ['Sforce-Auto-Assign', 'maybe'],
    ['Sforce-Auto-Assign', '01Q000000000001AAB'],
    ['Sforce-Duplicate-Rule-Header', 'allowSave=perhaps'],
    ['Sforce-Duplicate-Rule-Header', 'allowsave'],
    ['Sforce-Duplicate-Rule-Header', 'allow=true'],
    ['Sforce-Mru', 'false'],
    ['Sforce-Call-Options', 'name=x'],
  ])('%s: %s is refused, and nothing written', async (name, value) => {
    const client = await connect()
    const reply = await createOne(client, { [name]: value })
    expect(reply).toMatchObject({ status: 400, body: [{ errorCode: 'INVALID_HEADER' }] })
    const single = await client.call('POST', 'sobjects/Contact', { LastName: 'x' }, { [name]: value })
    expect(single.status).toBe(400)
    expect(client.org.count('Contact')).toBe(0)
  })

  it.each([
    ['Sforce-Duplicate-Rule-Header', 51],
    ['Sforce-Mru', 59],
  ])('%s means nothing in v%i', async (name, version) => {
    const client = await connect()
    expect((await createOne(client, { [name]: 'nonsense' }, version)).status).toBe(200)
    expect((await createOne(client, { [name]: 'nonsense' }, version + 1)).status).toBe(400)
  })

  it('spoil only their own subrequest when they are malformed', async () => {
    const client = await connect()
    const part = (referenceId: string, value: string): object => ({
      referenceId,
      method: 'POST',
      url: '/services/data/v60.0/composite/sobjects',
      body: { records: [record('Contact', { LastName: referenceId })] },
      httpHeaders: { 'Sforce-Auto-Assign': value },
    })
    const reply = await client.call('POST', 'composite', {
      compositeRequest: [part('bad', 'maybe'), part('good', 'false')],
    })
    expect(reply.body).toMatchObject({
      compositeResponse: [
        { httpStatusCode: 400, body: [{ errorCode: 'INVALID_HEADER' }] },
        { httpStatusCode: 200, body: [{ success: true }] },
      ],
    })
    expect(client.org.count('Contact')).toBe(1)
  })
})
