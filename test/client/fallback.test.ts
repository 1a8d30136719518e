import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Client, ClientOptions, FallbackWrite, WritebackError } from '../../src/client/index.ts'
import { startApp, type App } from '../../src/app.ts'
import { newId } from '../../src/kernel/ids.ts'
import { appOptions, startService, type Service } from '../support/service.ts'
import { clientOf, problemOf } from './harness.ts'

const encryptionKey = randomBytes(32)
let service: Service
/** A process that takes calls on a database where nobody works. */
let idle: Service

beforeAll(async () => {
  service = await startService({ encryptionKey })
  idle = await startService({ role: 'api' })
})
afterAll(async () => {
  await service.stop()
  await idle.stop()
})

type Fetch = NonNullable<ClientOptions['fetch']>

/** What happens to the calls of a client: each may be let through. */
type Fate = (
  call: { isQueueing: boolean; isPromotion: boolean; nth: number },
  pass: () => Promise<Response>,
) => Promise<Response>

/** A client whose calls meet with a fate; `nth` counts the calls of one kind, from 1. */
function clientWith(fate: Fate, on: Service = service): Client {
  const seen = new Map<string, number>()
  const fetch: Fetch = (input, init) => {
    const text = typeof init?.body === 'string' ? init.body : ''
    const url = input as string
    const isQueueing = url.includes('/objects/') && text.includes('"asynchronous"')
    const isPromotion = url.endsWith(':promote')
    const kind = `${isQueueing} ${isPromotion} ${init?.method ?? ''}`
    const nth = (seen.get(kind) ?? 0) + 1
    seen.set(kind, nth)
    return fate({ isQueueing, isPromotion, nth }, () => globalThis.fetch(input, init))
  }
  return clientOf(on, { fetch })
}

const refusal = (): Promise<Response> =>
  Promise.resolve(
    new Response(JSON.stringify(problemOf(429, 'TOO_MUCH_QUEUED')), {
      status: 429,
      headers: { 'content-type': 'application/problem+json' },
    }),
  )
const lostAnswer = async (pass: () => Promise<Response>): Promise<Response> => {
  await (await pass()).text()
  throw new TypeError('fetch failed', { cause: Object.assign(new Error('reset'), { code: 'ECONNRESET' }) })
}
const refusing: Fate = ({ isQueueing }, pass) => (isQueueing ? refusal() : pass())

const contact = (LastName: string, on: Service = service): FallbackWrite => ({
  groupRef: on.tenant.groupRef,
  type: 'create',
  record: { LastName },
})
const count = (name: string, on: Service = service): number =>
  on.simulator.org.find('Contact', 'LastName', name).length
const failing = (work: Promise<unknown>): Promise<WritebackError> =>
  work.then(
    () => Promise.reject(new Error('it did not fail')),
    (error: unknown) => error as WritebackError,
  )

describe('a write with a fallback', () => {
  it('is left to the queue where that settles it in time', async () => {
    const outcome = await clientOf(service).withFallback('Contact', contact('in-time'))
    expect(outcome).toMatchObject({ via: 'asynchronous', state: 'succeeded', success: true })
    const [record] = service.simulator.org.find('Contact', 'LastName', 'in-time')
    expect(outcome.records).toEqual([{ index: 0, success: true, recordId: record!['Id'], errors: [] }])
    const refused = await clientOf(service).withFallback('Contact', {
      ...contact(''),
      record: { Email: 'a@example.com' },
    })
    expect(refused).toMatchObject({ via: 'asynchronous', state: 'failed', success: false })
    expect(refused.records[0]?.errors[0]?.code).toBe('REQUIRED_FIELD_MISSING')
  })

  it('is promoted where the queue does nothing with it, and once more answers the same', async () => {
    const options = { settleWithinMs: 50, idempotencyKey: newId() }
    const outcome = await clientOf(idle).withFallback('Contact', contact('stalls', idle), options)
    expect(outcome).toMatchObject({
      via: 'promoted',
      state: 'succeeded',
      idempotencyKey: options.idempotencyKey,
    })
    const again = await clientOf(idle).withFallback('Contact', contact('stalls', idle), options)
    expect(again).toMatchObject({ operationId: outcome.operationId, success: true, records: outcome.records })
    expect(count('stalls', idle)).toBe(1)
  })

  it('is sent at once where the queue refuses it, without what is for the queue alone', async () => {
    const queueing = { autoBatchPolicy: { maxDelayMinutes: 60 } }
    const idempotencyKey = newId()
    const client = clientWith(refusing)
    const outcome = await client.withFallback(
      'Contact',
      { ...contact('refused'), ...queueing },
      { idempotencyKey },
    )
    expect(outcome).toMatchObject({ via: 'synchronous', state: 'succeeded' })
    // The queue takes writes again; this one has been made.
    const again = await clientOf(service).withFallback(
      'Contact',
      { ...contact('refused'), ...queueing },
      { idempotencyKey },
    )
    expect(again).toEqual(outcome)
    expect(count('refused')).toBe(1)
  })

  it('of a batch: tells of each record', async () => {
    const { groupRef } = service.tenant
    const batch = [{ record: { LastName: 'fb-batch' } }, { record: { Email: 'a@example.com' } }]
    for (const client of [clientOf(service), clientWith(refusing)]) {
      const outcome = await client.withFallback('Contact', { groupRef, type: 'create', batch })
      expect(outcome).toMatchObject({ state: 'partial', success: false })
      expect(outcome.records.map((record) => [record.index, record.success, record.errors.length])).toEqual([
        [0, true, 0],
        [1, false, 1],
      ])
    }
    expect(count('fb-batch')).toBe(2)
  })

  it('is refused for good where it is wrong, and nothing is written', async () => {
    const error = await failing(
      clientOf(service).withFallback('Contact', { ...contact('wrong'), groupRef: 'nobody' }),
    )
    expect(error).toMatchObject({ code: 'NOT_FOUND', idempotencyKey: expect.any(String) as string })
    await expect(
      clientOf(service).withFallback('Contact', contact('x'), { idempotencyKey: 'k'.repeat(241) }),
    ).rejects.toThrow('at most 240')
  })

  it('with a key that another write has is refused, whichever way that one went', async () => {
    for (const mode of ['synchronous', 'asynchronous'] as const) {
      const idempotencyKey = newId()
      await clientOf(service).write('Contact', { ...contact('of-another'), mode } as never, {
        idempotencyKey,
      })
      const error = await failing(
        clientOf(service).withFallback('Contact', contact('mine'), { idempotencyKey }),
      )
      expect(error.code).toBe('IDEMPOTENCY_KEY_REUSED')
    }
    expect(count('mine')).toBe(0)
  })
})

