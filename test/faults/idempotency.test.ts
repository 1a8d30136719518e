import { once } from 'node:events'
import { connect as connectSocket, createServer, type AddressInfo, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startApp } from '../../src/app.ts'
import { newId } from '../../src/kernel/ids.ts'
import { startSimulator, type FaultAction } from '../../src/simulator/start.ts'
import { appOptions, caller, type Answer } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'
import { startScenario, type Scenario } from './scenario.ts'

const encryptionKey = Buffer.alloc(32, 5)
let scenario: Scenario
beforeAll(async () => {
  scenario = await startScenario({ providerTimeoutMs: 1_500, encryptionKey })
})
afterEach(() => scenario.expectSettled())
afterAll(() => scenario.stop())

/** What a synchronous call answers. */
interface Said {
  operationId: string
  code?: string
  result?: { success: boolean; recordId?: string }
}

const send = (key: string, body: Record<string, unknown>, seconds = 20, object = 'Contact') =>
  scenario.tenant.post<Said>(object, body, { 'idempotency-key': key, 'request-timeout': String(seconds) })
const create = (LastName: string) => ({ type: 'create', record: { LastName } })
const update = (id: string, LastName: string) => ({ type: 'update', record: { id, LastName } })

function expectReplayOf(first: Answer<Said>, again: Answer<Said>): void {
  expect([again.status, again.body]).toEqual([first.status, first.body])
  expect(again.headers.get('content-type')).toBe(first.headers.get('content-type'))
  expect([first, again].map((answer) => answer.headers.get('idempotency-replayed'))).toEqual([null, 'true'])
}

const lockedRow: FaultAction = { type: 'recordError', canned: 'lockedRow' }

