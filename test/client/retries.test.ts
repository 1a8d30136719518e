import { readFileSync } from 'node:fs'
import { afterEach, describe, expect, it } from 'vitest'
import { WritebackError } from '../../src/client/index.ts'
import { answerJson, clientOfStandIn, problemOf, startStandIn, type StandIn } from './harness.ts'

const standIns: StandIn[] = []
afterEach(async () => {
  await Promise.all(standIns.splice(0).map((one) => one.close()))
})

async function standInThat(...args: Parameters<typeof startStandIn>): Promise<StandIn> {
  const standIn = await startStandIn(...args)
  standIns.push(standIn)
  return standIn
}

const accepted = { operationId: '0197a3b2-6b1f-7c52-9a53-0d3f5f2b8c11' }
const create = { groupRef: 'g', type: 'create' as const, record: { LastName: 'L' } }
const queued = { ...create, mode: 'asynchronous' as const }
const keysOf = (standIn: StandIn) => standIn.seen.map((one) => one.headers['idempotency-key'])
const failing = (work: Promise<unknown>): Promise<WritebackError> =>
  work.then(
    () => Promise.reject(new Error('it did not fail')),
    (error: unknown) => error as WritebackError,
  )

describe('a call that fails for now', () => {
  it.each([
    ['429', (r) => answerJson(r, 429, problemOf(429, 'TOO_MUCH_QUEUED'))],
    ['503', (r) => answerJson(r, 503, problemOf(503, 'DATABASE_UNAVAILABLE'))],
    ['a proxy’s 502', (r) => r.writeHead(502, { 'content-type': 'text/html' }).end('<p>Bad gateway')],
    ['a twin that still runs', (r) => answerJson(r, 409, problemOf(409, 'IDEMPOTENCY_KEY_IN_USE'))],
    ['a reset', (r) => r.destroy()],
    [
      'half an answer',
      (r) => r.writeHead(200, { 'content-type': 'application/json', 'content-length': '99' }).write('{'),
    ],
  ] as [string, (response: Parameters<typeof answerJson>[0]) => void][])(
    'after %s: is made again, with the same key',
    async (_, fail) => {
      const standIn = await standInThat((_, response, before) => {
        if (before < 2) {
          fail(response)
          if (response.headersSent && !response.writableEnded) setTimeout(() => response.destroy(), 5)
        } else answerJson(response, 200, accepted)
      })
      expect(await clientOfStandIn(standIn).write('Contact', queued)).toEqual(accepted)
      expect(standIn.seen).toHaveLength(3)
      expect(new Set(keysOf(standIn)).size).toBe(1)
      expect(keysOf(standIn)[0]).toMatch(/^[\da-f-]{36}$/)
    },
  )

  it('is made again after Retry-After, not before', async () => {
    const times: number[] = []
    const standIn = await standInThat((_, response, before) => {
      times.push(Date.now())
      if (before === 0) answerJson(response, 503, problemOf(503, 'SHUTTING_DOWN'), { 'retry-after': '1' })
      else answerJson(response, 200, accepted)
    })
    await clientOfStandIn(standIn).write('Contact', queued)
    expect(times[1]! - times[0]!).toBeGreaterThanOrEqual(990)
    const impatient = clientOfStandIn(
      await standInThat((_, response) =>
        answerJson(response, 429, problemOf(429, 'TOO_MUCH_QUEUED'), { 'retry-after': '3600' }),
      ),
    )
    const error = await failing(impatient.write('Contact', queued))
    expect(error).toMatchObject({ code: 'TOO_MUCH_QUEUED', retryable: true, retryAfterMs: 3_600_000 })
  })

  it('ends after as many tries as it may have', async () => {
    const standIn = await standInThat((_, response) => answerJson(response, 503, problemOf(503, 'X')))
    const client = clientOfStandIn(standIn, { retry: { attempts: 3, minDelayMs: 1 } })
    expect(await failing(client.write('Contact', queued))).toMatchObject({ status: 503, code: 'X' })
    expect(standIn.seen).toHaveLength(3)
    await failing(clientOfStandIn(standIn, { retry: false }).get('id'))
    expect(standIn.seen).toHaveLength(4)
  })
})

