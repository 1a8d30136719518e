import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { hashRequest } from '../../src/ingest/idempotency.ts'
import { newId } from '../../src/kernel/ids.ts'
import { insertSending } from '../../src/queue/insert-sending.ts'
import { startProcess, type ServiceProcess } from '../support/processes.ts'
import { incoming, incomingBatch, laneKey } from '../support/queue-fixture.ts'
import { caller, type Answer } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'
import { startScenario, type Scenario } from './scenario.ts'

const encryptionKey = Buffer.alloc(32, 6)
let scenario: Scenario
let doomed: ServiceProcess | undefined
let projectKey: string

beforeAll(async () => {
  scenario = await startScenario({ providerTimeoutMs: 5_000, encryptionKey })
  const path = `/v1/projects/${scenario.tenant.projectId}/api-keys`
  const made = await caller(scenario.app.url)<{ key: string }>('POST', path, {
    label: 'crash',
    scopes: ['write'],
  })
  projectKey = made.body.key
})
afterEach(async () => {
  await doomed?.end('SIGKILL')
  doomed = undefined
  await scenario.expectSettled()
})
afterAll(() => scenario.stop())

interface Said {
  operationId: string
  code?: string
  errors?: { code: string }[]
  result?: unknown
  results?: unknown[]
}

const pathOf = (object = 'Contact') =>
  `/v1/projects/${scenario.tenant.projectId}/integrations/${scenario.tenant.integrationId}/objects/${object}`

const send = (key: string, body: Record<string, unknown>, url = scenario.app.url): Promise<Answer<Said>> => {
  const request = { groupRef: scenario.tenant.groupRef, ...body }
  return caller(url, projectKey)<Said>('POST', pathOf(), request, { 'idempotency-key': key })
}

const create = (LastName: string) => ({ type: 'create', record: { LastName } })
const update = (id: string, LastName: string) => ({ type: 'update', record: { id, LastName } })

/** Ends the leases of whoever is gone, and waits until what it held has been taken from it. */
async function takeOver(): Promise<void> {
  const { sql } = scenario.database
  await sql`update batch set lease_until = now() - interval '1 s' where state <> 'ended'`
  await waitUntil(async () => (await sql`select id from batch where state <> 'ended'`).length === 0, {
    timeoutMs: 10_000,
    what: 'the batches to be taken over',
  })
}

const told = (answer: Answer<Said>): unknown[] => [
  answer.status,
  answer.body.code,
  answer.body.operationId,
  answer.headers.get('idempotency-replayed'),
]

const operationIdOf = async (key: string): Promise<string> => {
  const rows = await scenario.database.sql<{ id: string }[]>`
    select operation_id as id from idempotency_key where key = ${key}`
  return rows[0]!.id
}

describe('a process that is killed in a call', () => {
  it('a create at the org: the next one with its key is told that it is in doubt, and nothing is sent again', async () => {
    const { simulator, database, calls } = scenario
    const key = newId()
    doomed = await startProcess(database.url, encryptionKey.toString('base64'), { WRITEBACK_ROLE: 'api' })
    const gate = simulator.org.faults.hold({ recordMatches: { field: 'LastName', value: 'Killed' } }, 'after')
    const before = calls('Contact').length
    const first = send(key, create('Killed'), doomed.url).catch(() => 'no answer')
    await gate.arrived
    const running = await send(key, create('Killed'))
    const operationId = await operationIdOf(key)
    expect(told(running)).toEqual([409, 'IDEMPOTENCY_KEY_IN_USE', operationId, null])
    await doomed.end('SIGKILL')
    expect(await first).toBe('no answer')
    expect((await send(key, create('Killed'))).status).toBe(409)
    await takeOver()
    const unknown = [504, 'OUTCOME_UNKNOWN', operationId, 'true']
    expect(told(await send(key, create('Killed')))).toEqual(unknown)
    expect(told(await send(key, create('Killed')))).toEqual(unknown)
    gate.release()
    // What is found out later is told from then on: there never was an answer.
    const path = `/v1/projects/${scenario.tenant.projectId}/operations/${operationId}:resolve`
    const recordId = simulator.org.find('Contact', 'LastName', 'Killed')[0]!['Id']
    await scenario.tenant.call('POST', path, { success: true, recordId })
    const resolved = await send(key, create('Killed'))
    expect(told(resolved)).toEqual([200, undefined, operationId, 'true'])
    expect(resolved.body.result).toEqual({ success: true, recordId, data: { created: true } })
    expect(calls('Contact').length - before).toBe(1)
    expect(simulator.org.find('Contact', 'LastName', 'Killed')).toHaveLength(1)
  })

  it('an update at the org: the queue goes on with it, and the next one with its key is told what came of it', async () => {
    const { simulator, database } = scenario
    const [key, id] = [newId(), simulator.org.create('Contact', { LastName: 'Old' })]
    doomed = await startProcess(database.url, encryptionKey.toString('base64'), { WRITEBACK_ROLE: 'api' })
    const match = { recordMatches: { field: 'LastName', value: 'Resent' } }
    const gate = simulator.org.faults.hold(match, 'before')
    const first = send(key, update(id, 'Resent'), doomed.url).catch(() => 'no answer')
    await gate.arrived
    await doomed.end('SIGKILL')
    expect(await first).toBe('no answer')
    const operationId = await operationIdOf(key)
    // Long enough to be seen waiting.
    const { sql } = database
    await sql`
      create function put_off() returns trigger language plpgsql as $$
      begin new.available_at := now() + interval '1 hour'; new.due_at := new.available_at; return new; end $$`
    await sql`
      create trigger put_off before update on write for each row
      when (old.state = 'sending' and new.state = 'queued') execute function put_off()`
    await takeOver()
    await sql`drop function put_off cascade`
    expect(told(await send(key, update(id, 'Resent')))).toEqual([504, 'STILL_TRYING', operationId, 'true'])
    gate.release()
    await scenario.hurry()
    expect((await scenario.tenant.operation(operationId)).status).toBe('success')
    const answer = await send(key, update(id, 'Resent'))
    expect(told(answer)).toEqual([200, undefined, operationId, 'true'])
    expect(answer.body.result).toMatchObject({ success: true, recordId: id })
    expectSame(answer, await send(key, update(id, 'Resent')))
    expect(simulator.org.record(id)).toMatchObject({ LastName: 'Resent' })
  })
})

