import { connect as openSocket } from 'node:net'
import { describe, expect, it } from 'vitest'
import type { FaultAction } from '../../src/simulator/start.ts'
import { codes, connect, contacts, postToken, record, refreshForm } from './client.ts'
import type { Client, Item, Reply } from './client.ts'

const createTwo = (client: Client): Promise<Reply> =>
  client.call('POST', 'composite/sobjects', { records: contacts(2) })

/** A request whose connection ends early: what came before, and whether anything was written. */
const lost = async (client: Client, action: FaultAction): Promise<{ error: unknown; written: number }> => {
  client.org.faults.add({ match: { operation: 'collections.create' }, action })
  const error: unknown = await createTwo(client).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  return { error, written: client.org.count('Contact') }
}

describe('answers in place of the real one', () => {
  it.each([
    [{ type: 'status', status: 503, body: 'busy' }, 503, 'busy'],
    [{ type: 'status', status: 500, body: [{ errorCode: 'X', message: 'y' }] }, 500, [{ errorCode: 'X' }]],
    [{ type: 'status', canned: 'unavailableHtml' }, 503, expect.stringContaining('<html>')],
    [{ type: 'status', canned: 'emptyServerError' }, 500, ''],
    [{ type: 'status', canned: 'unknownException' }, 500, [{ errorCode: 'UNKNOWN_EXCEPTION' }]],
    [
      { type: 'status', canned: 'concurrentRequests' },
      403,
      [
        {
          message: expect.stringContaining(
            'ConcurrentRequests (Concurrent API Requests) Limit exceeded',
          ) as unknown,
        },
      ],
    ],
    [
      { type: 'status', canned: 'concurrentLongTxn' },
      403,
      [{ message: expect.stringContaining('ConcurrentPerOrgLongTxn Limit exceeded') as unknown }],
    ],
    [{ type: 'html200' }, 200, expect.stringContaining('<html>')],
  ] as [FaultAction, number, unknown][])('%j', async (action, status, body) => {
    const client = await connect()
    client.org.faults.add({ action })
    const reply = await createTwo(client)
    expect(reply.status).toBe(status)
    if (Array.isArray(body)) expect(reply.body).toMatchObject(body)
    else expect(reply.body).toEqual(body)
    expect(client.org.count('Contact')).toBe(0)
    expect((await createTwo(client)).status).toBe(200)
  })

  it('commits first when asked to', async () => {
    const client = await connect()
    client.org.faults.add({ action: { type: 'status', canned: 'gatewayTimeoutHtml', when: 'after' } })
    expect((await createTwo(client)).status).toBe(504)
    expect(client.org.count('Contact')).toBe(2)
  })

  it('redirects', async () => {
    const client = await connect()
    client.org.faults.add({ action: { type: 'redirect', location: 'http://elsewhere.example/' } })
    const reply = await createTwo(client)
    expect([reply.status, reply.headers.get('location')]).toEqual([302, 'http://elsewhere.example/'])
    expect(client.org.count('Contact')).toBe(0)
  })

  it('forgets an item, or answers another shape, though all is written', async () => {
    const client = await connect()
    client.org.faults.add({ action: { type: 'forgetRecord', index: 0 } })
    const forgotten = (await createTwo(client)).body as Item[]
    expect(forgotten.map((item) => client.org.record(item.id ?? '')?.LastName)).toEqual(['Person 1'])
    client.org.faults.add({ action: { type: 'wrongShape' } })
    const wrong = await createTwo(client)
    expect([wrong.status, wrong.body]).toEqual([200, { unexpected: 'shape' }])
    expect(client.org.count('Contact')).toBe(4)
  })

  it('forgets an item of the first group of a composite call', async () => {
    const client = await connect()
    client.org.faults.add({ action: { type: 'forgetRecord' } })
    const group = {
      method: 'POST',
      url: '/services/data/v60.0/composite/sobjects',
      body: { records: contacts(2) },
    }
    const reply = await client.call('POST', 'composite', {
      compositeRequest: [
        { ...group, referenceId: 'a' },
        { ...group, referenceId: 'b' },
      ],
    })
    const { compositeResponse } = reply.body as { compositeResponse: { body: Item[] }[] }
    expect(compositeResponse.map((part) => part.body.length)).toEqual([1, 2])
  })
})

