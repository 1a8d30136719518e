import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startApp, type App } from '../../src/app.ts'
import type { Operation } from '../../src/contract/operation.ts'
import { startSimulator, type Simulator } from '../../src/simulator/start.ts'
import { expectLanesTrue, refuseIllegalMoves } from '../support/queue-fixture.ts'
import {
  appOptions,
  caller,
  concurrently,
  createTenant,
  startService,
  type Answer,
  type Service,
  type Tenant,
} from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'

const encryptionKey = Buffer.alloc(32, 7)
let service: Service
/** A second process, so that what is announced is heard by two. */
let second: App
let elsewhere: Simulator

beforeEach(async () => {
  service = await startService({ sweepMs: 100, encryptionKey })
  await refuseIllegalMoves(service.database.sql)
  second = await startApp(appOptions(service.database.url, { role: 'worker', sweepMs: 100, encryptionKey }))
  elsewhere = await startSimulator({ seed: 2 })
})
afterEach(async () => {
  try {
    await expectLanesTrue(service.database.sql)
  } finally {
    await second.stop(5_000)
    await service.stop()
    await elsewhere.close()
  }
})

const credentialsFor = (simulator: Simulator): Record<string, unknown> => ({
  type: 'oauth2-client-credentials',
  clientId: 'writeback-demo',
  clientSecret: 'demo-secret',
  loginUrl: simulator.url,
})

const admin = <T>(method: string, path: string, body?: unknown): Promise<Answer<T>> =>
  caller(service.app.url)<T>(method, `/v1/projects/${service.tenant.projectId}${path}`, body)

const giveCredentials = async (simulator: Simulator): Promise<void> => {
  const { connectionId } = service.tenant
  const answer = await admin('PATCH', `/connections/${connectionId}`, {
    credentials: credentialsFor(simulator),
  })
  expect(answer).toMatchObject({ status: 200, body: { id: connectionId, status: 'working' } })
}

/** What the installation says of itself. */
const health = async (): Promise<string[]> => {
  const { integrationId, installationId } = service.tenant
  const { body } = await admin<{ healthStatus: string; connection: { status: string } }>(
    'GET',
    `/integrations/${integrationId}/installations/${installationId}`,
  )
  return [body.healthStatus, body.connection.status]
}

const objects = ['Contact', 'Lead', 'Account', 'Case']

/** Posts creates over several objects; the ids of their operations. */
const post = (tenant: Tenant, count: number, name: string): Promise<string[]> =>
  concurrently(Array.from({ length: count }), 16, (_, index) => {
    const object = objects[index % objects.length]!
    const value = `${name} ${index}`
    const record: Record<string, string> =
      object === 'Account' ? { Name: value } : object === 'Case' ? { Subject: value } : { LastName: value }
    if (object === 'Lead') record['Company'] = 'C'
    return tenant.write(object, { type: 'create', record })
  })

const ended = async (tenant: Tenant, ids: string[]): Promise<Operation[]> => {
  const operations = await concurrently(ids, 50, (id) => tenant.operation(id))
  expect(operations.filter((one) => one.status === 'in_progress')).toEqual([])
  return operations
}

const expectAllWritten = async (tenant: Tenant, ids: string[], simulator: Simulator): Promise<void> => {
  const operations = await ended(tenant, ids)
  expect(operations.filter((one) => one.status !== 'success')).toEqual([])
  const held = Object.values(simulator.org.counts()).reduce((sum, count) => sum + count, 0)
  expect(held).toBe(ids.length)
}

const tokenCalls = (simulator: Simulator): number =>
  simulator.org.requests.list((entry) => entry.operation === 'token').length
const writeCalls = (simulator: Simulator): number =>
  simulator.org.requests.list((entry) => entry.operation !== 'token').length

/** Lanes of the installation that are put off for a broken connection for at least this long. */
const heldLanes = (tenant: Tenant, seconds: number) =>
  service.database.sql<{ id: string; dueAt: Date }[]>`
    select id, due_at as "dueAt" from lane
    where installation_id = ${tenant.installationId} and held_by = 'connection'
      and due_at > now() + make_interval(secs => ${seconds})`

const untilHeld = (tenant: Tenant, lanes: number, seconds = 5): Promise<void> =>
  waitUntil(async () => (await heldLanes(tenant, seconds)).length === lanes, {
    timeoutMs: 10_000,
    what: `${lanes} lanes to be held`,
  })

const writeStates = (tenant: Tenant) =>
  service.database.sql<{ state: string; attempts: number; count: number }[]>`
    select state, attempts, count(*)::int as count from write
    where installation_id = ${tenant.installationId} group by 1, 2 order by 1, 2`