const expectSame = (one: Answer<Said>, other: Answer<Said>): void =>
  expect([other.status, other.body]).toEqual([one.status, one.body])

describe('a process that dies between the record of a call and its sending', () => {
  /** Leaves a call as a process does that dies there. */
  async function leave(body: Record<string, unknown>, records: Record<string, unknown>[]): Promise<string> {
    const { tenant, database } = scenario
    const { projectId, integrationId, installationId, groupRef } = tenant
    const text = newId()
    const requestHash = hashRequest({ integrationId, objectName: 'Contact', body: { groupRef, ...body } })
    const key = { text, requestHash, answerTo: null }
    const type = body['type'] as 'create' | 'update'
    const lane = laneKey({ projectId, integrationId, installationId, type })
    const parts = records.map((record) => ({
      record: JSON.stringify(record),
      delaySeconds: 0,
      recordKey: type === 'create' ? null : newId(),
    }))
    const submission = 'batch' in body ? incomingBatch(lane, parts) : incoming(lane, parts[0])
    await insertSending(database.sql, {
      submission: { ...submission, key },
      batchIds: [newId()],
      worker: 'gone',
      leaseSeconds: 60,
    })
    return text
  }

  it('a create has not been made, nor will be: the next one with its key makes it', async () => {
    const { simulator, calls } = scenario
    const before = calls('Contact').length
    const body = create('Unsent')
    const key = await leave(body, [body.record])
    const lost = await operationIdOf(key)
    expect((await send(key, body)).status).toBe(409)
    await takeOver()
    expect((await send(key, create('Other'))).status).toBe(422)
    const made = await send(key, body)
    expect(told(made)).toEqual([200, undefined, await operationIdOf(key), null])
    expect(made.body.operationId).not.toBe(lost)
    expect(told(await send(key, body))).toEqual([200, undefined, made.body.operationId, 'true'])
    expect((await scenario.tenant.operation(lost)).metadata.state).toBe('failed')
    expect(calls('Contact')).toHaveLength(before + 1)
    expect(simulator.org.find('Contact', 'LastName', 'Unsent')).toHaveLength(1)
  })

  it('a call that had been refused left its key free, even if it could not give it back', async () => {
    const { simulator, database } = scenario
    const body = create('Refused')
    const key = await leave(body, [body.record])
    await takeOver()
    const errors = [{ code: 'DATABASE_UNAVAILABLE', message: 'It was away.', fields: [] }]
    const { sql } = database
    await sql`update write set errors = ${sql.json(errors)} where id = ${await operationIdOf(key)}`
    const made = await send(key, body)
    expect(told(made)).toEqual([200, undefined, await operationIdOf(key), null])
    expect(told(await send(key, body))).toEqual([200, undefined, made.body.operationId, 'true'])
    expect(simulator.org.find('Contact', 'LastName', 'Refused')).toHaveLength(1)
  })

  it('a batch of updates is made by the queue, which is what the next one with its key is told', async () => {
    const { simulator, tenant } = scenario
    const ids = ['a', 'b'].map((LastName) => simulator.org.create('Contact', { LastName }))
    const missing = '003000000000000AAA'
    const records = [...ids, missing].map((id) => ({ id, LastName: 'Batched' }))
    const body = { type: 'update', batch: records.map((record) => ({ record })) }
    const key = await leave(body, records)
    await takeOver()
    const operationId = await operationIdOf(key)
    expect((await tenant.operation(operationId)).metadata.state).toBe('partial')
    const answer = await send(key, body)
    expect(told(answer)).toEqual([200, undefined, operationId, 'true'])
    expect(answer.body).toMatchObject({
      results: [{ success: true, recordId: ids[0] }, { success: true, recordId: ids[1] }, { success: false }],
      successCount: 2,
      failureCount: 1,
    })
    expectSame(answer, await send(key, body))
    for (const id of ids) expect(simulator.org.record(id)).toMatchObject({ LastName: 'Batched' })
  })

  it('a refused record is a 422 with the org’s own errors', async () => {
    const body = update('003000000000001AAA', 'Nobody')
    const key = await leave(body, [body.record])
    await takeOver()
    const operationId = await operationIdOf(key)
    expect((await scenario.tenant.operation(operationId)).status).toBe('failure')
    const answer = await send(key, body)
    expect(told(answer)).toEqual([422, undefined, operationId, 'true'])
    expect(answer.body.result).toEqual({ success: false })
    expect(answer.body.errors).toHaveLength(1)
  })
})
