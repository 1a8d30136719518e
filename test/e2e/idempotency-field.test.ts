import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { concurrently, startService, type Service } from '../support/service.ts'

let service: Service

beforeAll(async () => {
  service = await startService(
    {},
    {},
    { Contact: { objectName: 'Contact', idempotencyField: 'Write_Id__c' }, Lead: { objectName: 'Lead' } },
  )
})
afterAll(() => service.stop())

describe('creates of an object with an idempotencyField', () => {
  it('carry the id of their write, and say that they created', async () => {
    const { tenant, simulator } = service
    const ids = await concurrently(['a', 'b', 'c'], 3, (name) =>
      tenant.write('Contact', {
        type: 'create',
        record: { LastName: name },
        autoBatchPolicy: { maxDelaySeconds: 0.3 },
      }),
    )
    for (const id of ids) {
      const operation = await tenant.operation(id)
      expect(operation).toMatchObject({
        status: 'success',
        metadata: { records: [{ success: true, created: true }] },
      })
      expect(simulator.org.record(operation.metadata.successfulRecordIds[0]!)).toMatchObject({
        Write_Id__c: id,
      })
    }
  })

  it.each(['dropAfter', 'cutAnswer'] as const)(
    'are sent again after a lost answer (%s) without a duplicate',
    async (type) => {
      const { tenant, simulator } = service
      simulator.org.faults.add({ match: { object: 'Contact' }, action: { type } })
      const id = await tenant.write('Contact', { type: 'create', record: { LastName: `Lost by ${type}` } })
      const operation = await tenant.operation(id)
      expect(operation).toMatchObject({
        status: 'success',
        metadata: { records: [{ created: true }], retry: { attempts: 2 } },
      })
      expect(simulator.org.find('Contact', 'LastName', `Lost by ${type}`)).toHaveLength(1)
    },
  )

  it('without one are in doubt instead, and never sent twice', async () => {
    const { tenant, simulator } = service
    simulator.org.faults.add({ match: { object: 'Lead' }, action: { type: 'cutAnswer' } })
    const id = await tenant.write('Lead', { type: 'create', record: { LastName: 'Doubt', Company: 'C' } })
    expect(await tenant.operation(id)).toMatchObject({
      status: 'failure',
      metadata: { state: 'in_doubt', retry: { attempts: 1 } },
    })
    expect(simulator.org.find('Lead', 'LastName', 'Doubt')).toHaveLength(1)
  })

  it('may not bring a value of their own for it', async () => {
    const record = { LastName: 'x', write_id__C: 'mine' }
    await expect(service.tenant.write('Contact', { type: 'create', record })).rejects.toThrow(
      '/record/write_id__C',
    )
    const update = {
      LastName: 'y',
      Write_Id__c: 'theirs',
      id: service.simulator.org.create('Contact', { LastName: 'z' }),
    }
    const id = await service.tenant.write('Contact', { type: 'update', record: update })
    expect((await service.tenant.operation(id)).status).toBe('success')
  })
})
