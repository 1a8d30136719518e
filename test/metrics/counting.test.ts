import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startReceiver } from '../notify/receiver.ts'
import { logUntil, makeDestination, passTheTime } from '../notify/set-up.ts'
import { caller, createTenant, startService, type Service, type Tenant } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'
import { readSamples, type Samples } from './samples.ts'

let service: Service
let tenant: Tenant
beforeAll(async () => {
  service = await startService()
  tenant = service.tenant
})
afterAll(() => service.stop())

const scrape = (): Promise<Samples> => readSamples(service.app.url)

type Growth = (name: string, labels?: Record<string, string>) => number

/**
 * By how much samples grow while something runs.
 *
 * @param ended writes that end meanwhile: a caller may hear of an outcome before it is counted
 */
async function growth(run: () => Promise<unknown>, ended = 0): Promise<Growth> {
  const before = await scrape()
  await run()
  let after = await scrape()
  const grown: Growth = (name, labels) => after.sum(name, labels) - before.sum(name, labels)
  const isCounted = async (): Promise<boolean> => {
    after = await scrape()
    return grown('writeback_writes_ended_total') >= ended
  }
  await waitUntil(isCounted, { timeoutMs: 5_000, what: `${ended} outcomes to be counted` })
  return grown
}

const create = (record: Record<string, unknown>, policy: Record<string, unknown> = {}, of = tenant) =>
  of.write('Contact', { type: 'create', record, autoBatchPolicy: policy })

const people = (count: number, policy: Record<string, unknown>, of = tenant) =>
  Promise.all(Array.from({ length: count }, (_, n) => create({ LastName: `n${n}` }, policy, of)))

const allEnded = (ids: string[], of = tenant) => Promise.all(ids.map((id) => of.operation(id)))

