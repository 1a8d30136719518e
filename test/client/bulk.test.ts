import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { ManyResult, ManyWrite, WritebackError } from '../../src/client/index.ts'
import { newId } from '../../src/kernel/ids.ts'
import { startService, type Service } from '../support/service.ts'
import { answerJson, clientOf, clientOfStandIn, problemOf, startStandIn, type StandIn } from './harness.ts'

let service: Service
beforeAll(async () => {
  service = await startService()
})
afterAll(() => service.stop())

const standIns: StandIn[] = []
afterEach(async () => {
  await Promise.all(standIns.splice(0).map((one) => one.close()))
})

const contact = (LastName: string) => ({
  groupRef: service.tenant.groupRef,
  type: 'create' as const,
  record: { LastName },
})
const named = (LastName: string): ManyWrite => ({ ...contact(LastName), objectName: 'Contact' })
const count = (name: string): number => service.simulator.org.find('Contact', 'LastName', name).length
const linesOf = (body: string) =>
  body
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as ManyWrite)
async function all(results: AsyncIterable<ManyResult>): Promise<ManyResult[]> {
  const list: ManyResult[] = []
  for await (const one of results) list.push(one)
  return list
}

/** A stand-in that takes bulk calls: `answer` gets the lines and gives a result for each, or cuts the answer off. */
async function bulkStandIn(
  answer: (lines: ManyWrite[], before: number) => (object | 'cut')[] | Promise<(object | 'cut')[]>,
): Promise<StandIn> {
  const standIn = await startStandIn(async ({ body }, response, before) => {
    const results = await answer(linesOf(body), before)
    response.writeHead(200, { 'content-type': 'application/x-ndjson' })
    for (const result of results) {
      if (result === 'cut') {
        await new Promise((resolve) => response.write('{"operat', resolve))
        response.destroy()
        return
      }
      response.write(`${JSON.stringify(result)}\n`)
    }
    response.end()
  })
  standIns.push(standIn)
  return standIn
}

describe('writes that are given at the same time', () => {
  it('share a call, and each gets its own operation or its own problem', async () => {
    let calls = 0
    const client = clientOf(service, {
      fetch: (input, init) => {
        calls += 1
        return fetch(input, init)
      },
    })
    const writes = Array.from({ length: 300 }, (_, n) => client.enqueue('Contact', contact(`enqueued-${n}`)))
    const wrong = client.enqueue('Contact', { ...contact('x'), groupRef: 'nobody' })
    const error = await wrong.catch((thrown: unknown) => thrown as WritebackError)
    expect(error).toMatchObject({ code: 'NOT_FOUND', idempotencyKey: expect.any(String) as string })
    const ids = (await Promise.all(writes)).map((one) => one.operationId)
    expect(calls).toBe(1)
    const operations = await client.wait(ids)
    const records = operations.map((one) =>
      service.simulator.org.record(one.metadata.successfulRecordIds[0]!),
    )
    expect(records.map((record) => record?.['LastName'])).toEqual(ids.map((_, n) => `enqueued-${n}`))
  })

  it('fill calls of up to 1,000 where they have to wait for one', async () => {
    const standIn = await bulkStandIn((lines) => lines.map(() => ({ operationId: 'id' })))
    const client = clientOfStandIn(standIn, { bulkCalls: 1 })
    const write = { groupRef: 'g', type: 'create' as const, record: {} }
    await Promise.all(Array.from({ length: 2_500 }, () => client.enqueue('Contact', write)))
    expect(standIn.seen.map((one) => linesOf(one.body).length)).toEqual([1_000, 1_000, 500])
  })

  it('are given again with their own keys when the answer is cut off', async () => {
    const standIn = await bulkStandIn((lines, before) => {
      const results = lines.map((line) => ({ operationId: `id-${String(line.record['n'])}` }))
      return before === 0 ? [...results.slice(0, 4), 'cut'] : results
    })
    const client = clientOfStandIn(standIn)
    const given = Array.from({ length: 10 }, (_, n) =>
      client.enqueue('Contact', { groupRef: 'g', type: 'create', record: { n } }),
    )
    expect((await Promise.all(given)).map((one) => one.operationId)).toEqual(given.map((_, n) => `id-${n}`))
    const [first, second] = standIn.seen.map((one) => linesOf(one.body))
    expect(second).toEqual(first!.slice(4))
    expect(new Set(first!.map((line) => line.idempotencyKey)).size).toBe(10)
  })

  it('are given again one by one when they are refused for now, and all when the call is', async () => {
    const standIn = await startStandIn(async ({ body }, response, before) => {
      const lines = linesOf(body)
      if (before === 0) {
        answerJson(response, 503, problemOf(503, 'SHUTTING_DOWN'))
        return
      }
      const refused = { problem: problemOf(429, 'TOO_MUCH_QUEUED') }
      const wrong = { problem: problemOf(400, 'INVALID_REQUEST', { retryable: false }) }
      const result = ({ record }: ManyWrite) =>
        record['n'] === 2
          ? wrong
          : before === 1 && record['n'] === 1
            ? refused
            : { operationId: `id-${String(record['n'])}` }
      response.writeHead(200, { 'content-type': 'application/x-ndjson' })
      response.end(lines.map((line) => `${JSON.stringify(result(line))}\n`).join(''))
      return Promise.resolve()
    })
    standIns.push(standIn)
    const client = clientOfStandIn(standIn)
    const given = [0, 1, 2].map((n) =>
      client.enqueue('Contact', { groupRef: 'g', type: 'create', record: { n } }),
    )
    const settled = await Promise.allSettled(given)
    expect(settled).toMatchObject([
      { value: { operationId: 'id-0' } },
      { value: { operationId: 'id-1' } },
      { reason: { code: 'INVALID_REQUEST', status: 400 } },
    ])
    expect(standIn.seen.map((one) => linesOf(one.body).length)).toEqual([3, 3, 1])
  })

  it('fail together when the call is refused for good, and alone when their signals end them', async () => {
    const standIn = await startStandIn((_, response) =>
      answerJson(response, 403, problemOf(403, 'FORBIDDEN')),
    )
    standIns.push(standIn)
    const client = clientOfStandIn(standIn, { coalesceMs: 20 })
    const write = { groupRef: 'g', type: 'create' as const, record: {} }
    const ending = new AbortController()
    const given = [
      client.enqueue('Contact', write),
      client.enqueue('Contact', write, { signal: ending.signal }),
    ]
    ending.abort(new Error('enough'))
    const settled = await Promise.allSettled(given)
    expect(settled).toMatchObject([{ reason: { code: 'FORBIDDEN' } }, { reason: { message: 'enough' } }])
    expect(standIn.seen.map((one) => linesOf(one.body).length)).toEqual([1])
  })
})