describe('an answer that is lost', () => {
  it('of the queue: the write is found there, and not made again', async () => {
    const client = clientWith(({ isQueueing, nth }, pass) =>
      isQueueing && nth === 1 ? lostAnswer(pass) : pass(),
    )
    const outcome = await client.withFallback('Contact', contact('lost-submit'))
    expect(outcome).toMatchObject({ via: 'asynchronous', success: true })
    expect(count('lost-submit')).toBe(1)
  })

  it('of the queue, which then refuses for a while: the same', async () => {
    const client = clientWith(({ isQueueing, nth }, pass) =>
      isQueueing && nth === 1 ? lostAnswer(pass) : isQueueing && nth < 4 ? refusal() : pass(),
    )
    const outcome = await client.withFallback('Contact', contact('lost-refused'))
    expect(outcome).toMatchObject({ via: 'asynchronous', success: true })
    expect(count('lost-refused')).toBe(1)
  })

  it('of the queue, which refuses until time is up: says that it is queued, and the key to ask again with', async () => {
    const client = clientWith(({ isQueueing, nth }, pass) =>
      !isQueueing ? pass() : nth === 1 ? lostAnswer(pass) : refusal(),
    )
    const error = await failing(client.withFallback('Contact', contact('lost-late'), { giveUpAfterMs: 300 }))
    expect(error).toMatchObject({ code: 'TOO_MUCH_QUEUED', retryable: true })
    expect(error.message).toContain('The write is queued')
    const { idempotencyKey } = error
    expect(
      await clientOf(service).withFallback('Contact', contact('lost-late'), { idempotencyKey }),
    ).toMatchObject({
      via: 'asynchronous',
      success: true,
    })
    expect(count('lost-late')).toBe(1)
  })

  it('of the synchronous call: it is asked for again', async () => {
    let calls = 0
    const client = clientWith(({ isQueueing, nth }, pass) => {
      if (isQueueing) return refusal()
      calls += 1
      return nth === 1 ? lostAnswer(pass) : pass()
    })
    const outcome = await client.withFallback('Contact', contact('lost-sync'))
    expect(outcome).toMatchObject({ via: 'synchronous', success: true })
    expect([calls, count('lost-sync')]).toEqual([2, 1])
  })

  it('of the promotion: the outcome is waited for', async () => {
    const client = clientWith(
      ({ isPromotion, nth }, pass) => (isPromotion && nth === 1 ? lostAnswer(pass) : pass()),
      idle,
    )
    const outcome = await client.withFallback('Contact', contact('lost-promotion', idle), {
      settleWithinMs: 20,
    })
    expect(outcome).toMatchObject({ success: true })
    expect(count('lost-promotion', idle)).toBe(1)
  })

  it('to the queue, and arrives there when the write has been made the other way: it is not made again', async () => {
    let late: (() => Promise<Response>) | undefined
    const client = clientWith(({ isQueueing }, pass) => {
      if (!isQueueing) return pass()
      late ??= pass
      return Promise.reject(new TypeError('fetch failed'))
    })
    const outcome = await client.withFallback('Contact', contact('late-submit'))
    expect(outcome).toMatchObject({ via: 'synchronous', success: true })
    const response = await globalThis.fetch(`${service.app.url}/healthz`)
    expect(response.ok).toBe(true)
    await late!().then(
      (answer) => expect(answer.status).toBe(422),
      // The client gave the call up, and with it the late request.
      (error: unknown) => expect((error as Error).name).toBe('AbortError'),
    )
    expect(count('late-submit')).toBe(1)
  })
})

