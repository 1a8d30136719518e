import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Batch } from '../../src/contract/batch.ts'
import type { Problem } from '../../src/contract/problem.ts'
import { createTenant, startService, type Service, type Tenant } from '../support/service.ts'
import { oneStory } from '../support/one-story.ts'

interface List {
  results: Batch[]
  pagination: { done: boolean; nextPageToken?: string }
}

let service: Service
beforeAll(async () => {
  service = await startService()
})
afterAll(() => service.stop())

const get = <T = Batch>(id: string, tenant: Tenant = service.tenant) =>
  tenant.call<T>('GET', `/v1/projects/${tenant.projectId}/batches/${id}`)
const list = (query = '', tenant: Tenant = service.tenant) =>
  tenant.call<List>(
    'GET',
    `/v1/projects/${tenant.projectId}/integrations/${tenant.integrationId}/installations/${tenant.installationId}/batches${query}`,
  )
const later = { maxDelaySeconds: 1 }

/** The group that a write is being sent in, once its call has gone out. */
async function begunFor(operationId: string): Promise<Batch> {
  for (;;) {
    const { metadata } = await service.tenant.operation(operationId, 0)
    const batch = metadata.batchId === undefined ? null : (await get(metadata.batchId)).body
    if (batch !== null && batch.startTime !== null) return batch
  }
}

describe('groups as they were sent', oneStory, () => {
  it('a group of writes: its members in order, what became of them, and the call that it shared', async () => {
    const { tenant, simulator } = service
    const writes = ['A', null, 'C'].map((LastName) => ({
      type: 'create',
      record: { LastName },
      autoBatchPolicy: later,
    }))
    const ids: string[] = []
    for (const write of writes) ids.push(await tenant.write('Contact', write))
    const lead = { type: 'create', record: { LastName: 'L', Company: 'T' }, autoBatchPolicy: later }
    const other = await tenant.write('Lead', lead)
    const operations = await Promise.all([...ids, other].map((id) => tenant.operation(id)))
    const batchIds = operations.map(({ metadata }) => metadata.batchId!)
    expect(new Set(batchIds.slice(0, 3)).size).toBe(1)
    const { status, body } = await get(batchIds[0]!)
    expect(status).toBe(200)
    expect(body).toEqual({
      id: batchIds[0],
      callId: body.callId,
      members: ids.map((operationId, index) => ({ operationId, index })),
      size: 3,
      allOrNone: false,
      attempt: 1,
      startTime: expect.stringMatching(/Z$/) as string,
      endTime: expect.stringMatching(/Z$/) as string,
      providerStatus: 200,
      successCount: 2,
      failureCount: 1,
    })
    expect(body.startTime! <= body.endTime!).toBe(true)
    expect((await get(batchIds[3]!)).body.callId).toBe(body.callId)
    expect(simulator.org.count('Contact')).toBe(2)
  })

  it("a caller's batch: every member is of its one operation", async () => {
    const { tenant } = service
    const operation = await tenant.operation(
      await tenant.write('Account', {
        type: 'create',
        batch: [{ record: { Name: 'A' } }, { record: {} }],
        batchPolicy: { allOrNone: true },
      }),
    )
    expect((await get(operation.metadata.batchId!)).body).toMatchObject({
      members: [0, 1].map((index) => ({ operationId: operation.id, index })),
      size: 2,
      allOrNone: true,
      successCount: 0,
      failureCount: 2,
    })
  })

  it('one that is being sent has begun and not ended', async () => {
    const { tenant, simulator } = service
    simulator.org.faults.add({ match: { object: 'Lead' }, action: { type: 'delay', ms: 2_000 } })
    const id = await tenant.write('Lead', { type: 'create', record: { LastName: 'Slow', Company: 'T' } })
    const batch = await begunFor(id)
    expect(batch).toMatchObject({
      endTime: null,
      providerStatus: null,
      successCount: null,
      failureCount: null,
    })
    await tenant.operation(id)
    expect((await get(batch.id)).body).toMatchObject({
      providerStatus: 200,
      successCount: 1,
      failureCount: 0,
    })
  })

  it('are listed newest first, page by page, each as it is found by its id', async () => {
    const { body } = await list()
    const ids = body.results.map(({ id }) => id)
    expect(ids).toEqual(ids.toSorted().reverse())
    expect(ids.length).toBeGreaterThan(3)
    for (const batch of body.results) expect((await get(batch.id)).body).toEqual(batch)
    const paged: string[] = []
    let query = '?pageSize=2'
    for (let done = false; !done;) {
      const page = (await list(query)).body
      paged.push(...page.results.map(({ id }) => id))
      query = `?pageSize=2&pageToken=${page.pagination.nextPageToken}`
      done = page.pagination.done
    }
    expect(paged).toEqual(ids)
  })

  it("what nobody has, and another project's, is not there", async () => {
    const other = await createTenant(service.app.url, service.simulator.url)
    const [first] = (await list()).body.results
    for (const [id, tenant] of [
      [first!.id, other],
      ['01a20139-0000-7000-8000-000000000000', service.tenant],
      ['x', service.tenant],
    ] as const) {
      const { status, body } = await get<Problem>(id, tenant)
      expect([status, body.detail]).toEqual([404, `There is no batch "${id}".`])
    }
    expect((await list('', other)).body).toEqual({ results: [], pagination: { done: true } })
  })
})
