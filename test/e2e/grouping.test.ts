import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RequestEntry } from '../../src/simulator/start.ts'
import { concurrently, startService, type Service } from '../support/service.ts'

let service: Service

beforeAll(async () => {
  // one group in each call, so that a call is a group
  service = await startService({}, {}, undefined, { packing: 'none' })
})
afterAll(() => service.stop())

const isCreateOf = (object: string) => (entry: RequestEntry) =>
  entry.operation === 'collections.create' && entry.objects.includes(object)
const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index)

describe('grouping', () => {
  it('sends 250 creates in requests of exactly 100, 100 and 50, each outcome with its own record', async () => {
    const { tenant, simulator } = service
    const seen = simulator.org.requests.list().length
    const held = simulator.org.count('Contact')
    const ids = await concurrently(range(250), 32, (index) =>
      tenant.write('Contact', {
        type: 'create',
        record: { LastName: `Name ${index}`, Score__c: index },
        autoBatchPolicy: { maxDelaySeconds: 2 },
        reference: `ref-${index}`,
      }),
    )
    const operations = await concurrently(ids, 32, (id) => tenant.operation(id))
    const requests = simulator.org.requests.list().slice(seen).filter(isCreateOf('Contact'))
    expect(requests.map((request) => request.recordCount)).toEqual([100, 100, 50])
    operations.forEach((operation, index) => {
      expect(operation).toMatchObject({
        status: 'success',
        metadata: { state: 'succeeded', reference: `ref-${index}` },
      })
      const [record] = operation.metadata.records
      expect(record).toMatchObject({ index: 0, success: true, created: true, errors: [] })
      expect(operation.metadata.successfulRecordIds).toEqual([record!.recordId])
      expect(simulator.org.record(record!.recordId!)).toMatchObject({
        LastName: `Name ${index}`,
        Score__c: index,
      })
    })
    expect(simulator.org.count('Contact')).toBe(held + 250)
  })

  it('sends members with different delays in one request, at the earliest deadline', async () => {
    const { tenant, simulator } = service
    const first = performance.timeOrigin + performance.now()
    const policies = [{ maxDelaySeconds: 6 }, { maxDelaySeconds: 1.5 }, { maxDelaySeconds: 4 }]
    const ids = await concurrently(policies, 1, (autoBatchPolicy, index) =>
      tenant.write('Lead', {
        type: 'create',
        record: { LastName: `L${index}`, Company: 'C' },
        autoBatchPolicy,
      }),
    )
    await concurrently(ids, 3, (id) => tenant.operation(id))
    const requests = simulator.org.requests.list(isCreateOf('Lead'))
    expect(requests.map((request) => request.recordCount)).toEqual([3])
    const left = requests[0]!.startMs - first
    expect(left).toBeGreaterThanOrEqual(1_500)
    expect(left).toBeLessThan(2_500)
  })

  it('sends a group as soon as it holds the smallest maxRecords', async () => {
    const { tenant, simulator } = service
    const ids = await concurrently(range(7), 7, (index) =>
      tenant.write('Task', {
        type: 'create',
        record: { Subject: `T${index}` },
        autoBatchPolicy: { maxDelayMinutes: 60, maxRecords: index === 6 ? 7 : 100 },
      }),
    )
    const operations = await concurrently(ids, 7, (id) => tenant.operation(id))
    expect(operations.every((operation) => operation.status === 'success')).toBe(true)
    expect(simulator.org.requests.list(isCreateOf('Task')).map((request) => request.recordCount)).toEqual([7])
  })

  it('sends a write without a policy at once', async () => {
    const { tenant } = service
    const id = await tenant.write('Account', { type: 'create', record: { Name: 'At once' } })
    const operation = await tenant.operation(id)
    expect(operation.status).toBe('success')
  })

  it('updates and upserts, telling inserted from updated', async () => {
    const { tenant, simulator } = service
    const accountId = simulator.org.create('Account', { Name: 'Before' })
    const [update, insert] = await Promise.all([
      tenant.write('Account', { type: 'update', record: { id: accountId.slice(0, 15), Name: 'After' } }),
      tenant.write('Account', {
        type: 'upsert',
        externalIdField: 'External_Id__c',
        record: { External_Id__c: 'k-1', Name: 'Made' },
      }),
    ])
    expect((await tenant.operation(update)).metadata.successfulRecordIds).toEqual([accountId])
    expect(simulator.org.record(accountId)).toMatchObject({ Name: 'After' })
    const made = await tenant.operation(insert)
    expect(made.metadata.records[0]).toMatchObject({ success: true, created: true })
    const again = await tenant.write('Account', {
      type: 'upsert',
      externalIdField: 'External_Id__c',
      record: { External_Id__c: 'k-1', Name: 'Changed' },
    })
    const changed = await tenant.operation(again)
    expect(changed.metadata.records[0]).toMatchObject({
      success: true,
      created: false,
      recordId: made.metadata.records[0]!.recordId,
    })
    expect(simulator.org.find('Account', 'External_Id__c', 'k-1')).toMatchObject([{ Name: 'Changed' }])
  })

  it('gives each bad record its own failure, and the others their success', async () => {
    const { tenant, simulator } = service
    const before = simulator.org.count('Contact')
    const records = range(100).map((index) => {
      if (index % 10 === 3) return { FirstName: `No last name ${index}` }
      if (index % 10 === 7) return { LastName: `Bad mail ${index}`, Email: 'not-an-address' }
      return { LastName: `Good ${index}`, Score__c: index }
    })
    const ids = await concurrently(records, 32, (record) =>
      tenant.write('Contact', { type: 'create', record, autoBatchPolicy: { maxDelayMinutes: 10 } }),
    )
    const operations = await concurrently(ids, 32, (id) => tenant.operation(id))
    operations.forEach((operation, index) => {
      const expected =
        index % 10 === 3 ? 'REQUIRED_FIELD_MISSING' : index % 10 === 7 ? 'INVALID_EMAIL_ADDRESS' : null
      if (expected === null) {
        expect(operation.status).toBe('success')
        expect(simulator.org.record(operation.metadata.successfulRecordIds[0]!)).toMatchObject({
          LastName: `Good ${index}`,
        })
        return
      }
      expect(operation).toMatchObject({
        status: 'failure',
        metadata: { state: 'failed', successfulRecordIds: [] },
      })
      const [error] = operation.metadata.records[0]!.errors
      expect(error).toMatchObject({ code: expected, fields: [index % 10 === 3 ? 'LastName' : 'Email'] })
      expect(error!.message).not.toBe('')
      expect(operation.result).toContain(expected)
    })
    expect(new Set(operations.map((operation) => operation.metadata.batchId)).size).toBe(1)
    expect(simulator.org.count('Contact')).toBe(before + 80)
  })

  it('keeps the log of a write: accepted, grouped, each attempt, outcome', async () => {
    const { tenant, simulator } = service
    simulator.org.faults.add({
      match: { operation: 'collections.create', object: 'Case' },
      times: 1,
      action: {
        type: 'recordError',
        statusCode: 'UNABLE_TO_LOCK_ROW',
        message: 'unable to obtain exclusive access to this record',
      },
    })
    const id = await tenant.write('Case', { type: 'create', record: { Subject: 'Locked once' } })
    const operation = await tenant.operation(id)
    expect(operation).toMatchObject({ status: 'success', metadata: { retry: { attempts: 2 } } })
    const { body: logs } = await tenant.call<{ severity: string; message: Record<string, unknown> }[]>(
      'GET',
      `/v1/projects/${tenant.projectId}/operations/${id}/logs`,
    )
    expect(logs.map((line) => line.message['msg'])).toEqual([
      'accepted',
      'grouped',
      'attempt',
      'grouped',
      'attempt',
      'outcome',
    ])
    expect(logs[2]!.message).toMatchObject({
      number: 1,
      status: 200,
      decision: 'retry',
      errors: [{ code: 'UNABLE_TO_LOCK_ROW' }],
    })
    expect(logs[4]!.message).toMatchObject({ number: 2, decision: 'succeeded' })
    expect(logs[5]!.message).toMatchObject({ state: 'succeeded' })
  })
})