describe('a call that ended without an outcome', () => {
  it.each<[string, FaultAction, number]>([
    ['cut off', { type: 'cutAnswer' }, 502],
    ['never given', { type: 'hang', when: 'after' }, 504],
  ])(
    'its answer %s: stays in doubt when it is repeated, and is not sent again',
    async (_, action, status) => {
      const { simulator, calls } = scenario
      const key = newId()
      const before = calls('Contact').length
      simulator.org.faults.add({ match: { operation: 'collections.create' }, action })
      const first = await send(key, create(`lost-${status}`))
      expect([first.status, first.body.code]).toEqual([status, 'OUTCOME_UNKNOWN'])
      expectReplayOf(first, await send(key, create(`lost-${status}`)))
      // Though somebody has found out meanwhile what became of it.
      const path = `/v1/projects/${scenario.tenant.projectId}/operations/${first.body.operationId}:resolve`
      expect((await scenario.tenant.call('POST', path, { success: true })).status).toBe(200)
      expectReplayOf(first, await send(key, create(`lost-${status}`)))
      expect(calls('Contact').length - before).toBe(1)
      expect(simulator.org.find('Contact', 'LastName', `lost-${status}`)).toHaveLength(1)
    },
  )

  it('its time was up: says so again, though the queue has written it since', async () => {
    const { simulator, hurry, tenant } = scenario
    const [key, id] = [newId(), simulator.org.create('Contact', { LastName: 'Old' })]
    const match = { recordMatches: { field: 'LastName', value: 'Late' } }
    const fault = simulator.org.faults.add({ match, times: 0, action: lockedRow })
    const first = await send(key, update(id, 'Late'), 1)
    expect([first.status, first.body.code]).toEqual([504, 'STILL_TRYING'])
    expectReplayOf(first, await send(key, update(id, 'Late'), 1))
    simulator.org.faults.remove(fault)
    await hurry()
    expect((await tenant.operation(first.body.operationId)).status).toBe('success')
    expectReplayOf(first, await send(key, update(id, 'Late'), 1))
    expect(simulator.org.record(id)).toMatchObject({ LastName: 'Late' })
  })

  it('its record was busy: stays failed', async () => {
    const { simulator, tenant } = scenario
    const [key, id] = [newId(), simulator.org.create('Contact', { LastName: 'zero' })]
    const gate = simulator.org.faults.hold({ recordMatches: { field: 'LastName', value: 'slow' } }, 'before')
    const slow = await tenant.write('Contact', update(id, 'slow'))
    await gate.arrived
    const first = await send(key, update(id, 'busy'), 1)
    expect([first.status, first.body.code]).toEqual([504, 'RECORD_BUSY'])
    gate.release()
    await tenant.operation(slow)
    expectReplayOf(first, await send(key, update(id, 'busy'), 1))
    expect(simulator.org.record(id)).toMatchObject({ LastName: 'slow' })
  })

  it('it was taken for lost: is told again what it was told', async () => {
    const { simulator, database } = scenario
    const key = newId()
    const gate = simulator.org.faults.hold({ recordMatches: { field: 'LastName', value: 'Slow' } }, 'after')
    const call = send(key, create('Slow'))
    await gate.arrived
    const { sql } = database
    await sql`update batch set lease_until = now() - interval '1 s' where state <> 'ended'`
    await waitUntil(async () => (await sql`select 1 from write where state = 'sending'`).length === 0, {
      timeoutMs: 10_000,
      what: 'the write to be taken over',
    })
    gate.release()
    const first = await call
    expect([first.status, first.body.code]).toEqual([502, 'OUTCOME_UNKNOWN'])
    expectReplayOf(first, await send(key, create('Slow')))
    expect(simulator.org.find('Contact', 'LastName', 'Slow')).toHaveLength(1)
  })

  it('its org could not be reached: stays failed', async () => {
    const one = await startScenario({ providerTimeoutMs: 1_500 })
    const post = (key: string) =>
      one.tenant.post<Said>('Contact', create('Nowhere'), { 'idempotency-key': key, 'request-timeout': '1' })
    // Opens the session.
    expect((await post(newId())).status).toBe(200)
    await one.simulator.close()
    // A socket that was just closed may still look open to one call.
    await one.tenant.post('Contact', create('Nowhere'), { 'request-timeout': '1' })
    const key = newId()
    const first = await post(key)
    expect([first.status, first.body.code]).toEqual([502, 'PROVIDER_UNREACHABLE'])
    const again = await startSimulator({ port: Number(new URL(one.simulator.url).port) })
    expectReplayOf(first, await post(key))
    expect(again.org.count('Contact')).toBe(0)
    await one.stop()
    await again.close()
  })
})

describe('a batch that took several tries', () => {
  it('is answered whole again', async () => {
    const { simulator, calls } = scenario
    const key = newId()
    const before = calls('Contact').length
    const match = { recordMatches: { field: 'LastName', value: 'Tried-2' } }
    simulator.org.faults.add({ match, action: lockedRow })
    const batch = ['Tried-1', 'Tried-2', ''].map((LastName) => ({ record: { LastName } }))
    const first = await send(key, { type: 'create', batch })
    expect(first.body).toMatchObject({
      results: [{ success: true }, { success: true }, { success: false }],
      successCount: 2,
    })
    expect(calls('Contact').length - before).toBe(2)
    expectReplayOf(first, await send(key, { type: 'create', batch }))
    expect(calls('Contact').length - before).toBe(2)
  })
})

