import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { expectLanesTrue, refuseIllegalMoves } from '../support/queue-fixture.ts'
import { startService, type Service } from '../support/service.ts'

let service: Service
beforeAll(async () => {
  service = await startService(
    {},
    {},
    {
      Contact: { objectName: 'Contact', deletionSettings: { enabled: true } },
      Account: { objectName: 'Account', idempotencyField: 'Write_Id__c' },
    },
  )
  await refuseIllegalMoves(service.database.sql)
})
afterEach(async () => {
  expect(service.simulator.org.faults.list()).toEqual([])
  await expectLanesTrue(service.database.sql)
})
afterAll(() => service.stop())

const anyText = expect.any(String) as string

describe('a synchronous write of one record', () => {
  it('is the default, and its answer has exactly the keys of the contract', async () => {
    const { tenant, simulator } = service
    const answer = await tenant.post('Contact', { type: 'create', record: { LastName: 'Now' } })
    expect(answer.status).toBe(200)
    const recordId = simulator.org.find('Contact', 'LastName', 'Now')[0]!['Id']
    expect(answer.body).toEqual({
      operationId: anyText,
      result: { success: true, recordId, data: { id: recordId, success: true, errors: [] } },
    })
    const operation = await tenant.operation(answer.body['operationId'] as string, 0)
    expect(operation).toMatchObject({
      status: 'success',
      metadata: { state: 'succeeded', retry: { attempts: 1 }, successfulRecordIds: [recordId] },
    })
  })

  it('updates, upserts and deletes', async () => {
    const { tenant, simulator } = service
    const id = simulator.org.create('Contact', { LastName: 'Old' })
    const update = await tenant.post('Contact', { type: 'update', record: { id, LastName: 'New' } })
    expect(update.body).toEqual({
      operationId: anyText,
      result: { success: true, recordId: id, data: expect.any(Object) as object },
    })
    expect(simulator.org.record(id)).toMatchObject({ LastName: 'New' })

    const upsert = (LastName: string) =>
      tenant.post<{ result: { recordId: string; data: { created: boolean } } }>('Contact', {
        type: 'upsert',
        externalIdField: 'External_Id__c',
        record: { External_Id__c: 'sync-1', LastName },
      })
    const [made, again] = [await upsert('Made'), await upsert('Again')]
    expect([made.body.result.data.created, again.body.result.data.created]).toEqual([true, false])
    expect(again.body.result.recordId).toBe(made.body.result.recordId)

    const gone = await tenant.post('Contact', { type: 'delete', record: { Id: id.slice(0, 15) } })
    expect(gone.status).toBe(200)
    expect(gone.body['result']).toMatchObject({ success: true, recordId: id })
    expect(simulator.org.record(id)).toBeUndefined()
  })

  it('that the provider refuses is a 422 with its errors', async () => {
    const { tenant } = service
    const answer = await tenant.post('Contact', { type: 'create', record: { FirstName: 'x' } })
    expect(answer.status).toBe(422)
    expect(answer.headers.get('content-type')).toMatch(/^application\/json/)
    const { rawResponse, ...body } = answer.body
    expect(body).toEqual({
      operationId: anyText,
      errors: [{ message: anyText, code: 'REQUIRED_FIELD_MISSING', fields: ['LastName'] }],
      result: { success: false },
    })
    if (rawResponse !== undefined) expect(rawResponse).toMatchObject({ success: false })
    const operation = await tenant.operation(body['operationId'] as string, 0)
    expect(operation).toMatchObject({ status: 'failure', metadata: { state: 'failed' } })
  })

  it('retries what can pass within its time', async () => {
    const { tenant, simulator } = service
    const id = simulator.org.create('Contact', { LastName: 'Locked' })
    simulator.org.faults.add({
      match: { recordMatches: { field: 'LastName', value: 'Unlocked' } },
      action: { type: 'recordError', canned: 'lockedRow' },
    })
    const answer = await tenant.post('Contact', { type: 'update', record: { id, LastName: 'Unlocked' } })
    expect(answer.status).toBe(200)
    const operation = await tenant.operation(answer.body['operationId'] as string, 0)
    expect(operation.metadata.retry.attempts).toBe(2)
    expect(simulator.org.record(id)).toMatchObject({ LastName: 'Unlocked' })
  })

  it('whose answer is lost is in doubt, told by a problem with its operation', async () => {
    const { tenant, simulator } = service
    simulator.org.faults.add({ match: { object: 'Contact' }, action: { type: 'dropAfter' } })
    const answer = await tenant.post('Contact', { type: 'create', record: { LastName: 'Doubtful' } })
    expect(answer.status).toBe(502)
    expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/)
    expect(answer.body).toMatchObject({
      status: 502,
      code: 'OUTCOME_UNKNOWN',
      operationId: anyText,
      retryable: false,
      remedy: anyText,
    })
    const operation = await tenant.operation(answer.body['operationId'] as string, 0)
    expect(operation.metadata).toMatchObject({ state: 'in_doubt' })
    expect(simulator.org.find('Contact', 'LastName', 'Doubtful')).toHaveLength(1)
  })

  it('that gets no answer in time is in doubt as a timeout', async () => {
    const { tenant, simulator } = service
    simulator.org.faults.add({ match: { object: 'Contact' }, action: { type: 'hang', when: 'after' } })
    const answer = await tenant.post(
      'Contact',
      { type: 'create', record: { LastName: 'Hanging' } },
      { 'request-timeout': '1' },
    )
    expect(answer.status).toBe(504)
    expect(answer.body).toMatchObject({ status: 504, code: 'OUTCOME_UNKNOWN', operationId: anyText })
  })

  it('that is safe to resend is left to the queue when the time is up', async () => {
    const { tenant, simulator } = service
    const id = simulator.org.create('Contact', { LastName: 'Slow' })
    simulator.org.faults.add({ match: { object: 'Contact' }, action: { type: 'hang', when: 'before' } })
    const answer = await tenant.post(
      'Contact',
      { type: 'update', record: { id, LastName: 'Late' } },
      { 'request-timeout': '1.0' },
    )
    expect(answer.status).toBe(504)
    expect(answer.body).toMatchObject({ code: 'STILL_TRYING', operationId: anyText })
    const operation = await tenant.operation(answer.body['operationId'] as string)
    expect(operation.metadata.state).toBe('succeeded')
    expect(simulator.org.record(id)).toMatchObject({ LastName: 'Late' })
  })

  it('of an object with an idempotencyField carries its id, and is safe to resend', async () => {
    const { tenant, simulator } = service
    simulator.org.faults.add({ match: { object: 'Account' }, action: { type: 'dropAfter' } })
    const answer = await tenant.post<{ operationId: string }>('Account', {
      type: 'create',
      record: { Name: 'Keyed' },
    })
    expect(answer.status).toBe(200)
    const records = simulator.org.find('Account', 'Name', 'Keyed')
    expect(records).toMatchObject([{ Write_Id__c: answer.body.operationId }])
  })

  it('is not held up by the wait of the queue for its lane', async () => {
    const { tenant } = service
    const waiting = await tenant.write('Contact', {
      type: 'create',
      record: { LastName: 'Waits' },
      autoBatchPolicy: { maxDelaySeconds: 3600 },
    })
    const answer = await tenant.post('Contact', { type: 'create', record: { LastName: 'Does not' } })
    expect(answer.status).toBe(200)
    expect((await tenant.operation(waiting, 0)).metadata.state).toBe('queued')
  })

  it('sends first what waits for its record', async () => {
    const { tenant, simulator } = service
    const id = simulator.org.create('Contact', { LastName: 'First' })
    const earlier = await tenant.write('Contact', {
      type: 'update',
      record: { id, LastName: 'Second', Phone: '2' },
      autoBatchPolicy: { maxDelaySeconds: 3600 },
    })
    const answer = await tenant.post('Contact', { type: 'update', record: { id, LastName: 'Third' } })
    expect(answer.status).toBe(200)
    expect((await tenant.operation(earlier, 0)).metadata.state).toBe('succeeded')
    expect(simulator.org.record(id)).toMatchObject({ LastName: 'Third', Phone: '2' })
  })
})
