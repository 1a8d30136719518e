import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Problem } from '../../src/contract/problem.ts'
import { newId } from '../../src/kernel/ids.ts'
import { waitUntil } from '../support/wait-until.ts'
import { createTenant, startService, type Answer, type Service } from '../support/service.ts'

let service: Service

beforeAll(async () => {
  service = await startService({ providerTimeoutMs: 5_000 })
})
afterAll(() => service.stop())

const later = { mode: 'asynchronous', autoBatchPolicy: { maxDelayMinutes: 60 } }
const promote = <T = Record<string, unknown>>(
  id: string,
  headers: Record<string, string> = {},
): Promise<Answer<T>> =>
  service.tenant.call<T>(
    'POST',
    `/v1/projects/${service.tenant.projectId}/operations/${id}:promote`,
    undefined,
    headers,
  )

it('a queued write that is promoted is answered as a synchronous call is, and once only', async () => {
  const { tenant, simulator } = service
  const id = await tenant.write('Contact', { type: 'create', record: { LastName: 'Ngata' }, ...later })
  const { status, body } = await promote(id)
  const [record] = simulator.org.find('Contact', 'LastName', 'Ngata')
  expect(status).toBe(200)
  expect(body).toEqual({
    operationId: id,
    result: {
      success: true,
      recordId: record!['Id'],
      data: { id: record!['Id'], success: true, errors: [] },
    },
  })
  expect((await tenant.operation(id)).metadata).toMatchObject({ state: 'succeeded', retry: { attempts: 1 } })
  const again = await promote<Problem>(id)
  expect([again.status, again.body.code]).toEqual([409, 'CONFLICT'])
  expect(again.body.detail).toContain('succeeded')
  expect(simulator.org.find('Contact', 'LastName', 'Ngata')).toHaveLength(1)
})

it('what the org refuses is 422, and an update names its record', async () => {
  const { tenant, simulator } = service
  const refused = await tenant.write('Contact', { type: 'create', record: { FirstName: 'No' }, ...later })
  const { status, body } = await promote(refused)
  expect(status).toBe(422)
  expect(body).toMatchObject({
    operationId: refused,
    errors: [{ code: 'REQUIRED_FIELD_MISSING', fields: ['LastName'] }],
    result: { success: false },
  })
  const account = simulator.org.create('Account', { Name: 'Before' })
  const update = await tenant.write('Account', {
    type: 'update',
    record: { id: account, Name: 'After' },
    ...later,
  })
  expect((await promote(update)).body).toMatchObject({ result: { success: true, recordId: account } })
  expect(simulator.org.record(account)).toMatchObject({ Name: 'After' })
})

it('a batch is promoted whole', async () => {
  const { tenant, simulator } = service
  const gate = simulator.org.faults.hold({ operation: 'collections.update' })
  const account = simulator.org.create('Account', { Name: 'First' })
  const other = simulator.org.create('Account', { Name: 'Other' })
  // An earlier write to one of its records is in flight, so the batch waits in the queue.
  const first = await tenant.write('Account', { type: 'update', record: { id: account, Name: 'Second' } })
  await gate.waitForArrivals(1)
  const answer = await tenant.post<{ operationId: string }>('Account', {
    type: 'update',
    mode: 'asynchronous',
    batch: [{ record: { id: account, Name: 'Third' } }, { record: { id: other, Name: 'Fourth' } }],
    batchPolicy: { allOrNone: true },
  })
  const id = answer.body.operationId
  const promoted = promote(id)
  // Only the promotion can have it: the queue waits with the whole batch for the earlier write.
  const { sql } = service.database
  await waitUntil(
    async () =>
      (await sql`select 1 from write where operation_id = ${id} and state = 'sending'`).length === 2,
    { timeoutMs: 10_000, what: 'the promotion to hold the batch' },
  )
  gate.release()
  const { status, body } = await promoted
  expect(status).toBe(200)
  expect(body).toMatchObject({ operationId: id, successCount: 2, failureCount: 0 })
  expect((await tenant.operation(first)).metadata.state).toBe('succeeded')
  expect(simulator.org.record(account)).toMatchObject({ Name: 'Third' })
  expect(simulator.org.record(other)).toMatchObject({ Name: 'Fourth' })
})

it('what is not of this project, and what is no id or no time, is refused', async () => {
  const { app, simulator } = service
  const other = await createTenant(app.url, simulator.url)
  const theirs = await other.write('Contact', { type: 'create', record: { LastName: 'Theirs' }, ...later })
  for (const id of [theirs, newId(), 'nonsense']) {
    const { status, body } = await promote<Problem>(id)
    expect([status, body.code]).toEqual([404, 'NOT_FOUND'])
  }
  const bad = await promote<Problem>(newId(), { 'request-timeout': 'soon' })
  expect([bad.status, bad.body.issues?.map((issue) => issue.path)]).toEqual([
    400,
    ['/headers/request-timeout'],
  ])
  expect((await other.operation(theirs, 0)).metadata.state).toBe('queued')
})

it('a promotion that runs out of time leaves the write to the queue', async () => {
  const { tenant, simulator } = service
  simulator.org.faults.add({
    match: { operation: 'collections.create', recordMatches: { field: 'LastName', value: 'Locked' } },
    times: 50,
    action: { type: 'recordError', statusCode: 'UNABLE_TO_LOCK_ROW', message: 'unable to obtain access' },
  })
  const id = await tenant.write('Contact', { type: 'create', record: { LastName: 'Locked' }, ...later })
  const { status, body } = await promote<Problem>(id, { 'request-timeout': '1' })
  expect([status, body.code, body.operationId]).toEqual([504, 'STILL_TRYING', id])
  expect((await tenant.operation(id, 0)).status).toBe('in_progress')
  simulator.org.faults.clear()
  expect((await tenant.operation(id)).metadata.state).toBe('succeeded')
})
