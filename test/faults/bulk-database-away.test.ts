import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { BatchAnswer } from '../../src/contract/write-answers.ts'
import { waitUntil } from '../support/wait-until.ts'
import { startOwnDatabase, type OwnDatabase } from './own-database.ts'
import { oneStory } from '../support/one-story.ts'

let service: OwnDatabase

beforeAll(async () => {
  service = await startOwnDatabase({ providerTimeoutMs: 10_000 })
})
afterAll(() => service.stop())

const bulk = (prefix: string, headers: Record<string, string> = {}) => {
  const { tenant } = service
  const records = Array.from({ length: 1_200 }, (_, at) => ({ LastName: `${prefix}${at}` }))
  return tenant.call<BatchAnswer>(
    'POST',
    `/v1/projects/${tenant.projectId}/integrations/crm/actions/bulk-create`,
    { groupRef: tenant.groupRef, object: 'Contact', records },
    { 'request-timeout': '10', ...headers },
  )
}

const idsOf = (prefix: string): unknown[] => {
  const names = new Map(service.simulator.org.records('Contact').map((one) => [one['LastName'], one['Id']]))
  return Array.from({ length: 1_200 }, (_, at) => names.get(`${prefix}${at}`))
}

async function databaseBack(): Promise<void> {
  await service.restart()
  await waitUntil(async () => (await fetch(`${service.app.url}/readyz`)).status === 200, {
    timeoutMs: 20_000,
    what: 'the service to have its database again',
  })
}

describe('a bulk of two calls and a database', oneStory, () => {
  it('that goes away during the second: both are told, the second as not recorded yet', async () => {
    expect((await bulk('Known')).status).toBe(200)
    const gate = service.simulator.org.faults.hold(
      { recordMatches: { field: 'LastName', value: 'Half1100' } },
      'after',
    )
    const call = bulk('Half')
    await gate.waitForArrivals(1)
    await service.kill()
    gate.release()
    const answer = await call
    expect([answer.status, answer.headers.get('writeback-recorded')]).toEqual([200, 'false'])
    expect(answer.body.results.map(({ recordId }) => recordId)).toEqual(idsOf('Half'))
    await databaseBack()
    const operation = await service.tenant.operation(answer.body.operationId, 20)
    expect(operation.metadata.state).toBe('succeeded')
    expect(operation.metadata.successfulRecordIds).toEqual(idsOf('Half'))
  })

  it('that is away: it is made all the same, and nothing of it is recorded', async () => {
    await service.kill()
    const answer = await bulk('Away')
    expect([answer.status, answer.headers.get('writeback-recorded')]).toEqual([200, 'false'])
    expect(answer.body.results.map(({ recordId }) => recordId)).toEqual(idsOf('Away'))
    const keyed = await bulk('Keyed', { 'idempotency-key': 'bulk-away' })
    expect(keyed.status).toBe(503)
    expect(idsOf('Keyed')[0]).toBeUndefined()
    await databaseBack()
    expect([...(await service.sql`select id from batch where state <> 'ended'`)]).toEqual([])
  })
})
