import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { concurrently, startService, type Service } from '../support/service.ts'

const SWEEP_MS = 1_000
let service: Service

beforeAll(async () => {
  service = await startService({ sweepMs: SWEEP_MS }, {}, undefined, { packing: 'none' })
})
afterAll(() => service.stop())

describe('with every wake-up deleted by hand', () => {
  it('everything still leaves on time plus one sweep', async () => {
    const { tenant, simulator, database } = service
    const begun = performance.timeOrigin + performance.now()
    const full = await concurrently(
      Array.from({ length: 100 }, (_, index) => index),
      32,
      (index) =>
        tenant.write('Contact', {
          type: 'create',
          record: { LastName: `Full ${index}` },
          autoBatchPolicy: { maxDelayMinutes: 60 },
        }),
    )
    const due = await concurrently(
      Array.from({ length: 30 }, (_, index) => index),
      30,
      (index) =>
        tenant.write('Lead', {
          type: 'create',
          record: { LastName: `Due ${index}`, Company: 'C' },
          autoBatchPolicy: { maxDelaySeconds: 2 },
        }),
    )
    await database.sql`delete from pgboss.job`
    const operations = await concurrently([...full, ...due], 130, (id) => tenant.operation(id))
    expect(operations.every((operation) => operation.status === 'success')).toBe(true)
    const [leads] = simulator.org.requests.list(
      (entry) => entry.objects.includes('Lead') && entry.operation === 'collections.create',
    )
    expect(leads!.recordCount).toBe(30)
    expect(leads!.startMs - begun).toBeGreaterThanOrEqual(2_000)
    expect(leads!.startMs - begun).toBeLessThan(2_000 + SWEEP_MS + 1_000)
  })
})
