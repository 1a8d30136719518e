import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isWritebackError, type WritebackError } from '../../src/client/index.ts'
import { newId } from '../../src/kernel/ids.ts'
import { ADMIN_KEY, startService, type Service } from '../support/service.ts'
import { clientOf } from './harness.ts'

let service: Service

beforeAll(async () => {
  service = await startService({}, {}, { Contact: { objectName: 'Contact' } })
})
afterAll(() => service.stop())

const client = () => clientOf(service)
const contact = (LastName: string) => ({
  groupRef: service.tenant.groupRef,
  type: 'create' as const,
  record: { LastName },
})
const count = (name: string): number => service.simulator.org.find('Contact', 'LastName', name).length
const failing = (work: Promise<unknown>): Promise<WritebackError> =>
  work.then(
    () => Promise.reject(new Error('it did not fail')),
    (error: unknown) => error as WritebackError,
  )

describe('a write', () => {
  it('synchronous: answers with the outcome, whatever it is', async () => {
    const written = await client().write('Contact', contact('sync'))
    expect(written).toMatchObject({
      result: { success: true, recordId: expect.stringMatching(/^003/) as string },
    })
    const refused = await client().write('Contact', { ...contact('x'), record: { Email: 'a@example.com' } })
    expect(refused).toMatchObject({
      result: { success: false },
      errors: [{ code: 'REQUIRED_FIELD_MISSING' }],
    })
    expect(count('sync')).toBe(1)
  })

  it('of a batch: answers with a result for each record', async () => {
    const { groupRef } = service.tenant
    const batch = [{ record: { LastName: 'of-batch' } }, { record: { Email: 'x' } }]
    const answer = await client().write('Contact', { groupRef, type: 'create', batch })
    expect(answer).toMatchObject({
      successCount: 1,
      failureCount: 1,
      results: [{ success: true }, { success: false }],
    })
    const none = await client().write('Contact', { groupRef, type: 'create', batch: batch.slice(1) })
    expect(none).toMatchObject({ successCount: 0, failureCount: 1 })
  })

  it('asynchronous: answers with the operation, which can be waited for', async () => {
    const { operationId } = await client().write('Contact', {
      ...contact('async'),
      mode: 'asynchronous',
      reference: 'r',
    })
    const operation = await client().wait(operationId)
    expect(operation).toMatchObject({ id: operationId, status: 'success', metadata: { reference: 'r' } })
    expect(count('async')).toBe(1)
  })

  it('carries a key of its own each time, and the same one answers the same', async () => {
    const idempotencyKey = newId()
    const first = await client().write('Contact', contact('keyed'), { idempotencyKey })
    const again = await client().write('Contact', contact('keyed'), { idempotencyKey })
    expect(again).toEqual({ ...first, replayed: true })
    const other = await client().write('Contact', contact('keyed'))
    expect(other.replayed).toBeUndefined()
    expect(count('keyed')).toBe(2)
    const [row] = await service.database
      .sql`select count(*)::int as count from idempotency_key where key = ${idempotencyKey}`
    expect(row).toEqual({ count: 1 })
  })

  it('says what was wrong with all of it, and never the key', async () => {
    const wrong = { ...contact('x'), groupRef: '', colour: 'red' }
    const error = await failing(client().write('Contact', wrong, { idempotencyKey: 'mine' }))
    expect(isWritebackError(error, 'INVALID_REQUEST')).toBe(true)
    expect(error).toMatchObject({ status: 400, retryable: false, idempotencyKey: 'mine' })
    expect(error.problem?.issues?.map((issue) => issue.path).sort()).toEqual(['/colour', '/groupRef'])
    expect(error.message).toContain('/colour')

    const stranger = clientOf(service, { apiKey: 'wb_not-a-key' })
    const refused = await failing(stranger.write('Contact', contact('x')))
    expect(refused).toMatchObject({ code: 'UNAUTHENTICATED', status: 401, retryable: false })
    expect(JSON.stringify([refused, refused.stack, refused.problem])).not.toContain('wb_not-a-key')
  })

  it('tells of one that cannot be made: no such group, an object that must not be deleted', async () => {
    const lost = await failing(client().write('Contact', { ...contact('x'), groupRef: 'nobody' }))
    expect(lost).toMatchObject({ code: 'NOT_FOUND', status: 404 })
    const { groupRef } = service.tenant
    const deletion = { groupRef, type: 'delete' as const, record: { id: '003000000000001AAA' } }
    expect(await failing(client().write('Contact', deletion))).toMatchObject({
      code: 'FORBIDDEN',
      status: 403,
    })
  })

  it('takes the names of a project and an integration, and a base URL that ends in /v1', async () => {
    const { body } = await service.tenant.call<{ name: string }>(
      'GET',
      `/v1/projects/${service.tenant.projectId}`,
      undefined,
      { 'x-api-key': ADMIN_KEY },
    )
    const named = clientOf(service, {
      baseUrl: `${service.app.url}/v1/`,
      project: body.name,
      integration: undefined,
    })
    const answer = await named.write('Contact', contact('named'), { integration: 'crm' })
    expect(answer.result).toMatchObject({ success: true })
    expect(() => clientOf(service, { apiKey: 'bad key\n' })).toThrow('apiKey must be')
    await expect(named.write('Contact', contact('x'))).rejects.toThrow('integration must be given')
  })
})

