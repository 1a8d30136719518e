import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { concurrently, startService, type Service } from '../support/service.ts'

let service: Service

beforeAll(async () => {
  service = await startService()
  service.simulator.org.settings.badValueSinksRequest = true
})
afterAll(() => service.stop())

describe('a value that the org cannot read', () => {
  it('fails its own write, and never the others of its group', async () => {
    const { tenant, simulator } = service
    const records = Array.from({ length: 40 }, (_, index) =>
      index === 11 ? { LastName: 'Bad', Birthdate: 'not a day' } : { LastName: `Good ${index}` },
    )
    const ids = await concurrently(records, 20, (record) =>
      tenant.write('Contact', { type: 'create', record, autoBatchPolicy: { maxDelaySeconds: 0.5 } }),
    )
    const operations = await concurrently(ids, 40, (id) => tenant.operation(id))
    const failed = operations.filter((operation) => operation.status !== 'success')
    expect(failed.map((operation) => operation.id)).toEqual([ids[11]])
    expect(failed[0]!.metadata.records[0]!.errors[0]!.code).toBe('JSON_PARSER_ERROR')
    expect(simulator.org.count('Contact')).toBe(39)
    expect(new Set(operations.flatMap((operation) => operation.metadata.successfulRecordIds)).size).toBe(39)
  })
})
