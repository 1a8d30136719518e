import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startSimulator, type Simulator } from '../../src/simulator/start.ts'
import type { TestDatabase } from '../support/database.ts'
import { startProcess, type ServiceProcess } from '../support/processes.ts'
import { expectLanesTrue, refuseIllegalMoves } from '../support/queue-fixture.ts'
import { caller, concurrently, createServiceDatabase, createTenant, type Tenant } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'

let database: TestDatabase
let simulator: Simulator
let processes: ServiceProcess[]
const key = randomBytes(32).toString('base64')

beforeEach(async () => {
  database = await createServiceDatabase()
  await refuseIllegalMoves(database.sql)
  simulator = await startSimulator()
  processes = []
})
afterEach(async () => {
  await Promise.all(processes.map((one) => one.end('SIGKILL')))
  await simulator.close()
  await database.drop()
})

async function start(role: 'api' | 'worker' | 'all', count: number): Promise<ServiceProcess[]> {
  const started = await Promise.all(
    Array.from({ length: count }, () =>
      startProcess(database.url, key, { WRITEBACK_ROLE: role, WRITEBACK_SWEEP_SECONDS: '0.5' }),
    ),
  )
  processes.push(...started)
  return started
}

const objects = ['Contact', 'Lead', 'Account'] as const
const recordOf = (object: (typeof objects)[number], index: number): Record<string, unknown> =>
  object === 'Account'
    ? { Name: `N${index}`, Score__c: index }
    : { LastName: `N${index}`, Score__c: index, ...(object === 'Lead' ? { Company: 'C' } : {}) }

/** Posts one write through one of the processes; the operation's id, or null when it was not accepted. */
async function post(
  tenant: Tenant,
  url: string,
  index: number,
  delaySeconds: number,
): Promise<string | null> {
  const object = objects[index % objects.length]!
  const path = `/v1/projects/${tenant.projectId}/integrations/${tenant.integrationId}/objects/${object}`
  const body = {
    groupRef: tenant.groupRef,
    type: 'create',
    mode: 'asynchronous',
    record: recordOf(object, index),
    autoBatchPolicy: { maxDelaySeconds: delaySeconds },
  }
  const answer = await caller(url)<{ operationId: string }>('POST', path, body).catch(() => null)
  return answer?.status === 200 ? answer.body.operationId : null
}

const unfinished = async (): Promise<number> => {
  const [row] = await database.sql<
    { count: number }[]
  >`select count(*)::int as count from write where state in ('queued', 'sending')`
  return row!.count
}

/** Every acknowledged write succeeded, and the org holds each of them exactly once and nothing else. */
async function expectExactlyOnce(acknowledged: string[]): Promise<void> {
  const rows = await database.sql<
    { id: string; state: string; record_id: string }[]
  >`select id, state, record_id from write`
  const byId = new Map(rows.map((row) => [row.id, row]))
  expect(acknowledged.filter((id) => byId.get(id)?.state !== 'succeeded')).toEqual([])
  expect(new Set(rows.map((row) => row.record_id)).size).toBe(rows.length)
  const held = objects.flatMap((object) => simulator.org.records(object).map((record) => record.Id))
  expect(new Set(held)).toEqual(new Set(rows.map((row) => row.record_id)))
  expect(held).toHaveLength(rows.length)
}

// Six processes start, of which each takes seconds on two cores.
describe('processes', { timeout: 90_000 }, () => {
  it('three api and three worker processes share the work: nothing sent twice, nothing left', async () => {
    const apis = await start('api', 3)
    const workers = await start('worker', 3)
    const tenant = await createTenant(apis[0]!.url, simulator.url)
    const ids = await concurrently(
      Array.from({ length: 1_800 }, (_, index) => index),
      48,
      (index) => post(tenant, apis[index % 3]!.url, index, 1),
    )
    expect(ids).not.toContain(null)
    await waitUntil(async () => (await unfinished()) === 0, {
      timeoutMs: 30_000,
      what: 'every write has ended',
    })
    await expectExactlyOnce(ids as string[])
    const senders = await database.sql<{ worker: string }[]>`select distinct worker from batch`
    expect(senders.length).toBeGreaterThan(1)
    expect((await fetch(`${workers[0]!.url}/readyz`)).status).toBe(200)
    expect((await fetch(`${workers[0]!.url}/v1/projects`)).status).toBe(404)
    await expectLanesTrue(database.sql)
    expect(await Promise.all([...apis, ...workers].map((one) => one.end('SIGTERM')))).toEqual([
      0, 0, 0, 0, 0, 0,
    ])
  })

  it('SIGTERM under load loses no acknowledged write and leaves none in sending', async () => {
    const [first] = await start('all', 1)
    const tenant = await createTenant(first!.url, simulator.url)
    simulator.org.settings.latencyMs = 150
    const acknowledged: string[] = []
    let ended: Promise<number | null> | undefined
    await concurrently(
      Array.from({ length: 1_000 }, (_, index) => index),
      32,
      async (index) => {
        const id = await post(tenant, first!.url, index, 0.05)
        if (id !== null) acknowledged.push(id)
        if (acknowledged.length >= 350 && ended === undefined) ended = first!.end('SIGTERM')
      },
    )
    expect(await ended).toBe(0)
    const sending = await database.sql`select id from write where state = 'sending'`
    expect([...sending]).toEqual([])
    expect([...(await database.sql`select id from batch where state <> 'ended'`)]).toEqual([])
    await expectLanesTrue(database.sql)
    await start('worker', 1)
    await waitUntil(async () => (await unfinished()) === 0, {
      timeoutMs: 30_000,
      what: 'every write has ended',
    })
    expect(acknowledged.length).toBeGreaterThanOrEqual(350)
    await expectExactlyOnce(acknowledged)
  })
})