describe('connections that end early', () => {
  it('dropBefore: nothing is written', async () => {
    const client = await connect()
    const { error, written } = await lost(client, { type: 'dropBefore' })
    expect(error).toBeInstanceOf(TypeError)
    expect(written).toBe(0)
    expect(client.org.requests.list().at(-1)).toMatchObject({ dropped: true, faults: ['dropBefore'] })
    expect(client.org.requests.list().at(-1)).not.toHaveProperty('status')
  })

  it('dropAfter: all is written, and no byte comes back', async () => {
    const client = await connect()
    const { error, written } = await lost(client, { type: 'dropAfter' })
    expect(error).toBeInstanceOf(TypeError)
    expect(written).toBe(2)
  })

  it('cutAnswer: all is written, the headers come and the body ends midway', async () => {
    const client = await connect()
    client.org.faults.add({ match: { operation: 'collections' }, action: { type: 'cutAnswer' } })
    const response = await fetch(`${client.url}/services/data/v60.0/composite/sobjects`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${client.token}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ records: contacts(2) }),
    })
    expect(response.status).toBe(200)
    await expect(response.text()).rejects.toThrow()
    expect(client.org.count('Contact')).toBe(2)
    expect(client.org.requests.list().at(-1)).toMatchObject({ dropped: true, status: 200 })
  })

  it.each([
    ['before', 0],
    ['after', 2],
  ] as const)('hang %s: no answer ever, and %i written', async (when, written) => {
    const client = await connect()
    client.org.faults.add({ match: { operation: 'collections.create' }, action: { type: 'hang', when } })
    const controller = new AbortController()
    const call = fetch(`${client.url}/services/data/v60.0/composite/sobjects`, {
      method: 'POST',
      signal: controller.signal,
      headers: { Authorization: `Bearer ${client.token}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ records: contacts(2) }),
    })
    await client.org.waitForRequests(1, (entry) => entry.operation === 'collections.create')
    expect(client.org.count('Contact')).toBe(written)
    controller.abort()
    await expect(call).rejects.toThrow()
  })

  it('closing the simulator ends what hangs', async () => {
    const client = await connect()
    client.org.faults.add({ match: { operation: 'collections' }, action: { type: 'hang' } })
    const call = createTwo(client)
    const ended = expect(call).rejects.toThrow()
    await client.org.waitForRequests(1, (entry) => entry.operation === 'collections.create')
    await client.simulator.close()
    await ended
  })
})

describe('sessions', () => {
  it('expireSessions: that very request gets 401, and a new session works', async () => {
    const client = await connect()
    client.org.faults.add({ match: { operation: 'collections.create' }, action: { type: 'expireSessions' } })
    expect((await client.call('GET', 'limits')).status).toBe(200)
    expect((await createTwo(client)).status).toBe(401)
    client.token = (
      (await postToken(client.url, refreshForm())).body as { access_token: string }
    ).access_token
    expect((await createTwo(client)).status).toBe(200)
  })

  it('invalidGrant: waits for the token endpoint', async () => {
    const client = await connect()
    client.org.faults.add({ action: { type: 'invalidGrant' } })
    expect((await createTwo(client)).status).toBe(200)
    expect(await postToken(client.url, refreshForm())).toMatchObject({
      status: 400,
      body: { error: 'invalid_grant', error_description: 'expired access/refresh token' },
    })
    expect((await postToken(client.url, refreshForm())).status).toBe(200)
  })
})

describe('record errors', () => {
  const locked: FaultAction = { type: 'recordError', statusCode: 'UNABLE_TO_LOCK_ROW', message: 'locked' }

  it('fail the records that match, as often as they are told to', async () => {
    const client = await connect()
    client.org.faults.add({
      match: { recordMatches: { field: 'lastname', value: 'Person 1' } },
      times: 2,
      action: locked,
    })
    const results: (string | undefined)[][] = []
    for (let i = 0; i < 3; i++)
      results.push(((await createTwo(client)).body as Item[]).map((item) => codes(item)[0]))
    expect(results).toEqual([
      [undefined, 'UNABLE_TO_LOCK_ROW'],
      [undefined, 'UNABLE_TO_LOCK_ROW'],
      [undefined, undefined],
    ])
    expect(client.org.count('Contact')).toBe(4)
  })

  it('can fail all records because one matches', async () => {
    const client = await connect()
    client.org.faults.add({
      match: { recordMatches: { field: 'LastName', value: 'Person 1' } },
      action: { ...locked, everyRecord: true },
    })
    const items = (await createTwo(client)).body as Item[]
    expect(items.map((item) => item.errors)).toEqual(
      Array(2).fill([{ statusCode: 'UNABLE_TO_LOCK_ROW', message: 'locked', fields: [] }]),
    )
  })

  it('are culprits of an allOrNone request, and request-level errors of single calls', async () => {
    const client = await connect()
    client.org.faults.add({ match: { object: 'Contact' }, times: 1, action: locked })
    const items = await client.items('POST', '', { allOrNone: true, records: contacts(2) })
    expect(items.map((item) => codes(item)[0])).toEqual([
      'UNABLE_TO_LOCK_ROW',
      'ALL_OR_NONE_OPERATION_ROLLED_BACK',
    ])
    client.org.faults.add({ action: locked })
    const single = await client.call('POST', 'sobjects/Contact', { LastName: 'x' })
    expect(single).toMatchObject({
      status: 400,
      body: [{ errorCode: 'UNABLE_TO_LOCK_ROW', message: 'locked' }],
    })
  })

  it('strike updates and deletes by id, and inside composite calls', async () => {
    const client = await connect()
    const id = client.org.create('Contact', { LastName: 'a' })
    client.org.faults.add({ match: { recordMatches: { field: 'Id', value: id } }, times: 3, action: locked })
    expect(
      codes((await client.items('PATCH', '', { records: [record('Contact', { id, Title: 'x' })] }))[0]),
    ).toEqual(['UNABLE_TO_LOCK_ROW'])
    expect((await client.call('DELETE', `sobjects/Contact/${id}`)).status).toBe(400)
    const composite = await client.call('POST', 'composite', {
      compositeRequest: [
        {
          method: 'PATCH',
          url: `/services/data/v60.0/sobjects/Contact/${id}`,
          referenceId: 'a',
          body: { Title: 'x' },
        },
      ],
    })
    expect(composite.body).toMatchObject({ compositeResponse: [{ httpStatusCode: 400 }] })
    expect(client.org.record(id)?.Title).toBeNull()
    expect((await client.call('DELETE', `sobjects/Contact/${id}`)).status).toBe(204)
  })
})

describe('when faults strike', () => {
  const broken: FaultAction = { type: 'status', status: 500, body: '' }

  it.each([
    [{ method: 'post' }, true],
    [{ method: 'PATCH' }, false],
    [{ pathContains: '/composite/' }, true],
    [{ pathContains: '/jobs/' }, false],
    [{ operation: 'collections.create' }, true],
    [{ operation: 'collections' }, true],
    [{ operation: 'collect' }, false],
    [{ object: 'contact' }, true],
    [{ object: 'Lead' }, false],
    [{ recordMatches: { field: 'LastName', value: 'Person 0' } }, true],
    [{ recordMatches: { field: 'LastName' } }, true],
    [{ recordMatches: { field: 'LastName', value: 'Nobody' } }, false],
    [{ object: 'Contact', method: 'GET' }, false],
  ])('%j: %s', async (match, strikes) => {
    const client = await connect()
    client.org.faults.add({ match, action: broken })
    expect((await createTwo(client)).status).toBe(strikes ? 500 : 200)
  })

  it('a subrequest makes a composite call match', async () => {
    const client = await connect()
    client.org.faults.add({ match: { operation: 'collections.create', object: 'Contact' }, action: broken })
    const reply = await client.call('POST', 'composite', {
      compositeRequest: [
        {
          method: 'POST',
          url: '/services/data/v60.0/composite/sobjects',
          referenceId: 'a',
          body: { records: contacts(1) },
        },
      ],
    })
    expect(reply.status).toBe(500)
  })

  it('once, several times, or until removed', async () => {
    const client = await connect()
    const statuses = async (n: number): Promise<number[]> => {
      const seen: number[] = []
      for (let i = 0; i < n; i++) seen.push((await createTwo(client)).status)
      return seen
    }
    client.org.faults.add({ action: broken })
    expect(await statuses(2)).toEqual([500, 200])
    client.org.faults.add({ action: broken, times: 2 })
    expect(await statuses(3)).toEqual([500, 500, 200])
    const id = client.org.faults.add({ action: broken, times: 0 })
    expect(await statuses(3)).toEqual([500, 500, 500])
    client.org.faults.remove(id)
    expect(await statuses(1)).toEqual([200])
  })

  it('one that decides the answer at a time; the next one waits its turn', async () => {
    const client = await connect()
    client.org.faults.add({ action: { type: 'status', status: 500, body: '' } })
    client.org.faults.add({ action: { type: 'status', status: 503, body: '' } })
    expect((await createTwo(client)).status).toBe(500)
    expect((await createTwo(client)).status).toBe(503)
  })

  it('by chance, the same for the same seed', async () => {
    const pattern = async (seed: number): Promise<string> => {
      const client = await connect({ seed })
      client.org.faults.add({ action: broken, times: 0, probability: 0.5 })
      let seen = ''
      for (let i = 0; i < 20; i++) seen += (await createTwo(client)).status === 500 ? 'x' : '.'
      return seen
    }
    const first = await pattern(3)
    expect(first).toMatch(/x/)
    expect(first).toMatch(/\./)
    expect(await pattern(3)).toBe(first)
  })
})

describe('the server', () => {
  it('survives a caller who goes away in the middle of a body', async () => {
    const client = await connect()
    const { hostname, port } = new URL(client.url)
    const socket = openSocket(Number(port), hostname)
    socket.write(
      'POST /services/data/v60.0/sobjects/Contact HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"La',
    )
    await new Promise<void>((resolve) => socket.end(() => resolve()))
    expect((await client.call('GET', 'limits')).status).toBe(200)
  })
})