describe('asynchronous writes', () => {
  it('are counted as they are accepted, sent and ended', async () => {
    const grown = await growth(async () => {
      const ids = await people(5, { maxRecords: 6, maxDelayMinutes: 60 })
      await allEnded([
        ...ids,
        await create({ FirstName: 'no last name' }, { maxRecords: 6, maxDelayMinutes: 60 }),
      ])
    }, 6)
    expect(grown('writeback_writes_accepted_total', { mode: 'asynchronous', type: 'create' })).toBe(6)
    expect(grown('writeback_commit_writes_sum')).toBe(6)
    expect(grown('writeback_commit_writes_count')).toBeGreaterThan(0)
    expect(grown('writeback_commit_duration_seconds_count')).toBe(grown('writeback_commit_writes_count'))
    expect(grown('writeback_group_writes_count', { trigger: 'full' })).toBe(1)
    expect(grown('writeback_group_writes_sum', { trigger: 'full' })).toBe(6)
    expect(grown('writeback_writes_sent_total')).toBe(6)
    expect(grown('writeback_api_calls_saved_total')).toBe(5)
    expect(grown('writeback_provider_calls_total', { operation: 'collection', status: '2xx' })).toBe(1)
    expect(grown('writeback_provider_call_duration_seconds_count', { operation: 'collection' })).toBe(1)
    expect(grown('writeback_writes_ended_total', { outcome: 'succeeded', class: 'none' })).toBe(5)
    expect(grown('writeback_writes_ended_total', { outcome: 'failed', class: 'validation' })).toBe(1)
    expect(grown('writeback_writes_ended_total')).toBe(6)
    expect(grown('writeback_outcome_duration_seconds_count')).toBe(6)
    expect(grown('writeback_retries_total')).toBe(0)
  })

  it('leave for a reason: a deadline, a flush, or a free place of another call', async () => {
    const late = await growth(async () => allEnded(await people(2, { maxDelaySeconds: 0.3 })))
    expect(late('writeback_group_writes_sum', { trigger: 'deadline' })).toBe(2)
    expect(late('writeback_group_lateness_seconds_count')).toBe(late('writeback_group_writes_count'))
    expect(late('writeback_group_lateness_seconds_sum')).toBeGreaterThan(0)

    const flushed = await growth(async () => {
      const ids = await people(3, { maxDelayMinutes: 60 })
      const base = `/v1/projects/${tenant.projectId}`
      const path = `${base}/integrations/${tenant.integrationId}/installations/${tenant.installationId}/lanes`
      const { body } = await tenant.call<{ results: { id: string }[] }>('GET', path)
      expect(body.results).toHaveLength(1)
      await tenant.call('POST', `${base}/lanes/${body.results[0]!.id}:flush`)
      await allEnded(ids)
    })
    expect(flushed('writeback_group_writes_sum', { trigger: 'flush' })).toBe(3)
    expect(flushed('writeback_group_writes_count')).toBe(1)

    const ridden = await growth(async () => {
      const riding = await tenant.write('Account', {
        type: 'create',
        record: { Name: 'rider' },
        autoBatchPolicy: { maxDelayMinutes: 60 },
      })
      await allEnded([...(await people(1, { maxDelaySeconds: 0 })), riding])
    })
    expect(ridden('writeback_group_writes_sum', { trigger: 'rider' })).toBe(1)
    expect(ridden('writeback_provider_calls_total', { operation: 'composite', status: '2xx' })).toBe(1)
  })

  it('whose answers are lost are in doubt, or sent again where that is safe', async () => {
    const { faults } = service.simulator.org
    const lose = (operation: string) => faults.add({ match: { operation }, action: { type: 'dropAfter' } })
    const lost = await growth(async () => {
      lose('collections.create')
      await allEnded(await people(2, { maxDelaySeconds: 0.2 }))
    }, 2)
    expect(lost('writeback_writes_ended_total', { outcome: 'in_doubt', class: 'none' })).toBe(2)
    expect(lost('writeback_provider_calls_total', { operation: 'collection', status: 'none' })).toBe(1)
    expect(lost('writeback_retries_total')).toBe(0)

    const again = await growth(async () => {
      lose('collections.upsert')
      const record = { External_Id__c: 'again', Name: 'Again' }
      const upsert = { type: 'upsert', externalIdField: 'External_Id__c', record }
      await allEnded([await tenant.write('Account', upsert)])
    }, 1)
    expect(again('writeback_writes_ended_total', { outcome: 'succeeded' })).toBe(1)
    expect(again('writeback_retries_total')).toBe(1)
    expect(again('writeback_writes_sent_total')).toBe(2)
    expect(again('writeback_api_calls_saved_total')).toBe(0)
  })

  it('that a limit of the org turns away are deferred, which is no outcome and no retry', async () => {
    const paused = await createTenant(service.app.url, service.simulator.url)
    const before = await scrape()
    service.simulator.org.faults.add({
      match: { operation: 'collections.create' },
      action: { type: 'status', canned: 'concurrentRequests' },
    })
    await people(3, { maxRecords: 3, maxDelayMinutes: 60 }, paused)
    const deferred = async () =>
      (await scrape()).sum('writeback_deferred_total') - before.sum('writeback_deferred_total')
    await waitUntil(async () => (await deferred()) > 0, { timeoutMs: 5_000, what: 'writes to be deferred' })
    expect(await deferred()).toBe(3)
    const after = await scrape()
    for (const name of ['writeback_retries_total', 'writeback_writes_ended_total'])
      expect(after.sum(name), name).toBe(before.sum(name))
  })
})

