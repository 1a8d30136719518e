import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Lane } from '../../src/contract/lane.ts'
import type { Problem } from '../../src/contract/problem.ts'
import { caller, createTenant, startService, type Service, type Tenant } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'

interface List {
  results: Lane[]
  pagination: { done: boolean; nextPageToken?: string }
}

let service: Service
/** A new one for each test: what one leaves waiting is not seen by the others. */
let tenant: Tenant

beforeAll(async () => {
  // Wake-ups come from the flush itself: no sweep is waited for.
  service = await startService({ sweepMs: 600_000 })
})
beforeEach(async () => {
  tenant = await createTenant(service.app.url, service.simulator.url, undefined, { packing: 'none' })
})
afterAll(() => service.stop())

const base = () => `/v1/projects/${tenant.projectId}`
const listed = async (query = ''): Promise<List> => {
  const path = `${base()}/integrations/${tenant.integrationId}/installations/${tenant.installationId}/lanes`
  const { status, body } = await tenant.call<List>('GET', path + query)
  expect(status).toBe(200)
  return body
}
const lanes = async (): Promise<Lane[]> => (await listed()).results
const flush = <T = Lane>(id: string, of = tenant) =>
  of.call<T>('POST', `/v1/projects/${of.projectId}/lanes/${id}:flush`)
const hour = { autoBatchPolicy: { maxDelayMinutes: 60 } }
const contact = (LastName: string, more: object = {}) =>
  tenant.write('Contact', { type: 'create', record: { LastName }, ...hour, ...more })

describe('GET …/installations/{id}/lanes', () => {
  it('lists what waits, newest lane first, and nothing else', async () => {
    expect(await listed()).toEqual({ results: [], pagination: { done: true } })
    await tenant.operation(await contact('Sent', { autoBatchPolicy: { maxDelaySeconds: 0 } }))
    expect(await lanes()).toEqual([])
    const first = await tenant.operation(await contact('A'), 0)
    await contact('B')
    const upsert = await tenant.operation(
      await tenant.write('Account', {
        type: 'upsert',
        externalIdField: 'External_Id__c',
        record: { External_Id__c: 'x', Name: 'X' },
        autoBatchPolicy: { maxDelayMinutes: 30, allOrNone: true },
      }),
      0,
    )
    const [newer, older] = await lanes()
    expect(newer).toEqual({
      id: newer!.id,
      objectName: 'Account',
      type: 'upsert',
      externalIdField: 'External_Id__c',
      allOrNone: true,
      waiting: 1,
      oldestTime: upsert.createTime,
      dueTime: upsert.metadata.retry.nextAttempt,
    })
    expect(older).toEqual({
      id: older!.id,
      objectName: 'Contact',
      type: 'create',
      allOrNone: false,
      waiting: 2,
      oldestTime: first.createTime,
      dueTime: first.metadata.retry.nextAttempt,
    })
    const page = await listed('?pageSize=1')
    expect([page.results, page.pagination.done]).toEqual([[newer], false])
    const rest = await listed(`?pageSize=1&pageToken=${page.pagination.nextPageToken}`)
    expect(rest).toEqual({ results: [older], pagination: { done: true } })
  })

  it('says what holds a lane', async () => {
    const { simulator, app } = service
    await caller(app.url)('PATCH', `${base()}/connections/${tenant.connectionId}`, {
      credentials: {
        type: 'oauth2-client-credentials',
        clientId: 'writeback-demo',
        clientSecret: 'wrong',
        loginUrl: simulator.url,
      },
    })
    await contact('Held', { autoBatchPolicy: { maxDelaySeconds: 0 } })
    await waitUntil(async () => (await lanes())[0]?.heldBy === 'connection', {
      timeoutMs: 10_000,
      what: 'the lane is held',
    })
    expect((await lanes())[0]).toMatchObject({ objectName: 'Contact', waiting: 1, heldBy: 'connection' })
  })
})

describe('POST …/lanes/{id}:flush', () => {
  it('sends all that waits at once, and nothing that comes after', async () => {
    const ids = await Promise.all(Array.from({ length: 150 }, (_, index) => contact(`W${index}`)))
    // a full group has left by itself
    await waitUntil(async () => (await lanes())[0]?.waiting === 50, {
      timeoutMs: 10_000,
      what: 'a rest that waits',
    })
    const [lane] = await lanes()
    const { status, body } = await flush(lane!.id)
    expect(status).toBe(200)
    expect(body).toMatchObject({ id: lane!.id, objectName: 'Contact', waiting: 50 })
    expect(body.dueTime! < lane!.dueTime!).toBe(true)
    const ended = await Promise.all(ids.map((id) => tenant.operation(id, 20)))
    expect(ended.filter(({ status }) => status !== 'success')).toEqual([])
    expect(await lanes()).toEqual([])

    await contact('Later')
    const [again] = await lanes()
    expect(again).toMatchObject({ id: lane!.id, waiting: 1 })
    expect(Date.parse(again!.dueTime!)).toBeGreaterThan(Date.now() + 3_000_000)
  })

  it('a lane in which nothing waits stays as it is', async () => {
    await contact('Alone')
    const [lane] = await lanes()
    await flush(lane!.id)
    await waitUntil(async () => (await lanes()).length === 0, {
      timeoutMs: 10_000,
      what: 'the lane is empty',
    })
    const { status, body } = await flush(lane!.id)
    expect([status, body]).toEqual([200, { ...lane, waiting: 0, oldestTime: null, dueTime: null }])
  })

  it("is for keys that may write, and not for another project's lanes", async () => {
    const id = await contact('Mine')
    const [lane] = await lanes()
    const other = await createTenant(service.app.url, service.simulator.url)
    for (const [laneId, of] of [
      [lane!.id, other],
      ['x', tenant],
      ['01a20139-0000-7000-8000-000000000000', tenant],
    ] as const) {
      const { status, body } = await flush<Problem>(laneId, of)
      expect([status, body.detail]).toEqual([404, `There is no lane "${laneId}".`])
    }
    expect((await tenant.operation(id, 0)).metadata.state).toBe('queued')
    expect(await lanes()).toEqual([lane])
  })
})