describe('an operation', () => {
  it('can be read, listed, looked into, and sent at once', async () => {
    const later = { autoBatchPolicy: { maxDelaySeconds: 3600 }, mode: 'asynchronous' as const }
    const { operationId } = await client().write('Contact', { ...contact('op'), ...later, reference: 'op-1' })
    expect(await client().get(operationId)).toMatchObject({ status: 'in_progress' })
    const waiting = await failing(client().wait(operationId, { timeoutMs: 50 }))
    expect(waiting).toMatchObject({ code: 'WAIT_TIMEOUT', operationId, retryable: true })

    expect(await client().promote(operationId)).toMatchObject({ operationId, result: { success: true } })
    const again = await failing(client().promote(operationId))
    expect(again).toMatchObject({ code: 'CONFLICT', status: 409, operationId })
    const logs = await client().logs(operationId)
    expect(logs.map((line) => line.message.msg)).toContain('attempt')

    const listed = []
    const { installationId } = service.tenant
    for await (const one of client().list({ installation: installationId, reference: 'op-1' }))
      listed.push(one.id)
    expect(listed).toEqual([operationId])
    let all = 0
    for await (const one of client().list({ installation: installationId, pageSize: 1 }))
      if (one.id !== '') all += 1
    const [row] = await service.database.sql`
      select (select count(*) from operation)::int + (select count(*) from write where operation_id is null)::int as count`
    expect(all).toBe(row!['count'])
    expect(count('op')).toBe(1)
  })

  it('can be cancelled, sent again and settled by hand', async () => {
    const later = { autoBatchPolicy: { maxDelaySeconds: 3600 }, mode: 'asynchronous' as const }
    const { operationId } = await client().write('Contact', { ...contact('hand'), ...later })
    expect(await client().cancel(operationId)).toMatchObject({ metadata: { state: 'cancelled' } })
    expect(await failing(client().retry(operationId))).toMatchObject({ code: 'CONFLICT' })

    const failed = await client().write('Contact', {
      ...contact('x'),
      record: { Email: 'x' },
      mode: 'asynchronous',
    })
    await client().wait(failed.operationId)
    expect(await client().retry(failed.operationId)).toMatchObject({ status: 'in_progress' })
    expect(await client().wait(failed.operationId)).toMatchObject({ metadata: { state: 'failed' } })
    const settled = await failing(client().resolve(failed.operationId, { success: true }))
    expect(settled).toMatchObject({ code: 'CONFLICT' })

    service.simulator.org.faults.add({ match: { object: 'Contact' }, action: { type: 'dropAfter' } })
    const lost = await failing(client().write('Contact', contact('hand-lost')))
    expect(lost).toMatchObject({ code: 'OUTCOME_UNKNOWN', retryable: false })
    const resolved = await client().resolve(lost.operationId!, { success: true })
    expect(resolved).toMatchObject({ metadata: { state: 'succeeded' } })
    expect(count('hand-lost')).toBe(1)
  })

  it('many are read and waited for by their ids, in order, more than one call takes', async () => {
    const { operationId } = await client().write('Contact', { ...contact('many'), mode: 'asynchronous' })
    const other = await client().write('Contact', { ...contact('many'), mode: 'asynchronous' })
    const ids = [other.operationId, operationId, other.operationId]
    expect((await client().wait(ids)).map((one) => [one.id, one.status])).toEqual(
      ids.map((id) => [id, 'success']),
    )
    const unknown = Array.from({ length: 1_500 }, () => newId())
    const found = await client().getMany([...unknown, operationId])
    expect(found.operations.map((one) => one.id)).toEqual([operationId])
    expect(found.missing).toEqual(unknown)
    expect(await failing(client().wait([operationId, unknown[0]!]))).toMatchObject({ code: 'NOT_FOUND' })
  })
})
