import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { concurrently, startService, type Service } from '../support/service.ts'

let service: Service

beforeAll(async () => {
  service = await startService()
})
afterAll(() => service.stop())

/** Requests that touched this record, as spans of time. */
function spansOf(key: string): { startMs: number; endMs: number }[] {
  return service.simulator.org.requests
    .list((entry) => entry.keys.includes(key))
    .map((entry) => ({ startMs: entry.startMs, endMs: entry.endMs! }))
    .sort((a, b) => a.startMs - b.startMs)
}

function expectNeverTogether(key: string): void {
  const spans = spansOf(key)
  for (let index = 1; index < spans.length; index += 1) {
    expect(spans[index]!.startMs).toBeGreaterThanOrEqual(spans[index - 1]!.endMs)
  }
}

describe('order per record', () => {
  it('leaves each record with its last acknowledged value: 60 interleaved updates on 3 records', async () => {
    const { tenant, simulator } = service
    simulator.org.settings.latencyMs = { min: 1, max: 20 }
    const accounts = ['a', 'b', 'c'].map((name) => simulator.org.create('Account', { Name: name }))
    // one caller for each record, who waits for each acknowledgement; both spellings of the id
    const written = await concurrently(accounts, 3, async (id) => {
      const operations: string[] = []
      for (let index = 0; index < 20; index += 1) {
        const spelling = index % 2 === 0 ? id : id.slice(0, 15)
        operations.push(
          await tenant.write('Account', {
            type: 'update',
            record: { id: spelling, Name: `value ${index}`, Score__c: index },
            autoBatchPolicy: { maxDelaySeconds: index % 3 === 0 ? 0.2 : 0 },
          }),
        )
      }
      return operations
    })
    const operations = await concurrently(written.flat(), 60, (id) => tenant.operation(id))
    expect(operations.map((operation) => operation.status)).toEqual(operations.map(() => 'success'))
    for (const id of accounts) {
      expect(simulator.org.record(id)).toMatchObject({ Name: 'value 19', Score__c: 19 })
      expect(spansOf(id)).toHaveLength(20)
      expectNeverTogether(id)
    }
  })

  it('keeps it through a retry, and holds back nothing else', async () => {
    const { tenant, simulator } = service
    simulator.org.settings.latencyMs = 0
    const [locked, free] = ['locked', 'free'].map((name) =>
      simulator.org.create('Contact', { LastName: name }),
    )
    simulator.org.faults.add({
      match: { operation: 'collections.update', recordMatches: { field: 'LastName', value: 'first' } },
      times: 2,
      action: {
        type: 'recordError',
        statusCode: 'UNABLE_TO_LOCK_ROW',
        message: 'unable to obtain exclusive access to this record',
      },
    })
    const first = await tenant.write('Contact', {
      type: 'update',
      record: { id: locked!, LastName: 'first', Score__c: 1 },
    })
    const second = await tenant.write('Contact', {
      type: 'update',
      record: { id: locked!, LastName: 'second' },
    })
    const beside = await tenant.write('Contact', {
      type: 'update',
      record: { id: free!, LastName: 'beside' },
    })
    expect((await tenant.operation(beside)).status).toBe('success')
    expect((await tenant.operation(second)).status).toBe('success')
    expect(await tenant.operation(first, 0)).toMatchObject({
      status: 'success',
      metadata: { retry: { attempts: 3 } },
    })
    expect(simulator.org.record(locked!)).toMatchObject({ LastName: 'second', Score__c: 1 })
    expectNeverTogether(locked!)
  })

  it('keeps upserts of one key in order, in any letter case of it, and never sends two in one request', async () => {
    const { tenant, simulator } = service
    const operations: string[] = []
    for (let index = 0; index < 6; index += 1) {
      operations.push(
        await tenant.write('Lead', {
          type: 'upsert',
          externalIdField: index % 2 === 0 ? 'External_Id__c' : 'external_id__C',
          record: {
            External_Id__c: index % 2 === 0 ? 'Key-1' : 'kEY-1',
            LastName: `v${index}`,
            Company: 'C',
          },
          autoBatchPolicy: { maxDelaySeconds: 0.3 },
        }),
      )
    }
    const ended = await concurrently(operations, 6, (id) => tenant.operation(id))
    expect(ended.map((operation) => operation.status)).toEqual(operations.map(() => 'success'))
    expect(ended.map((operation) => operation.metadata.records[0]!.created)).toEqual([
      true,
      false,
      false,
      false,
      false,
      false,
    ])
    expect(simulator.org.find('Lead', 'External_Id__c', 'key-1')).toMatchObject([{ LastName: 'v5' }])
  })
})
