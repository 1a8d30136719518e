import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startApp, type App } from '../../src/app.ts'
import { newId } from '../../src/kernel/ids.ts'
import { startSimulator, type Simulator } from '../../src/simulator/start.ts'
import type { TestDatabase } from '../support/database.ts'
import { expectLanesTrue, refuseIllegalMoves } from '../support/queue-fixture.ts'
import { appOptions, createServiceDatabase, createTenant, type Tenant } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'

let database: TestDatabase
let simulator: Simulator
let apps: App[]
let tenant: Tenant
let apiKey: string

beforeAll(async () => {
  database = await createServiceDatabase()
  await refuseIllegalMoves(database.sql)
  simulator = await startSimulator()
  const encryptionKey = randomBytes(32)
  apps = await Promise.all([1, 2].map(() => startApp(appOptions(database.url, { encryptionKey }))))
  tenant = await createTenant(apps[0]!.url, simulator.url)
  const path = `/v1/projects/${tenant.projectId}/api-keys`
  apiKey = (await asAdmin<{ key: string }>('POST', path, { label: 'raw', scopes: ['write', 'read'] })).key
})
afterAll(async () => {
  await Promise.all(apps.map((app) => app.stop(5_000)))
  await simulator.close()
  await database.drop()
})

async function asAdmin<T>(method: string, path: string, body?: unknown): Promise<T> {
  const headers = { 'x-api-key': 'test-admin-key', 'content-type': 'application/json' }
  const response = await fetch(apps[0]!.url + path, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return (await response.json()) as T
}

/** An answer as its bytes. */
interface Raw {
  status: number
  type: string | null
  text: string
  replayed: string | null
  retryAfter: string | null
  body: {
    operationId?: string
    code?: string
    retryable?: boolean
    errors?: { code: string }[]
    result?: { recordId?: string }
  }
}

interface Request {
  key: string
  body: Record<string, unknown>
  object?: string
  process?: number
  as?: Tenant & { apiKey: string }
  seconds?: number
}

async function post({ key, body, object = 'Contact', process = 0, as, seconds }: Request): Promise<Raw> {
  const { projectId, integrationId, groupRef } = as ?? tenant
  const url = `${apps[process]!.url}/v1/projects/${projectId}/integrations/${integrationId}/objects/${object}`
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'x-api-key': as?.apiKey ?? apiKey,
      'content-type': 'application/json',
      'idempotency-key': key,
      ...(seconds === undefined ? {} : { 'request-timeout': String(seconds) }),
    },
    body: JSON.stringify({ groupRef, ...body }),
  })
  const text = await response.text()
  return {
    status: response.status,
    type: response.headers.get('content-type'),
    text,
    replayed: response.headers.get('idempotency-replayed'),
    retryAfter: response.headers.get('retry-after'),
    body: JSON.parse(text) as Raw['body'],
  }
}

const count = (name: string): number => simulator.org.find('Contact', 'LastName', name).length
const create = (name: string, part: Record<string, unknown> = {}) => ({
  type: 'create',
  record: { LastName: name },
  ...part,
})
const asynchronous = { mode: 'asynchronous' }
const writesOf = async (name: string): Promise<number> => {
  const rows = await database.sql`select id from write where record like ${`%"${name}"%`}`
  return rows.length
}

function expectReplayOf(first: Raw, again: Raw): void {
  expect([again.status, again.type, again.text]).toEqual([first.status, first.type, first.text])
  expect([first.replayed, again.replayed]).toEqual([null, 'true'])
}