describe('a synchronous call without an outcome', () => {
  it('that may have been written is in doubt, not made again', async () => {
    service.simulator.org.faults.add({ match: { object: 'Contact' }, action: { type: 'dropAfter' } })
    const outcome = await clientWith(refusing).withFallback('Contact', contact('doubt'))
    expect(outcome).toMatchObject({ state: 'in_doubt', success: false, via: 'synchronous' })
    expect(outcome.records[0]?.errors[0]?.code).toBe('OUTCOME_UNKNOWN')
    expect(count('doubt')).toBe(1)
  })

  it('that the queue goes on with is followed', async () => {
    const { org } = service.simulator
    const Id = org.create('Contact', { LastName: 'old' })
    org.faults.add({ match: { object: 'Contact' }, action: { type: 'hang' } })
    const update = {
      groupRef: service.tenant.groupRef,
      type: 'update' as const,
      record: { Id, LastName: 'still-trying' },
    }
    const client = clientWith(refusing)
    const outcome = await client.withFallback('Contact', update, { timeoutMs: 1_000 })
    expect(outcome).toMatchObject({
      state: 'succeeded',
      via: expect.stringMatching(/^(synchronous|promoted)$/) as string,
    })
    expect(count('still-trying')).toBe(1)
  })

  it('that waited in vain for its record, or never reached the org, is made in another round', async () => {
    const { org } = service.simulator
    const Id = org.create('Contact', { LastName: 'old' })
    const update = (LastName: string) => ({
      groupRef: service.tenant.groupRef,
      type: 'update' as const,
      record: { Id, LastName },
    })
    const gate = org.faults.hold({ object: 'Contact' })
    const earlier = clientOf(service).write('Contact', update('earlier'))
    await gate.arrived
    const codes: string[] = []
    const client = clientWith(async (call, pass) => {
      if (call.isQueueing) return refusal()
      const response = await pass()
      const body = (await response.clone().json()) as { code?: string }
      codes.push(body.code ?? 'written')
      if (body.code === 'RECORD_BUSY') gate.release()
      return response
    })
    const outcome = await client.withFallback('Contact', update('later'), { timeoutMs: 1_000 })
    expect(codes).toEqual(['RECORD_BUSY', 'written'])
    expect(outcome).toMatchObject({ success: true, via: 'synchronous' })
    expect((await earlier).result).toMatchObject({ success: true })
    expect(org.record(Id)?.['LastName']).toBe('later')
  })
})

describe('a write that takes too long', () => {
  it('is not sent again while it is being sent: its outcome is waited for', async () => {
    const gate = service.simulator.org.faults.hold({ object: 'Lead' })
    const promotions: number[] = []
    const client = clientWith(async ({ isPromotion }, pass) => {
      // However slow the worker is, it is first.
      if (isPromotion) await gate.arrived
      const response = await pass()
      if (isPromotion) {
        promotions.push(response.status)
        gate.release()
      }
      return response
    })
    const { groupRef } = service.tenant
    const lead = { groupRef, type: 'create' as const, record: { LastName: 'being-sent', Company: 'C' } }
    const running = client.withFallback('Lead', lead, { settleWithinMs: 200 })
    expect(await running).toMatchObject({ via: 'asynchronous', success: true })
    expect(promotions).toEqual([409])
    expect(service.simulator.org.find('Lead', 'LastName', 'being-sent')).toHaveLength(1)
  })

  it('goes on when nobody waits any more: the error names its operation', async () => {
    const gate = service.simulator.org.faults.hold({ object: 'Account' })
    const { groupRef } = service.tenant
    const account = { groupRef, type: 'create' as const, record: { Name: 'goes-on' } }
    const options = { settleWithinMs: 50, giveUpAfterMs: 400 }
    const client = clientWith(({ isPromotion }, pass) => (isPromotion ? gate.arrived.then(pass) : pass()))
    const error = await failing(client.withFallback('Account', account, options))
    expect(error).toMatchObject({
      code: 'WAIT_TIMEOUT',
      retryable: true,
      idempotencyKey: expect.any(String) as string,
    })
    gate.release()
    const operation = await clientOf(service).wait(error.operationId!)
    expect(operation.status).toBe('success')
    const ended = new AbortController()
    const reason = new Error('enough')
    const aborted = clientOf(idle).withFallback('Contact', contact('aborted', idle), { signal: ended.signal })
    ended.abort(reason)
    await expect(aborted).rejects.toBe(reason)
  })

  it('survives a service that is away for a while', async () => {
    let away: App | undefined = await startApp(appOptions(service.database.url, { encryptionKey }))
    const port = Number(new URL(away.url).port)
    const { tenant } = service
    const client = clientOf({ app: away, tenant }, { retry: { minDelayMs: 20, maxDelayMs: 100 } })
    await away.stop(1_000)
    away = undefined
    const running = client.withFallback('Contact', contact('away'))
    away = await startApp(appOptions(service.database.url, { encryptionKey, port }))
    expect(await running.finally(() => away.stop(1_000))).toMatchObject({ success: true })
    expect(count('away')).toBe(1)
  })
})