describe('writes that end by hand', () => {
  const byHand = (id: string, move: string, body?: unknown) =>
    tenant.call('POST', `/v1/projects/${tenant.projectId}/operations/${id}:${move}`, body)

  it('are counted as what they end as: cancelled, or settled one way or the other', async () => {
    const cancelled = await growth(async () => {
      await byHand(await create({ LastName: 'x' }, { maxDelayMinutes: 60 }), 'cancel')
    }, 1)
    expect(cancelled('writeback_writes_ended_total', { outcome: 'cancelled', class: 'cancelled' })).toBe(1)

    const { faults } = service.simulator.org
    const settled = await growth(async () => {
      faults.add({ match: { operation: 'collections.create' }, action: { type: 'dropAfter' } })
      const [one, two, three] = await people(3, { maxRecords: 3, maxDelayMinutes: 60 })
      await allEnded([one!, two!, three!])
      await byHand(one!, 'resolve', { success: true })
      await byHand(two!, 'resolve', { success: false })
      expect((await byHand(two!, 'cancel')).status).toBe(409)
    }, 5)
    const ended = (outcome: string, kind: string) =>
      settled('writeback_writes_ended_total', { outcome, class: kind })
    expect([ended('in_doubt', 'none'), ended('succeeded', 'by_hand'), ended('failed', 'by_hand')]).toEqual([
      3, 1, 1,
    ])
    expect(settled('writeback_writes_ended_total')).toBe(5)
  })

  it('are counted when their installation is deleted', async () => {
    const leaving = await createTenant(service.app.url, service.simulator.url)
    await people(3, { maxDelayMinutes: 60 }, leaving)
    const grown = await growth(async () => {
      const path = `/v1/projects/${leaving.projectId}/integrations/${leaving.integrationId}/installations/${leaving.installationId}`
      expect((await caller(service.app.url)('DELETE', path)).status).toBe(204)
    }, 3)
    expect(grown('writeback_writes_ended_total', { outcome: 'cancelled', class: 'cancelled' })).toBe(3)
  })
})

describe('notifications', () => {
  it('are counted by what came of each attempt, and seen while they wait', async () => {
    const receiver = await startReceiver()
    const told = await createTenant(service.app.url, service.simulator.url)
    const made = await makeDestination(service.app.url, told, receiver.url)
    try {
      let calls = 0
      const { promise: answer, resolve } = Promise.withResolvers<number>()
      receiver.behave(() => ([answer, 'cut', 204] as const)[calls++] ?? 410)
      const grown = await growth(async () => {
        await told.write('Contact', { type: 'create', record: { LastName: 'told' } })
        await receiver.until(1)
        expect((await scrape()).value('writeback_deliveries_under_way')).toBe(1)
        resolve(500)
        for (const attempts of [1, 2]) {
          await logUntil(told, made, ([one]) => one?.attempts === attempts && one.state === 'pending')
          await passTheTime(service.database.sql)
        }
        await logUntil(told, made, ([one]) => one?.state === 'delivered')
        await told.write('Contact', { type: 'create', record: { LastName: 'gone' } })
        await logUntil(told, made, ([one]) => one?.lastStatus === 410)
      }, 2)
      const results = ['delivered', 'refused', 'unanswered'].map((result) =>
        grown('writeback_deliveries_total', { result }),
      )
      expect(results).toEqual([1, 2, 1])
      expect(grown('writeback_delivery_duration_seconds_count')).toBe(4)
      expect(grown('writeback_destinations_switched_off_total', { reason: 'receiver_gone' })).toBe(1)
    } finally {
      await receiver.close()
    }
  })
})

describe('synchronous writes', () => {
  it('are counted once answered, and cost a call each', async () => {
    const grown = await growth(async () => {
      await tenant.post('Contact', { type: 'create', record: { LastName: 'x' } })
      await tenant.post('Contact', { type: 'create', record: { FirstName: 'x' } })
    }, 2)
    expect(grown('writeback_writes_accepted_total', { mode: 'synchronous', type: 'create' })).toBe(2)
    expect(grown('writeback_group_writes_count', { trigger: 'synchronous' })).toBe(2)
    expect(grown('writeback_writes_sent_total')).toBe(2)
    expect(grown('writeback_api_calls_saved_total')).toBe(0)
    expect(grown('writeback_writes_ended_total', { outcome: 'succeeded' })).toBe(1)
    expect(grown('writeback_writes_ended_total', { outcome: 'failed', class: 'validation' })).toBe(1)
    expect(grown('writeback_commit_writes_count')).toBe(0)
  })
})