describe('a call that is made again with its idempotency key', () => {
  it('asynchronous: answers with the first one’s operation, and writes nothing', async () => {
    const request = { key: newId(), body: create('again-async', asynchronous) }
    const first = await post(request)
    expect(first.status).toBe(200)
    expectReplayOf(first, await post(request))
    expectReplayOf(first, await post({ ...request, process: 1 }))
    expect((await tenant.operation(first.body.operationId!)).status).toBe('success')
    expectReplayOf(first, await post(request))
    expect([await writesOf('again-async'), count('again-async')]).toEqual([1, 1])
  })

  it('synchronous: answers byte by byte as the first one was answered', async () => {
    const request = { key: newId(), body: create('again-sync') }
    const first = await post(request)
    expect([first.status, first.type]).toEqual([200, 'application/json; charset=utf-8'])
    expect(first.body).toMatchObject({ result: { success: true, data: { success: true, errors: [] } } })
    expectReplayOf(first, await post(request))
    expectReplayOf(first, await post({ ...request, process: 1 }))
    expect([await writesOf('again-sync'), count('again-sync')]).toEqual([1, 1])
    // One transaction settled the write and kept the answer: neither is ever there without the other.
    const [row] = await database.sql`
      select k.xmin = w.xmin as together from idempotency_key k join write w on w.id = k.operation_id
      where k.key = ${request.key}`
    expect(row).toEqual({ together: true })
  })

  it('synchronous batch, of which one record fails', async () => {
    const batch = [{ record: { LastName: 'again-batch' } }, { record: { Email: 'no name' } }]
    const request = { key: newId(), body: { type: 'create', batch } }
    const first = await post(request)
    expect([first.status, first.text]).toEqual([200, expect.stringContaining('"failureCount":1')])
    expectReplayOf(first, await post(request))
    expect(count('again-batch')).toBe(1)
  })

  it('a refused record stays refused: 422 with the provider’s own errors', async () => {
    const request = { key: newId(), body: { type: 'create', record: { Email: 'a@example.com' } } }
    const calls = simulator.org.requests.list(() => true).length
    const first = await post(request)
    expect([first.status, first.body.errors?.[0]?.code]).toEqual([422, 'REQUIRED_FIELD_MISSING'])
    expectReplayOf(first, await post(request))
    expect(simulator.org.requests.list(() => true).length - calls).toBe(1)
  })

  it('an update answers with the first one’s outcome though the record has moved on', async () => {
    const id = simulator.org.create('Contact', { LastName: 'zero' })
    const request = { key: newId(), body: { type: 'update', record: { id, LastName: 'one' } } }
    const first = await post(request)
    expect([first.status, first.body.result?.recordId]).toEqual([200, id])
    await post({ key: newId(), body: { type: 'update', record: { id, LastName: 'two' } } })
    expectReplayOf(first, await post(request))
    expect(simulator.org.record(id)).toMatchObject({ LastName: 'two' })
  })

  it('takes members in any order and spacing for the same request', async () => {
    const key = newId()
    const body = { type: 'create', mode: 'asynchronous', record: { LastName: 'order', Title: 'x' } }
    const turned = { record: { Title: 'x', LastName: 'order' }, mode: 'asynchronous', type: 'create' }
    expectReplayOf(await post({ key, body }), await post({ key, body: turned }))
  })

  it('is answered though the installation would not take the call any more', async () => {
    const gone = await newTenant()
    const requests = [{}, asynchronous].map((mode) => ({
      key: newId(),
      body: create('gone', mode),
      as: gone,
    }))
    const first = await Promise.all(requests.map(post))
    expect(first.map((answer) => answer.status)).toEqual([200, 200])
    await gone.operation(first[1]!.body.operationId!)
    await database.sql`
      update installation set config = '{"provider": "salesforce", "write": {"objects": {"Account": {"objectName": "Account"}}}}'
      where id = ${gone.installationId}`
    await database.sql.notify('writeback_setup', `installation ${gone.installationId}`)
    await waitUntil(async () => (await post({ ...requests[1]!, key: newId() })).status === 403, {
      timeoutMs: 5_000,
      what: 'the new configuration',
    })
    const again = await Promise.all(requests.map(post))
    for (const [index, answer] of again.entries()) expectReplayOf(first[index]!, answer)
  })
})

async function newTenant(): Promise<Tenant & { apiKey: string }> {
  const made = await createTenant(apps[0]!.url, simulator.url)
  const path = `/v1/projects/${made.projectId}/api-keys`
  const { key } = await asAdmin<{ key: string }>('POST', path, { label: 'raw', scopes: ['write', 'read'] })
  return { ...made, apiKey: key }
}