describe('a grant that was revoked', () => {
  it('keeps the writes of its installation untouched and delays no other; new credentials send all at once', async () => {
    const { tenant, simulator, database } = service
    const refusal = simulator.org.faults.add({
      match: { operation: 'token' },
      times: 0,
      action: { type: 'invalidGrant' },
    })
    const neighbour = await createTenant(service.app.url, elsewhere.url)
    const ids = await post(tenant, 400, 'waits')
    await untilHeld(tenant, objects.length)
    const others = await post(neighbour, 40, 'goes')
    await expectAllWritten(neighbour, others, elsewhere)

    expect(await health()).toEqual(['unhealthy', 'broken'])
    expect([...(await writeStates(tenant))]).toEqual([{ state: 'queued', attempts: 0, count: 400 }])
    expect([
      ...(await database.sql`select id from batch where installation_id = ${tenant.installationId}`),
    ]).toEqual([])
    // looked at again, it is held again without another try at the login host
    await database.sql`update lane set due_at = now() where held_by = 'connection'`
    await untilHeld(tenant, objects.length, 10)
    expect(tokenCalls(simulator)).toBe(1)
    expect(writeCalls(simulator)).toBe(0)

    simulator.org.faults.remove(refusal)
    const until = Math.min(...(await heldLanes(tenant, 0)).map((lane) => lane.dueAt.getTime()))
    await giveCredentials(simulator)
    expect(await health()).toEqual(['healthy', 'working'])
    await expectAllWritten(tenant, ids, simulator)
    const [last] = await database.sql<{ at: Date }[]>`
      select max(ended_at) as at from write where installation_id = ${tenant.installationId}`
    expect(last!.at.getTime()).toBeLessThan(until)
    expect(tokenCalls(simulator)).toBe(2)
  })

  it('and given credentials that are refused too, holds everything again', async () => {
    const { tenant, simulator } = service
    simulator.org.faults.add({ match: { operation: 'token' }, times: 0, action: { type: 'invalidGrant' } })
    const ids = await post(tenant, 8, 'waits')
    await untilHeld(tenant, objects.length)
    await giveCredentials(simulator)
    // The login host has refused before anybody has heard of it, and the lanes are held from before.
    await waitUntil(async () => tokenCalls(simulator) === 2 && (await health()).includes('broken'), {
      timeoutMs: 10_000,
      what: 'the new credentials to be refused',
    })
    await untilHeld(tenant, objects.length)
    expect(await health()).toEqual(['unhealthy', 'broken'])
    expect([...(await writeStates(tenant))]).toEqual([{ state: 'queued', attempts: 0, count: 8 }])
    await giveCredentials(elsewhere)
    await expectAllWritten(tenant, ids, elsewhere)
    expect(writeCalls(simulator)).toBe(0)
  })
})

describe('new credentials', () => {
  it('do not wait for a login host that keeps an old refresh hanging, nor heed its late answer', async () => {
    const { tenant, simulator } = service
    const gate = simulator.org.faults.hold({ operation: 'token' })
    const ids = await post(tenant, 40, 'waits')
    await gate.arrived
    await giveCredentials(elsewhere)
    await expectAllWritten(tenant, ids, elsewhere)
    gate.release()
    await simulator.org.waitForRequests(1, (entry) => entry.operation === 'token')
    const more = await post(tenant, 4, 'after')
    await expectAllWritten(tenant, [...ids, ...more], elsewhere)
    expect(await health()).toEqual(['healthy', 'working'])
    expect(writeCalls(simulator)).toBe(0)
  })

  it('of another org are used by every process from then on', async () => {
    const { tenant, simulator } = service
    await expectAllWritten(tenant, await post(tenant, 8, 'first'), simulator)
    await giveCredentials(elsewhere)
    // the old org's session is still good: only the announcement tells that it is not to be used
    await waitUntil(
      async () => {
        const before = elsewhere.org.requests.totals.total
        await ended(tenant, await post(tenant, 8, 'second'))
        return elsewhere.org.requests.totals.total > before
      },
      { timeoutMs: 10_000, what: 'the new org to be written to' },
    )
    const before = writeCalls(simulator)
    await ended(tenant, await post(tenant, 80, 'third'))
    expect(writeCalls(simulator)).toBe(before)
  })
})

describe('an org that refuses every session', () => {
  it('gets a few log-ins and no more, and the connection is broken; mended, everything leaves', async () => {
    const { tenant, simulator, database } = service
    const refusal = simulator.org.faults.add({
      match: { operation: 'collections' },
      times: 0,
      action: { type: 'status', canned: 'invalidSession' },
    })
    const ids = await post(tenant, 80, 'refused')
    // what was refused waits out its backoff and then meets the hold
    await waitUntil(async () => (await health()).toString() === 'unhealthy,broken', {
      timeoutMs: 15_000,
      what: 'the connection to be broken',
    })
    await database.sql`update lane set due_at = now() where due_at is not null`
    await untilHeld(tenant, objects.length)
    const logins = tokenCalls(simulator)
    const calls = writeCalls(simulator)
    expect(logins).toBeLessThanOrEqual(3)
    await database.sql`update lane set due_at = now() where due_at is not null`
    await untilHeld(tenant, objects.length, 10)
    expect(tokenCalls(simulator)).toBe(logins)
    expect(writeCalls(simulator)).toBe(calls)
    const states = await writeStates(tenant)
    expect(new Set(states.map((row) => row.state))).toEqual(new Set(['queued']))

    simulator.org.faults.remove(refusal)
    await giveCredentials(simulator)
    await expectAllWritten(tenant, ids, simulator)
  })
})
