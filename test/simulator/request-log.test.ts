import { describe, expect, it } from 'vitest'
import type { RequestEntry } from '../../src/simulator/start.ts'
import { RequestLog } from '../../src/simulator/request-log.ts'
import { connect, contacts, record, request } from './client.ts'

describe('the request log', () => {
  it('says of each request what it was about and what came of it', async () => {
    const client = await connect()
    const created = await client.items('POST', '', { allOrNone: true, records: contacts(2) })
    const id = created[0]?.id ?? ''
    await client.items('PATCH', '', { records: [record('Contact', { id: id.slice(0, 15), Title: 'x' })] })
    await client.items('PATCH', '/Lead/External_Id__c', {
      records: [
        record('Lead', { External_Id__c: 'ABCDEFGHIJKLMNO', LastName: 'x', Company: 'y' }),
        record('Lead', { External_Id__c: 'k2' }),
      ],
    })
    await client.call('PATCH', `sobjects/Contact/External_Id__c/k%203`, { LastName: 'x' })
    await client.call('DELETE', `composite/sobjects?ids=${id}`)
    const [token, create, update, upsert, single, remove] = client.org.requests.list()
    expect(token).toMatchObject({ seq: 1, method: 'POST', operation: 'token', status: 200, recordCount: 0 })
    expect(create).toMatchObject({
      seq: 2,
      path: '/services/data/v60.0/composite/sobjects',
      operation: 'collections.create',
      objects: ['Contact'],
      allOrNone: true,
      recordCount: 2,
      keys: [],
      ids: created.map((item) => item.id),
      dropped: false,
    })
    expect(create?.endMs).toBeGreaterThanOrEqual(create?.startMs ?? Number.POSITIVE_INFINITY)
    expect(update).toMatchObject({ operation: 'collections.update', keys: [id], allOrNone: false })
    expect(upsert).toMatchObject({
      operation: 'collections.upsert',
      objects: ['Lead'],
      keys: ['ABCDEFGHIJKLMNO', 'k2'],
    })
    expect(upsert?.ids).toEqual([expect.stringMatching(/^00Q/), null])
    expect(single).toMatchObject({ operation: 'single.upsert', keys: ['k 3'], status: 201, recordCount: 1 })
    expect(remove).toMatchObject({ operation: 'collections.delete', objects: ['Contact'], keys: [id] })
  })

  it('is there over HTTP, narrowed down, with counts by size', async () => {
    const client = await connect()
    for (const size of [3, 5, 3]) await client.items('POST', '', { records: contacts(size) })
    const { body } = await request(
      'GET',
      `${client.url}/__admin/requests?operation=collections.create&limit=2`,
    )
    expect(body).toMatchObject({
      totals: { total: 4, inFlight: 0, bySize: { 'collections.create': { 3: 2, 5: 1 } } },
      requests: [
        { seq: 3, recordCount: 5 },
        { seq: 4, recordCount: 3 },
      ],
    })
  })

  it('counts groups inside composite calls by size, and the calls charged', async () => {
    const client = await connect()
    const part = (referenceId: string, size: number): object => ({
      referenceId,
      method: 'POST',
      url: '/services/data/v60.0/composite/sobjects',
      body: { records: contacts(size) },
    })
    await client.items('POST', '', { records: contacts(3) })
    await client.call('POST', 'composite', { compositeRequest: [part('a', 3), part('b', 7)] })
    await client.call('GET', 'limits', undefined, { Authorization: 'Bearer nonsense' })
    expect(client.org.requests.totals).toMatchObject({
      total: 4,
      apiCalls: 2,
      bySize: { 'collections.create': { 3: 2, 7: 1 } },
      byOperation: { 'collections.create': 1, composite: 1 },
    })
    expect(client.org.requests.list().map((entry) => entry.apiCalls)).toEqual([0, 1, 1, 0])
    expect(client.org.requests.list()[2]).toMatchObject({ recordCount: 10, parts: [{}, { recordCount: 7 }] })
    client.org.settings.dailyApiLimit = 2
    expect((await client.call('GET', 'limits')).status).toBe(403)
    expect(client.org.requests.totals.apiCalls).toBe(2)
    client.org.reset()
    expect(client.org.requests.totals).toMatchObject({ apiCalls: 0, bySize: {} })
  })

  it('calls back at the end of each, and can be waited for', async () => {
    const client = await connect()
    const seen: string[] = []
    const stop = client.org.onRequest((entry) => seen.push(entry.operation))
    const waiting = client.org.waitForRequests(2, (entry) => entry.operation === 'limits')
    await client.call('GET', 'limits')
    await client.call('GET', 'limits')
    expect(await waiting).toHaveLength(2)
    expect(await client.org.waitForRequests(1, (entry) => entry.operation === 'token')).toHaveLength(1)
    stop()
    await client.call('GET', 'sobjects')
    expect(seen).toEqual(['limits', 'limits'])
    await expect(client.org.waitForRequests(9, () => true, 5)).rejects.toThrow('9 requests, saw 4')
  })

  it('keeps the last requests only, and the counts of all', () => {
    const log = new RequestLog(10)
    const start = {
      method: 'GET',
      path: '/',
      operation: 'limits',
      objects: [],
      recordCount: 0,
      keys: [],
      headers: {},
    }
    for (let i = 0; i < 35; i++) log.finish(log.start(start))
    expect(log.list().map((entry: RequestEntry) => entry.seq)).toEqual(
      Array.from({ length: 10 }, (_, i) => i + 26),
    )
    expect(log.totals).toMatchObject({ total: 35, inFlight: 0, maxInFlight: 1 })
  })

  it('gives the log option one line per request', async () => {
    const lines: object[] = []
    const client = await connect({ log: (line) => lines.push(line) })
    await client.call('GET', 'limits')
    await client.org.waitForRequests(2)
    expect(lines).toMatchObject([
      { operation: 'token', status: 200 },
      { operation: 'limits', status: 200 },
    ])
    expect(JSON.stringify(lines)).not.toContain(client.token)
  })
})
