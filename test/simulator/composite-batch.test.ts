import { describe, expect, it } from 'vitest'
import { interaction } from '../support/engagement.ts'
import { connect, type Client, type Reply } from './client.ts'

const engagement = 'v60.0/connect/service-excellence/engagement-interactions'

const request = (part: Record<string, unknown> = {}, url = engagement): object => ({
  method: 'POST',
  url,
  richInput: { engagementInteraction: interaction(part) },
})

const post = (client: Client, batchRequests: unknown, more: object = {}): Promise<Reply> =>
  client.call('POST', 'composite/batch', { batchRequests, ...more })

interface Batch {
  hasErrors: boolean
  results: { statusCode: number; result: unknown }[]
}

const statuses = (reply: Reply): number[] => (reply.body as Batch).results.map((one) => one.statusCode)

describe('a composite batch', () => {
  it('runs its subrequests in order, commits each by itself, and counts each as a call', async () => {
    const client = await connect()
    const reply = await post(client, [
      request(),
      request({ sentiment: 'Furious' }),
      { method: 'POST', url: 'v34.0/sobjects/Account', richInput: { Name: 'Acme' } },
      { method: 'GET', url: 'v60.0/query?q=SELECT+Id+FROM+Account' },
      { method: 'GET', url: 'v60.0/limits' },
    ])
    expect(reply.status).toBe(200)
    expect(statuses(reply)).toEqual([201, 400, 201, 200, 200])
    const { hasErrors, results } = reply.body as Batch
    expect(hasErrors).toBe(true)
    expect(results[1]!.result).toMatchObject([{ errorCode: 'INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST' }])
    expect(results[3]!.result).toMatchObject({ totalSize: 1 })
    expect(client.org.counts()).toMatchObject({ Account: 1, EngagementInteraction: 1 })
    expect(client.org.apiUsed).toBe(5)
    expect(reply.headers.get('sforce-limit-info')).toBe('api-usage=5/5000000')
  })

  it('stops after an error when asked to', async () => {
    const client = await connect()
    const bad = request({ sentiment: 'Furious' })
    const reply = await post(client, [request(), bad, request()], { haltOnError: true })
    expect(statuses(reply)).toEqual([201, 400, 412])
    expect((reply.body as Batch).results[2]!.result).toMatchObject([{ errorCode: 'BATCH_PROCESSING_HALTED' }])
    expect(client.org.count('EngagementInteraction')).toBe(1)
    const plain = await post(client, [request()])
    expect(plain.body).toMatchObject({ hasErrors: false })
  })

  it.each([
    ['none', []],
    ['26', Array.from({ length: 26 }, () => request())],
    ['one that is newer than its batch', [request(), request({}, engagement.replace('60', '61'))]],
    ['one of a version that had none', [request({}, 'v33.0/limits')]],
    ['one with a whole path', [request({}, `/services/data/${engagement}`)]],
    ['one with headers', [{ ...request(), httpHeaders: {} }]],
    ['one with a body', [{ ...request(), body: {} }]],
  ])('refuses a batch of %s as a whole', async (_, requests) => {
    const client = await connect()
    const reply = await post(client, requests)
    expect(reply).toMatchObject({ status: 400, body: [{ errorCode: 'INVALID_BATCH_REQUEST' }] })
    expect(client.org.count('EngagementInteraction')).toBe(0)
  })

  it('takes 25', async () => {
    const client = await connect()
    const reply = await post(
      client,
      Array.from({ length: 25 }, () => request()),
    )
    expect(statuses(reply)).toEqual(Array(25).fill(201))
    expect(client.org.apiUsed).toBe(25)
  })

  it('refuses a subrequest to what cannot be batched, and no other', async () => {
    const client = await connect()
    const collection = { method: 'POST', url: 'v60.0/composite/sobjects', richInput: { records: [] } }
    expect(statuses(await post(client, [collection, request()]))).toEqual([400, 201])
  })

  it('is logged with its parts, struck by faults as one call, and can lack a result', async () => {
    const client = await connect()
    client.org.faults.add({
      match: { operation: 'compositeBatch' },
      action: { type: 'forgetRecord', index: 0 },
    })
    const reply = await post(client, [request({ externalIdentifierId: 'a' }), request()])
    expect(statuses(reply)).toEqual([201])
    expect(client.org.count('EngagementInteraction')).toBe(2)
    const [entry] = client.org.requests.list((one) => one.operation === 'compositeBatch')
    expect(entry).toMatchObject({
      apiCalls: 2,
      recordCount: 2,
      keys: ['a'],
      ids: [expect.any(String), expect.any(String)],
    })
    expect(entry!.parts!.map((part) => part.operation)).toEqual(['engagement.create', 'engagement.create'])
    client.org.faults.add({ match: { operation: 'engagement' }, action: { type: 'dropBefore' } })
    await expect(post(client, [request()])).rejects.toThrow()
    expect(client.org.count('EngagementInteraction')).toBe(2)
  })
})
