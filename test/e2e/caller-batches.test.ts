import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { OperationLog } from '../../src/contract/operation.ts'
import type { BatchAnswer } from '../../src/contract/write-answers.ts'
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
const missing = { message: anyText, code: 'REQUIRED_FIELD_MISSING', fields: ['LastName'] }
const rolledBack = { message: anyText, code: 'ALL_OR_NONE_OPERATION_ROLLED_BACK', fields: [] }

const named = (...names: (string | null)[]) =>
  names.map((LastName) => ({ record: LastName === null ? { FirstName: 'x' } : { LastName } }))

const logsOf = async (id: string): Promise<OperationLog['message'][]> => {
  const { tenant } = service
  const path = `/v1/projects/${tenant.projectId}/operations/${id}/logs`
  return (await tenant.call<OperationLog[]>('GET', path)).body.map((line) => line.message)
}

describe('a synchronous batch', () => {
  it('answers with each record in its place, with exactly the keys of the contract', async () => {
    const { tenant, simulator } = service
    const answer = await tenant.post<BatchAnswer>('Contact', {
      type: 'create',
      batch: named('B1', null, 'B3'),
    })
    expect(answer.status).toBe(200)
    const idOf = (name: string) => simulator.org.find('Contact', 'LastName', name)[0]!['Id']
    const written = (recordId: string) => ({
      success: true,
      recordId,
      data: { id: recordId, success: true, errors: [] },
    })
    expect(answer.body).toEqual({
      operationId: anyText,
      results: [written(idOf('B1')), { success: false, data: { errors: [missing] } }, written(idOf('B3'))],
      successCount: 2,
      failureCount: 1,
      errors: [missing],
    })
    const operation = await tenant.operation(answer.body.operationId, 0)
    expect(operation).toMatchObject({
      status: 'success',
      resource: 'Contact',
      metadata: { state: 'partial', successfulRecordIds: [idOf('B1'), idOf('B3')] },
    })
    expect(operation.metadata.records.map(({ index, success }) => [index, success])).toEqual([
      [0, true],
      [1, false],
      [2, true],
    ])
  })

  it('has no errors when every record was written', async () => {
    const { tenant } = service
    const answer = await tenant.post<BatchAnswer>('Contact', { type: 'create', batch: named('A1', 'A2') })
    expect(Object.keys(answer.body).sort()).toEqual([
      'failureCount',
      'operationId',
      'results',
      'successCount',
    ])
    expect(answer.body).toMatchObject({ successCount: 2, failureCount: 0 })
  })

  it('is undone as a whole with allOrNone, and a 422 when no record was written', async () => {
    const { tenant, simulator } = service
    const answer = await tenant.post<BatchAnswer>('Contact', {
      type: 'create',
      batch: named('N1', null, 'N3'),
      batchPolicy: { allOrNone: true },
    })
    expect(answer.status).toBe(422)
    expect(answer.body).toEqual({
      operationId: anyText,
      results: [rolledBack, missing, rolledBack].map((error) => ({
        success: false,
        data: { errors: [error] },
      })),
      successCount: 0,
      failureCount: 3,
      errors: [rolledBack, missing, rolledBack],
    })
    expect(simulator.org.find('Contact', 'LastName', 'N1')).toEqual([])
    expect((await tenant.operation(answer.body.operationId, 0)).metadata.state).toBe('failed')
  })

  it('writes 100 records in one call', async () => {
    const { tenant, simulator } = service
    const seen = simulator.org.requests.list().length
    const names = Array.from({ length: 100 }, (_, index) => `H${index}`)
    const answer = await tenant.post<BatchAnswer>('Contact', { type: 'create', batch: named(...names) })
    expect(answer.body.successCount).toBe(100)
    const ids = names.map((name) => simulator.org.find('Contact', 'LastName', name)[0]!['Id'])
    expect(answer.body.results.map((result) => result.recordId)).toEqual(ids)
    expect(simulator.org.requests.list().length - seen).toBe(1)
  })

  it('updates, upserts and deletes', async () => {
    const { tenant, simulator } = service
    const ids = ['U1', 'U2'].map((LastName) => simulator.org.create('Contact', { LastName }))
    const update = await tenant.post<BatchAnswer>('Contact', {
      type: 'update',
      variables: { name: 'Updated' },
      batch: ids.map((id) => ({ record: { id, LastName: '{{name}}' } })),
    })
    expect(update.body.results.map((result) => result.recordId)).toEqual(ids)
    for (const id of ids) expect(simulator.org.record(id)).toMatchObject({ LastName: 'Updated' })
    const upsert = await tenant.post<BatchAnswer>('Contact', {
      type: 'upsert',
      externalIdField: 'External_Id__c',
      batch: ['k1', 'k2'].map((key) => ({ record: { External_Id__c: key, LastName: key } })),
    })
    expect(upsert.body.results.map((result) => result.data)).toMatchObject([
      { created: true },
      { created: true },
    ])
    const remove = await tenant.post<BatchAnswer>('Contact', {
      type: 'delete',
      batch: ids.map((id) => ({ record: { id } })),
    })
    expect(remove.body).toMatchObject({ successCount: 2, failureCount: 0 })
    for (const id of ids) expect(simulator.org.record(id)).toBeUndefined()
  })

  it('whose answer was lost is in doubt as a whole', async () => {
    const { tenant, simulator } = service
    simulator.org.faults.add({ match: { object: 'Contact' }, action: { type: 'dropAfter' } })
    const answer = await tenant.post('Contact', { type: 'create', batch: named('D1', 'D2') })
    expect(answer.status).toBe(502)
    expect(answer.body).toMatchObject({ code: 'OUTCOME_UNKNOWN', operationId: anyText })
    const operation = await tenant.operation(answer.body['operationId'] as string, 0)
    expect(operation).toMatchObject({ status: 'failure', metadata: { state: 'in_doubt' } })
    expect(operation.metadata.records).toHaveLength(2)
  })
})