describe('an idempotency key', () => {
  it.each([
    ['asynchronous', asynchronous],
    ['synchronous', {}],
  ])('belongs to one request: another body is refused, %s', async (mode, part) => {
    const key = newId()
    const name = `other-${mode}`
    expect((await post({ key, body: create(name, part) })).status).toBe(200)
    const others: Partial<Request>[] = [
      { body: create(`${name}-2`, part) },
      { body: create(name, { ...part, reference: 'r' }) },
      { body: create(name, mode === 'synchronous' ? asynchronous : {}) },
      { object: 'Lead' },
    ]
    for (const other of others) {
      const answer = await post({ key, body: create(name, part), ...other })
      expect([answer.status, answer.body.code]).toEqual([422, 'IDEMPOTENCY_KEY_REUSED'])
      expect([answer.type, answer.replayed]).toEqual([expect.stringMatching(/^application\/problem/), null])
    }
    expect([await writesOf(name), await writesOf(`${name}-2`)]).toEqual([1, 0])
  })

  it('belongs to one project: in another one it is free', async () => {
    const [key, other] = [newId(), await newTenant()]
    const mine = await post({ key, body: create('mine') })
    const theirs = await post({ key, body: create('theirs'), as: other })
    expect([mine.status, theirs.status, theirs.replayed]).toEqual([200, 200, null])
    expect([count('mine'), count('theirs')]).toEqual([1, 1])
  })

  it.each([
    ['asynchronous', asynchronous],
    ['synchronous', {}],
  ])('is free again when its call was refused, %s', async (mode, part) => {
    const key = newId()
    const name = `corrected-${mode}`
    expect((await post({ key, body: { ...create(name, part), nonsense: 1 } })).status).toBe(400)
    const nowhere = await post({ key, body: create(name, part), object: 'no object!' })
    expect(nowhere.status).toBe(400)
    const other = await post({ key, body: create(name, { ...part, groupRef: 'nobody' }) })
    expect(other.status).toBe(404)
    const right = await post({ key, body: create(name, part) })
    expect([right.status, right.replayed]).toEqual([200, null])
    await tenant.operation(right.body.operationId!)
    expect(count(name)).toBe(1)
  })

  it.each(['!', '~'.repeat(255), '"quoted\\'])('may be %j', async (key) => {
    const request = { key, body: create('odd', asynchronous) }
    expectReplayOf(await post(request), await post(request))
  })
})

describe('twins', () => {
  it('50 asynchronous ones at once, at two processes: one write, one answer', async () => {
    const request = { key: newId(), body: create('twins-async', asynchronous) }
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) => post({ ...request, process: index % 2 })),
    )
    expect(answers.map((answer) => answer.status)).toEqual(answers.map(() => 200))
    expect(new Set(answers.map((answer) => answer.text)).size).toBe(1)
    expect(answers.filter((answer) => answer.replayed === null)).toHaveLength(1)
    expect((await tenant.operation(answers[0]!.body.operationId!)).status).toBe('success')
    expect([await writesOf('twins-async'), count('twins-async')]).toEqual([1, 1])
    await expectLanesTrue(database.sql)
  })

  it('50 synchronous ones at once, at two processes: one is made, the others are told to wait', async () => {
    const request = { key: newId(), body: create('twins-sync') }
    const gate = simulator.org.faults.hold(
      { recordMatches: { field: 'LastName', value: 'twins-sync' } },
      'after',
    )
    const calls = Array.from({ length: 50 }, (_, index) => post({ ...request, process: index % 2 }))
    const waiting: Raw[] = []
    for (const call of calls) void call.then((answer) => waiting.push(answer))
    await gate.arrived
    await waitUntil(() => waiting.length === 49, { timeoutMs: 10_000, what: 'the twins to be told' })
    for (const answer of waiting) {
      expect([answer.status, answer.body.code]).toEqual([409, 'IDEMPOTENCY_KEY_IN_USE'])
      expect([answer.retryAfter, answer.replayed, answer.body.retryable]).toEqual(['1', null, true])
    }
    gate.release()
    const first = (await Promise.all(calls)).find((answer) => answer.status !== 409)!
    expect(first.status).toBe(200)
    expect(new Set(waiting.slice(0, 49).map((answer) => answer.body.operationId))).toEqual(
      new Set([first.body.operationId]),
    )
    expectReplayOf(first, await post(request))
    expect([await writesOf('twins-sync'), count('twins-sync')]).toEqual([1, 1])
  })

  it('at once with different bodies: one is made, the others are refused', async () => {
    const key = newId()
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        post({ key, body: create('rival', { ...asynchronous, reference: `r${index}` }), process: index % 2 }),
      ),
    )
    expect(answers.map((answer) => answer.status).sort()).toEqual([200, ...Array<number>(19).fill(422)])
    expect(await writesOf('rival')).toBe(1)
  })

  it('do not keep the other calls of their commit from being made', async () => {
    const key = newId()
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, index) =>
        post({
          key: index % 3 === 0 ? key : newId(),
          body: create(index % 3 === 0 ? 'mixed-twin' : 'mixed-other', asynchronous),
          process: index % 2,
        }),
      ),
    )
    expect(answers.map((answer) => answer.status)).toEqual(answers.map(() => 200))
    expect(new Set(answers.map((answer) => answer.body.operationId)).size).toBe(41)
    expect([await writesOf('mixed-twin'), await writesOf('mixed-other')]).toEqual([1, 40])
    await expectLanesTrue(database.sql)
  })
})