describe('a call that is refused after it was recorded', () => {
  it('for its connection: its key is free again, and the write is made when that is mended', async () => {
    const { simulator, app, tenant, database } = scenario
    const key = newId()
    expect((await send(newId(), create('Opens the session'))).status).toBe(200)
    const match = { operation: 'token' }
    const fault = simulator.org.faults.add({ match, times: 0, action: { type: 'invalidGrant' } })
    simulator.org.sessions.expireAll()
    const refused = await send(key, create('Mended'))
    expect([refused.status, refused.body.code]).toEqual([424, 'NO_WORKING_CONNECTION'])
    // It was recorded, and is known not to have been written.
    const [row] = await database.sql`select state from write where record like '%"Mended"%'`
    expect(row).toEqual({ state: 'failed' })
    simulator.org.faults.remove(fault)
    const path = `/v1/projects/${tenant.projectId}/connections/${tenant.connectionId}`
    const credentials = {
      type: 'oauth2-client-credentials',
      clientId: 'writeback-demo',
      clientSecret: 'demo-secret',
      loginUrl: simulator.url,
    }
    expect((await caller(app.url)('PATCH', path, { credentials })).status).toBe(200)
    const made = await send(key, create('Mended'))
    expect([made.status, made.headers.get('idempotency-replayed')]).toEqual([200, null])
    expectReplayOf(made, await send(key, create('Mended')))
    expect(simulator.org.find('Contact', 'LastName', 'Mended')).toHaveLength(1)
  })
})

/** A way to the database that can be closed and opened. */
async function startGate(databaseUrl: string) {
  const target = new URL(databaseUrl)
  const [port, host] = [Number(target.port), target.hostname]
  const sockets = new Set<Socket>()
  let isOpen = true
  const server = createServer((socket) => {
    if (!isOpen) {
      socket.destroy()
      return
    }
    const upstream = connectSocket(port, host)
    sockets.add(socket)
    socket.on('error', () => undefined).on('close', () => upstream.destroy())
    upstream.on('error', () => undefined).on('close', () => socket.destroy())
    socket.pipe(upstream).pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  target.hostname = '127.0.0.1'
  target.port = String((server.address() as AddressInfo).port)
  const shut = (): void => {
    isOpen = false
    for (const socket of sockets) socket.destroy()
    sockets.clear()
  }
  return {
    url: target.href,
    shut,
    open: () => {
      isOpen = true
    },
    close: async () => {
      shut()
      server.close()
      await once(server, 'close')
    },
  }
}

describe('while the database is down', () => {
  it('a call with a key is refused, and is made by the same key afterwards', async () => {
    const { simulator, database, tenant } = scenario
    const gate = await startGate(database.url)
    const app = await startApp(appOptions(gate.url, { role: 'api', encryptionKey }))
    const { body: made } = await caller(app.url)<{ key: string }>(
      'POST',
      `/v1/projects/${tenant.projectId}/api-keys`,
      { label: 'down', scopes: ['write', 'read'] },
    )
    const path = `/v1/projects/${tenant.projectId}/integrations/${tenant.integrationId}/objects/Contact`
    const post = (name: string, part: Record<string, unknown> = {}) => {
      const body = { groupRef: tenant.groupRef, ...create(name), ...part }
      return caller(app.url, made.key)<Said>('POST', path, body, { 'idempotency-key': `down-${name}` })
    }
    const asynchronous = { mode: 'asynchronous' }
    // What the process knows then, it knows from these.
    expect([(await post('up')).status, (await post('up-async', asynchronous)).status]).toEqual([200, 200])
    gate.shut()
    const refused = [
      await post('sync'),
      await post('async', asynchronous),
      await post('up'),
      await post('up-async', asynchronous),
    ]
    for (const answer of refused) {
      expect([answer.status, answer.body.code]).toEqual([503, 'DATABASE_UNAVAILABLE'])
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
    }
    expect(simulator.org.find('Contact', 'LastName', 'sync')).toEqual([])
    gate.open()
    await waitUntil(async () => (await fetch(`${app.url}/readyz`)).ok, {
      timeoutMs: 10_000,
      what: 'the database to be back',
    })
    const after = [await post('sync'), await post('async', asynchronous), await post('up')]
    expect(after.map((answer) => answer.status)).toEqual([200, 200, 200])
    expect(after.map((answer) => answer.headers.get('idempotency-replayed'))).toEqual([null, null, 'true'])
    await tenant.operation(after[1]!.body.operationId)
    for (const name of ['sync', 'async', 'up'])
      expect(simulator.org.find('Contact', 'LastName', name)).toHaveLength(1)
    await app.stop(5_000)
    await gate.close()
  })
})
