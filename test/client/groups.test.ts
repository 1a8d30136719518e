import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Batch, Lane } from '../../src/client/index.ts'
import { newId } from '../../src/kernel/ids.ts'
import { startService, type Service } from '../support/service.ts'
import { answerJson, clientOf, clientOfStandIn, startStandIn } from './harness.ts'

let service: Service
beforeAll(async () => {
  service = await startService()
})
afterAll(() => service.stop())

const client = () => clientOf(service)
async function all<T>(entries: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const entry of entries) list.push(entry)
  return list
}
const lanesOf = (pageSize?: number): Promise<Lane[]> =>
  all(client().lanes({ installation: service.tenant.installationId, pageSize }))
const queue = async (objectName: string, record: Record<string, unknown>): Promise<string> => {
  const { operationId } = await client().write(objectName, {
    groupRef: service.tenant.groupRef,
    type: 'create',
    mode: 'asynchronous',
    record,
    autoBatchPolicy: { maxDelayMinutes: 60 },
  })
  return operationId
}

describe('lanes and groups', () => {
  it('what waits is listed and sent at once, and what left together is read', async () => {
    expect(await lanesOf()).toEqual([])
    const ids = await Promise.all([1, 2, 3].map((n) => queue('Contact', { LastName: `L${n}` })))
    await queue('Account', { Name: 'A' })
    // Page by page.
    const lanes = await lanesOf(1)
    expect(lanes.map(({ objectName, waiting }) => [objectName, waiting]).sort()).toEqual([
      ['Account', 1],
      ['Contact', 3],
    ])
    const contacts = lanes.find(({ objectName }) => objectName === 'Contact')!
    const flushed = await client().flush(contacts.id)
    expect(flushed).toMatchObject({ id: contacts.id, objectName: 'Contact' })
    expect(Date.parse(flushed.dueTime!)).toBeLessThan(Date.parse(contacts.dueTime!))
    const [operation] = await client().wait(ids)
    const batch: Batch = await client().batch(operation!.metadata.batchId!)
    expect(batch.members.map(({ operationId }) => operationId).sort()).toEqual(ids.sort())
    expect(batch).toMatchObject({ size: 3, successCount: 3, failureCount: 0 })
    const batches = await all(client().batches({ installation: service.tenant.installationId, pageSize: 1 }))
    expect(batches).toContainEqual(batch)
  })

  it('what is not there is NOT_FOUND, and an id that is none is told at once', async () => {
    const missing = { code: 'NOT_FOUND', status: 404 }
    await expect(client().batch(newId())).rejects.toMatchObject(missing)
    await expect(client().flush(newId())).rejects.toMatchObject(missing)
    await expect(all(client().lanes({ installation: newId() }))).rejects.toMatchObject(missing)
    expect(() => client().flush('')).toThrow(TypeError)
    expect(() => client().lanes({ installation: '' })).toThrow(TypeError)
  })

  it('a flush whose answer was lost is asked for again', async () => {
    const lane = { id: newId(), objectName: 'Contact' }
    const standIn = await startStandIn((_, response, before) =>
      before === 0 ? void response.destroy() : answerJson(response, 200, lane),
    )
    try {
      expect(await clientOfStandIn(standIn).flush(lane.id)).toEqual(lane)
      expect(standIn.seen.map(({ method, path }) => `${method} ${path}`)).toEqual(
        new Array(2).fill(`POST /v1/projects/acme/lanes/${lane.id}:flush`),
      )
    } finally {
      await standIn.close()
    }
  })
})
