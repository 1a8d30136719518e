import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { Histogram } from '../../bench/harness/histogram.ts'
import { carryOut } from '../../bench/parts/load-orders.ts'
import { rateBetween } from '../../bench/parts/draining.ts'
import { oneStory } from '../support/one-story.ts'

let server: Server
afterEach(() => {
  server.closeAllConnections()
  server.close()
})

/** Serves; answers in pieces if `pieces`, without a length. */
async function listen(answer: (body: string) => Promise<string> | string, pieces = false): Promise<string> {
  server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      void Promise.resolve(answer(body)).then(async (text) => {
        if (!pieces) return response.setHeader('content-length', Buffer.byteLength(text)).end(text)
        for (const piece of text.match(/.{1,10}/gs) ?? []) {
          response.write(piece)
          await turn()
        }
        return response.end()
      })
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const post = (body: string) => ({ method: 'POST' as const, path: '/', headers: {}, body })
const nothing = (): void => undefined

describe('the load', oneStory, () => {
  it('makes as many calls as it is told, each in turn, and keeps their operations', async () => {
    const bodies: string[] = []
    const url = await listen((body) => `{"operationId":"${body}-${bodies.push(body)}"}`)
    const requests = [post('a'), post('b'), post('c')]
    const order = { kind: 'closed', url, requests, connections: 2, count: 7, ids: true } as const
    const result = await carryOut(order, nothing)
    expect(result).toMatchObject({ count: 7, statuses: { 200: 7 } })
    expect(bodies.toSorted()).toEqual(['a', 'a', 'a', 'b', 'b', 'c', 'c'])
    expect(new Set(result.ids).size).toBe(7)
    expect(new Histogram(result.latency).count).toBe(7)
  })

  it('reads answers in pieces and sees which does not tell of every write', async () => {
    const url = await listen((body) => `{"operationId":"é"}\n`.repeat(Number(body)), true)
    const order = { kind: 'closed', url, connections: 1, count: 2, writesPerCall: 3 } as const
    const result = await carryOut({ ...order, requests: [post('3'), post('2')] }, nothing)
    expect(result.statuses).toEqual({ 200: 1, incomplete: 1 })
  })

  it('counts latencies from when a paced call should have been made', async () => {
    let first = true
    const gate = Promise.withResolvers<string>()
    let asked = 0
    const url = await listen(() => {
      asked += 1
      if (!first) return '{}'
      first = false
      // The first holds the only connection until the others are overdue.
      setTimeout(() => gate.resolve('{}'), 60)
      return gate.promise
    })
    const order = {
      kind: 'paced',
      url,
      requests: [post('')],
      connections: 1,
      perSecond: 100,
      seconds: 0.05,
    } as const
    const result = await carryOut(order, nothing)
    expect(result.count).toBe(5)
    expect(asked).toBe(5)
    // The last was due 40 ms after the start and could not leave before 60 ms.
    expect(new Histogram(result.latency).quantile(0.01)).toBeGreaterThan(15)
  })

  it('opens every call at once and tells when all are out', async () => {
    let asked = 0
    const all = Promise.withResolvers<string>()
    const url = await listen(() => {
      asked += 1
      return all.promise
    })
    const result = await carryOut(
      { kind: 'at-once', url, requests: [post('1'), post('2'), post('3')] },
      (answered) => {
        expect(answered).toBe(0)
        all.resolve('{}')
      },
    )
    expect(asked).toBe(3)
    expect(result.answeredAt.every((at) => at > 0)).toBe(true)
  })

  it('fails when a connection is lost', async () => {
    const url = await listen(() => {
      server.closeAllConnections()
      return '{}'
    })
    const order = { kind: 'closed', url, requests: [post('')], connections: 1, count: 1 } as const
    await expect(carryOut(order, nothing)).rejects.toThrow()
  })

  it('takes a rate between the steps that count', () => {
    const steps = [0, 10, 300, 500, 900].map((ended, second) => ({ atMs: second * 1000, ended }))
    expect(rateBetween(steps, 250, 900)).toBe(300)
    expect(() => rateBetween(steps, 250, 1_000)).toThrow(RangeError)
    expect(() => rateBetween(steps, 501, 900)).toThrow('too small')
  })
})
