import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Operation } from '../../src/contract/operation.ts'
import { concurrently, startService, type Service } from '../support/service.ts'

let service: Service

beforeAll(async () => {
  // one group in each call, so that a call is a group
  service = await startService({}, {}, undefined, { packing: 'none' })
})
afterAll(() => service.stop())

/** A hundred creates that fill one group, two of them bad. */
async function writeGroup(name: string, policy: Record<string, unknown>): Promise<Operation[]> {
  const records = Array.from({ length: 100 }, (_, index) =>
    index === 17 || index === 61 ? { FirstName: `${name} ${index}` } : { LastName: `${name} ${index}` },
  )
  const ids = await concurrently(records, 32, (record) =>
    service.tenant.write('Contact', {
      type: 'create',
      record,
      autoBatchPolicy: { maxDelayMinutes: 10, allOrNone: true, ...policy },
    }),
  )
  return concurrently(ids, 32, (id) => service.tenant.operation(id))
}

const codeOf = (operation: Operation): string | undefined => operation.metadata.records[0]?.errors[0]?.code
const callsFor = (count: number): number[] =>
  service.simulator.org.requests
    .list((entry) => entry.operation === 'collections.create' && entry.allOrNone === true)
    .slice(-count)
    .map((entry) => entry.recordCount)

describe('allOrNone on groups that formed by themselves', () => {
  it('2 offenders in 100: two with their own codes, 98 rolled back, nothing written', async () => {
    const held = service.simulator.org.count('Contact')
    const operations = await writeGroup('fail', {})
    expect(operations.every((operation) => operation.status === 'failure')).toBe(true)
    const codes = operations.map(codeOf)
    expect(codes.filter((code) => code === 'REQUIRED_FIELD_MISSING')).toHaveLength(2)
    expect(codes.filter((code) => code === 'ALL_OR_NONE_OPERATION_ROLLED_BACK')).toHaveLength(98)
    expect([codes[17], codes[61]]).toEqual(['REQUIRED_FIELD_MISSING', 'REQUIRED_FIELD_MISSING'])
    expect(service.simulator.org.count('Contact')).toBe(held)
    expect(callsFor(1)).toEqual([100])
  })

  it('with resend, the 98 succeed in the second request, and their logs show both', async () => {
    const held = service.simulator.org.count('Contact')
    const operations = await writeGroup('resend', { onRollback: 'resend' })
    const failed = operations.filter((operation) => operation.status === 'failure')
    expect(failed.map(codeOf)).toEqual(['REQUIRED_FIELD_MISSING', 'REQUIRED_FIELD_MISSING'])
    const written = operations.filter((operation) => operation.status === 'success')
    expect(written).toHaveLength(98)
    expect(written.every((operation) => operation.metadata.retry.attempts === 2)).toBe(true)
    expect(service.simulator.org.count('Contact')).toBe(held + 98)
    expect(callsFor(2)).toEqual([100, 98])
    const { tenant } = service
    const { body: logs } = await tenant.call<{ message: Record<string, unknown> }[]>(
      'GET',
      `/v1/projects/${tenant.projectId}/operations/${written[0]!.id}/logs`,
    )
    const attempts = logs.filter((line) => line.message['msg'] === 'attempt')
    expect(attempts.map((line) => line.message['decision'])).toEqual(['retry', 'succeeded'])
    expect(attempts[0]!.message['errors']).toMatchObject([{ code: 'ALL_OR_NONE_OPERATION_ROLLED_BACK' }])
  })

  it('never mixes with those who did not ask for it', async () => {
    const { tenant, simulator } = service
    const policies = [
      { allOrNone: true },
      {},
      { allOrNone: true, onRollback: 'resend' },
      { onRollback: 'resend' },
    ]
    const ids = await concurrently(policies, 1, (policy) =>
      tenant.write('Lead', {
        type: 'create',
        record: { LastName: 'x', Company: 'C' },
        autoBatchPolicy: { maxDelaySeconds: 0.5, ...policy },
      }),
    )
    await concurrently(ids, 4, (id) => tenant.operation(id))
    const calls = simulator.org.requests.list((entry) => entry.objects.includes('Lead'))
    expect(calls.map((entry) => [entry.allOrNone, entry.recordCount]).sort()).toEqual([
      [false, 2],
      [true, 1],
      [true, 1],
    ])
  })
})