describe('an asynchronous batch', () => {
  const post = (body: Record<string, unknown>, object = 'Contact') =>
    service.tenant.write(object, { type: 'create', ...body })

  it('is one operation, sent at once and alone, whatever waits in the lane of its kind', async () => {
    const { tenant, simulator } = service
    const waiting = await post({
      record: { LastName: 'Other' },
      autoBatchPolicy: { maxDelaySeconds: 3600, maxRecords: 3 },
    })
    const id = await post({ batch: named('M1', null, 'M3'), reference: 'row 7' })
    const operation = await tenant.operation(id)
    expect(operation).toMatchObject({
      id,
      status: 'success',
      resource: 'Contact',
      metadata: { state: 'partial', reference: 'row 7', retry: { attempts: 1 } },
    })
    expect(operation.metadata.records.map((record) => record.errors)).toEqual([[], [missing], []])
    expect(simulator.org.find('Contact', 'LastName', 'M3')).toHaveLength(1)
    const other = await tenant.operation(waiting, 0)
    expect(other.metadata.batchId).not.toBe(operation.metadata.batchId)
    const logs = await logsOf(id)
    expect(logs.map(({ msg }) => msg)).toEqual(['accepted', 'grouped', 'attempt', 'outcome'])
    expect(logs[0]).toMatchObject({ size: 3 })
    expect(logs[1]).toMatchObject({ batchId: operation.metadata.batchId, size: 3 })
    expect(logs[2]).toMatchObject({
      decisions: { succeeded: 2, failed: 1 },
      failures: [{ index: 1, errors: [missing] }],
    })
  })

  it('is undone as a whole with allOrNone', async () => {
    const { tenant, simulator } = service
    const id = await post({ batch: named('Z1', null), batchPolicy: { allOrNone: true } })
    const operation = await tenant.operation(id)
    expect(operation).toMatchObject({ status: 'failure', metadata: { state: 'failed' } })
    expect(operation.metadata.records.map((record) => record.errors[0]!.code)).toEqual([
      'ALL_OR_NONE_OPERATION_ROLLED_BACK',
      'REQUIRED_FIELD_MISSING',
    ])
    expect(simulator.org.find('Contact', 'LastName', 'Z1')).toEqual([])
  })

  it('ends when the last of its records has: what can pass is sent again, the rest is not', async () => {
    const { tenant, simulator } = service
    simulator.org.faults.add({
      match: { recordMatches: { field: 'LastName', value: 'Locked' } },
      action: { type: 'recordError', canned: 'lockedRow' },
    })
    const id = await post({ batch: named('Free', 'Locked') })
    const operation = await tenant.operation(id)
    expect(operation.metadata).toMatchObject({ state: 'succeeded', retry: { attempts: 2 } })
    expect(simulator.org.find('Contact', 'LastName', 'Free')).toHaveLength(1)
    expect((await logsOf(id)).map(({ msg }) => msg)).toEqual([
      'accepted',
      'grouped',
      'attempt',
      'grouped',
      'attempt',
      'outcome',
    ])
  })

  it('keys each create by the id of its own write', async () => {
    const { tenant, simulator, database } = service
    const id = await post({ batch: [{ record: { Name: 'K1' } }, { record: { Name: 'K2' } }] }, 'Account')
    expect((await tenant.operation(id)).metadata.state).toBe('succeeded')
    const [row] = await database.sql<{ members: string[] }[]>`select members from operation where id = ${id}`
    const keys = ['K1', 'K2'].map((name) => simulator.org.find('Account', 'Name', name)[0]!['Write_Id__c'])
    expect(keys).toEqual(row!.members)
  })

  it('is the operation, and its records are none of their own', async () => {
    const { tenant, database } = service
    const id = await post({ batch: named('Member') })
    await tenant.operation(id)
    const [row] = await database.sql<{ members: string[] }[]>`select members from operation where id = ${id}`
    const path = `/v1/projects/${tenant.projectId}/operations/${row!.members[0]!}`
    expect((await tenant.call('GET', path)).status).toBe(404)
    expect((await tenant.call('GET', `${path}/logs`)).status).toBe(404)
  })

  it('waits in order behind earlier writes to one of its records', async () => {
    const { tenant, simulator } = service
    const [a, b] = ['a', 'b'].map((LastName) => simulator.org.create('Contact', { LastName })) as [
      string,
      string,
    ]
    await post({
      type: 'update',
      record: { id: a, LastName: 'a1', Phone: '1' },
      autoBatchPolicy: { maxDelaySeconds: 0.6 },
    })
    const id = await post({
      type: 'update',
      batch: [{ record: { id: a, LastName: 'a2' } }, { record: { id: b, LastName: 'b2' } }],
    })
    expect((await tenant.operation(id)).metadata.state).toBe('succeeded')
    expect(simulator.org.record(a)).toMatchObject({ LastName: 'a2', Phone: '1' })
    expect(simulator.org.record(b)).toMatchObject({ LastName: 'b2' })
  })

  it('is never sent in part with allOrNone: it waits until all of its records are free', async () => {
    const { tenant, simulator } = service
    const id = simulator.org.create('Contact', { LastName: 'p0' })
    simulator.org.faults.add({
      match: { recordMatches: { field: 'LastName', value: 'p1' } },
      action: { type: 'delay', ms: 400 },
    })
    const earlier = await post({ type: 'update', record: { id, LastName: 'p1' } })
    const other = simulator.org.create('Contact', { LastName: 'q0' })
    const batch = await post({
      type: 'update',
      batch: [{ record: { id, LastName: null } }, { record: { id: other, LastName: 'q1' } }],
      batchPolicy: { allOrNone: true },
    })
    const operation = await tenant.operation(batch)
    expect((await tenant.operation(earlier, 0)).status).toBe('success')
    expect(operation.metadata).toMatchObject({ state: 'failed', retry: { attempts: 1 } })
    expect(simulator.org.record(other)).toMatchObject({ LastName: 'q0' })
    expect(simulator.org.record(id)).toMatchObject({ LastName: 'p1' })
  })
})
