import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { concurrently, startService, type Service } from '../support/service.ts'

let service: Service

beforeAll(async () => {
  service = await startService(
    {},
    {},
    { Contact: { objectName: 'Contact', deletionSettings: { enabled: true } } },
  )
})
afterAll(() => service.stop())

const remove = (id: string, maxDelaySeconds = 0): Promise<string> =>
  service.tenant.write('Contact', { type: 'delete', record: { id }, autoBatchPolicy: { maxDelaySeconds } })

describe('deletes', () => {
  it('leave in groups, each with its own outcome', async () => {
    const { simulator, tenant } = service
    const seen = simulator.org.requests.list().length
    const ids = Array.from({ length: 20 }, (_, index) =>
      simulator.org.create('Contact', { LastName: `C${index}` }),
    )
    const operations = await concurrently([...ids, '003000000000000AAA'], 8, (id) => remove(id, 0.5))
    const ended = await concurrently(operations, 21, (id) => tenant.operation(id))
    expect(ended.slice(0, 20).map((operation) => operation.metadata.successfulRecordIds)).toEqual(
      ids.map((id) => [id]),
    )
    expect(ended[20]).toMatchObject({ status: 'failure', metadata: { state: 'failed' } })
    for (const id of ids) expect(simulator.org.record(id)).toBeUndefined()
    const requests = simulator.org.requests
      .list()
      .slice(seen)
      .filter((entry) => entry.operation === 'collections.delete')
    expect(requests.map((request) => request.recordCount)).toEqual([21])
  })

  it('of a record that is deleted already have what they asked for', async () => {
    const { simulator, tenant } = service
    const id = simulator.org.create('Contact', { LastName: 'Twice' })
    expect((await tenant.operation(await remove(id))).status).toBe('success')
    expect((await tenant.operation(await remove(id.slice(0, 15)))).status).toBe('success')
  })

  it('are sent again when their answer was lost', async () => {
    const { simulator, tenant } = service
    const id = simulator.org.create('Contact', { LastName: 'Lost answer' })
    simulator.org.faults.add({ match: { operation: 'collections.delete' }, action: { type: 'dropAfter' } })
    const operation = await tenant.operation(await remove(id))
    expect(operation).toMatchObject({ status: 'success', metadata: { retry: { attempts: 2 } } })
    expect(simulator.org.record(id)).toBeUndefined()
  })

  it('keep their place after updates of the same record', async () => {
    const { simulator, tenant } = service
    const id = simulator.org.create('Contact', { LastName: 'First' })
    const update = await tenant.write('Contact', {
      type: 'update',
      record: { id, LastName: 'Second' },
      autoBatchPolicy: { maxDelaySeconds: 0.4 },
    })
    const removed = await remove(id)
    expect((await tenant.operation(removed)).status).toBe('success')
    expect((await tenant.operation(update, 0)).status).toBe('success')
    const touched = simulator.org.requests
      .list((entry) => entry.keys.includes(id))
      .map((entry) => entry.operation)
    expect(touched).toEqual(['collections.update', 'collections.delete'])
  })
})