describe('many writes', () => {
  it('get their results in order, by calls of up to 1,000, and are made once however often they are given', async () => {
    const writes = Array.from({ length: 2_300 }, (_, n) => ({
      ...named(`many-${n}`),
      idempotencyKey: newId(),
    }))
    const sizes: number[] = []
    const client = clientOf(service, {
      fetch: (input, init) => {
        sizes.push(
          new TextDecoder()
            .decode(init?.body as Uint8Array)
            .trimEnd()
            .split('\n').length,
        )
        return fetch(input, init)
      },
    })
    const results = await all(client.writeMany(writes))
    expect(sizes).toEqual([1_000, 1_000, 300])
    expect(results.map((one) => one.index)).toEqual(writes.map((_, index) => index))
    expect(results.map((one) => one.idempotencyKey)).toEqual(writes.map((one) => one.idempotencyKey))
    const again = await all(clientOf(service).writeMany(writes.slice(0, 10)))
    expect(again).toEqual(results.slice(0, 10))
    await clientOf(service).wait(results.map((one) => one.operationId!))
    expect([count('many-0'), count('many-1500'), service.simulator.org.count('Contact') >= 2_300]).toEqual([
      1,
      1,
      true,
    ])
  })

  it('come from where they come from no faster than there is room, and one that is refused stops none', async () => {
    let read = 0
    let held = 0
    let most = 0
    async function* source(): AsyncGenerator<ManyWrite> {
      for (; read < 12_000; read += 1) {
        if (read % 5_000 === 0) await Promise.resolve()
        yield { objectName: 'Contact', groupRef: 'g', type: 'create', record: { n: read } }
      }
    }
    const standIn = await bulkStandIn(async (lines) => {
      held += 1
      most = Math.max(most, held)
      await new Promise((resolve) => setTimeout(resolve, 5))
      held -= 1
      return lines.map(({ record }) =>
        record['n'] === 7
          ? { problem: problemOf(400, 'INVALID_REQUEST', { retryable: false }) }
          : { operationId: `id-${String(record['n'])}` },
      )
    })
    let ahead = 0
    let index = 0
    for await (const result of clientOfStandIn(standIn, { bulkCalls: 2 }).writeMany(source())) {
      if (index === 7) expect(result.error).toMatchObject({ code: 'INVALID_REQUEST' })
      else expect(result.operationId).toBe(`id-${index}`)
      ahead = Math.max(ahead, read - index)
      index += 1
    }
    expect(index).toBe(12_000)
    expect(ahead).toBeLessThanOrEqual(2_001)
    expect(most).toBeLessThanOrEqual(2)
  })

  it('end with their source, with their reader, and with their signal', async () => {
    const standIn = await bulkStandIn((lines) => lines.map(() => ({ operationId: 'id' })))
    const client = clientOfStandIn(standIn)
    const write: ManyWrite = { objectName: 'Contact', groupRef: 'g', type: 'create', record: {} }
    let isClosed = false
    function* endless(): Generator<ManyWrite> {
      try {
        for (;;) yield write
      } finally {
        isClosed = true
      }
    }
    for await (const one of client.writeMany(endless())) {
      expect(one.operationId).toBe('id')
      break
    }
    expect(isClosed).toBe(true)
    const broken = (function* () {
      yield write
      throw new Error('the file ended')
    })()
    await expect(all(client.writeMany(broken))).rejects.toThrow('the file ended')
    await expect(
      all(client.writeMany(endless(), { signal: AbortSignal.abort(new Error('enough')) })),
    ).rejects.toThrow('enough')
    expect(await all(client.writeMany([]))).toEqual([])
  })

  it('of megabytes each go in calls of less than 32 MB', async () => {
    const sizes: number[] = []
    const standIn = await startStandIn(({ body }, response) => {
      sizes.push(body.length)
      response.writeHead(200, { 'content-type': 'application/x-ndjson' })
      response.end('{"operationId":"id"}\n'.repeat(body.split('\n').length - 1))
    })
    standIns.push(standIn)
    const big = 'x'.repeat(4 * 1024 * 1024)
    const writes = Array.from({ length: 10 }, (): ManyWrite => ({
      objectName: 'Contact',
      groupRef: 'g',
      type: 'create',
      record: { big },
    }))
    expect(await all(clientOfStandIn(standIn).writeMany(writes))).toHaveLength(10)
    expect(Math.max(...sizes)).toBeLessThanOrEqual(32 * 1024 * 1024)
    expect(sizes.length).toBeLessThan(10)
  })
})