describe('a call that must not be made again', () => {
  it.each([
    [400, 'INVALID_REQUEST'],
    [409, 'CONFLICT'],
    [422, 'IDEMPOTENCY_KEY_REUSED'],
    [424, 'NO_WORKING_CONNECTION'],
    [500, 'INTERNAL'],
    [502, 'PROVIDER_UNREACHABLE'],
    [502, 'OUTCOME_UNKNOWN'],
    [504, 'STILL_TRYING'],
    [504, 'RECORD_BUSY'],
  ])('%i %s: fails at once', async (status, code) => {
    const standIn = await standInThat((_, response) =>
      answerJson(response, status, problemOf(status, code, { operationId: accepted.operationId })),
    )
    const error = await failing(clientOfStandIn(standIn).write('Contact', create))
    expect(error).toBeInstanceOf(WritebackError)
    expect(error).toMatchObject({ status, code, operationId: accepted.operationId, problem: { status } })
    expect(standIn.seen).toHaveLength(1)
  })

  it('a write without a key whose answer was lost, and moves by hand', async () => {
    const standIn = await standInThat((_, response) => response.destroy() as never)
    const client = clientOfStandIn(standIn)
    const lost = await failing(client.write('Contact', create, { idempotencyKey: null }))
    expect(lost).toMatchObject({ code: 'NO_ANSWER', status: undefined, wasSent: true })
    expect(standIn.seen.map((one) => one.headers['idempotency-key'])).toEqual([undefined])
    await failing(client.retry('some-id'))
    expect(standIn.seen).toHaveLength(2)
    // Where nobody listens, nothing was taken.
    await standIn.close()
    const unsent = await failing(client.write('Contact', create, { idempotencyKey: null }))
    expect(unsent).toMatchObject({ code: 'NO_ANSWER', wasSent: false })
  })

  it('a redirect is not followed, and what is no answer of the service says so', async () => {
    const elsewhere = await standInThat((_, response) => answerJson(response, 200, accepted))
    const standIn = await standInThat((_, response) => {
      response.writeHead(307, { location: elsewhere.url }).end()
    })
    expect(await failing(clientOfStandIn(standIn).write('Contact', queued))).toMatchObject({
      code: 'UNEXPECTED_ANSWER',
      status: 307,
    })
    expect(elsewhere.seen).toEqual([])
  })
})

describe('a call', () => {
  it('says who it is, and how long a synchronous one may take', async () => {
    const standIn = await standInThat((_, response) =>
      answerJson(response, 200, { ...accepted, result: { success: true } }),
    )
    await clientOfStandIn(standIn).write('My object', create, { timeoutMs: 2_500 })
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      version: string
    }
    expect(standIn.seen[0]).toMatchObject({
      path: '/v1/projects/acme/integrations/crm/objects/My%20object',
      headers: {
        'x-api-key': 'wb_secret-key',
        'user-agent': `writeback-client/${version}`,
        'request-timeout': '2.500',
      },
    })
    expect(JSON.parse(standIn.seen[0]!.body)).toEqual(create)
  })

  it('is given up when no answer comes in time, and when its signal says so', async () => {
    const standIn = await standInThat(() => undefined)
    const client = clientOfStandIn(standIn, { retry: false })
    expect(await failing(client.get('x', { timeoutMs: 30 }))).toMatchObject({
      code: 'TIMEOUT',
      retryable: true,
    })
    const ending = new AbortController()
    const running = client.write('Contact', queued, { signal: ending.signal })
    const reason = new Error('enough')
    ending.abort(reason)
    await expect(running).rejects.toBe(reason)
    await expect(client.get('x', { signal: ending.signal })).rejects.toBe(reason)
    // A wait between two tries ends, too.
    const busy = await standInThat((_, response) =>
      answerJson(response, 503, problemOf(503, 'X'), { 'retry-after': '30' }),
    )
    const other = new AbortController()
    const waiting = clientOfStandIn(busy).get('x', { signal: other.signal })
    setTimeout(() => other.abort(reason), 50)
    await expect(waiting).rejects.toBe(reason)
  })

  it('keeps its connection for the next', async () => {
    const ports = new Set<unknown>()
    const standIn = await standInThat((_, response) => {
      ports.add(response.socket?.remotePort)
      answerJson(response, 200, accepted)
    })
    const client = clientOfStandIn(standIn)
    for (let n = 0; n < 20; n += 1) await client.write('Contact', queued)
    // the next call may begin before the last one has given its connection back
    expect(ports.size).toBeLessThanOrEqual(2)
  })
})