describe('calls', () => {
  it('that repeat earlier ones are told apart, and write nothing', async () => {
    const body = (mode: string) => ({ type: 'create', mode, record: { LastName: 'once' } })
    const twice = async (mode: string) => {
      for (const time of ['first', 'second']) {
        const { status } = await tenant.post('Contact', body(mode), { 'idempotency-key': `key-${mode}` })
        expect(status, time).toBe(200)
      }
    }
    const grown = await growth(async () => {
      await twice('asynchronous')
      await twice('synchronous')
    })
    for (const mode of ['asynchronous', 'synchronous']) {
      expect(grown('writeback_writes_accepted_total', { mode }), mode).toBe(1)
      expect(grown('writeback_calls_replayed_total', { mode }), mode).toBe(1)
    }
  })

  it('that are refused are counted by code, lines of a bulk call too', async () => {
    const path = `/v1/projects/${tenant.projectId}/integrations/${tenant.integrationId}/writes`
    const grown = await growth(async () => {
      await tenant.post('Contact', { type: 'nonsense' })
      await tenant.call('GET', '/v1/nothing-here')
      const good = {
        groupRef: tenant.groupRef,
        objectName: 'Contact',
        type: 'create',
        record: { LastName: 'x' },
      }
      await tenant.call('POST', path, { writes: [good, { ...good, type: 'nonsense' }] })
    })
    expect(grown('writeback_problems_total', { code: 'INVALID_REQUEST' })).toBe(2)
    expect(grown('writeback_problems_total', { code: 'NOT_FOUND' })).toBe(1)
  })

  it('are counted by route and never by path', async () => {
    const route = '/v1/projects/:project/operations/:operation'
    const unknown = '01890000-0000-7000-8000-000000000000'
    const grown = await growth(async () => {
      await tenant.call('GET', `/v1/projects/${tenant.projectId}/operations/${unknown}`)
      await tenant.call('GET', '/v1/nothing-here')
    })
    expect(grown('writeback_http_requests_total', { method: 'GET', route, status: '404' })).toBe(1)
    expect(grown('writeback_http_request_duration_seconds_count', { method: 'GET', route })).toBe(1)
    expect(grown('writeback_http_requests_total', { route: 'none', method: 'any', status: '404' })).toBe(1)
    expect((await scrape()).text).not.toContain('nothing-here')
  })

  it('that wait for an outcome are seen while they wait', async () => {
    const id = await create({ LastName: 'waits' }, { maxDelayMinutes: 60 })
    const waiting = tenant.operation(id, 30)
    const open = async (count: number) => (await scrape()).value('writeback_open_waits') === count
    await waitUntil(() => open(1), { timeoutMs: 5_000, what: 'the wait to be open' })
    await tenant.call('POST', `/v1/projects/${tenant.projectId}/operations/${id}:cancel`)
    await waiting
    expect(await open(0)).toBe(true)
  })
})

describe('a scrape', () => {
  it('says what runs and how it does, with each metric explained', async () => {
    const samples = await scrape()
    expect(samples.value('writeback_info', { version: 'test', role: 'all' })).toBe(1)
    expect(samples.value('writeback_database_up')).toBe(1)
    for (const name of ['process_resident_memory_bytes', 'nodejs_eventloop_lag_p99_seconds'])
      expect(samples.value(name), name).toBeGreaterThan(0)
    // What the tests before have begun may still be ending.
    for (const name of ['lanes_in_work', 'commits_pending', 'synchronous_calls'])
      await waitUntil(async () => (await scrape()).value(`writeback_${name}`) === 0, {
        timeoutMs: 5_000,
        what: `${name} to be 0`,
      })
    const helped = new Set([...samples.text.matchAll(/^# HELP (\S+) \S/gm)].map(([, name]) => name))
    for (const [, name] of samples.text.matchAll(/^# TYPE (\S+)/gm)) expect(helped, name).toContain(name)
  })
})
