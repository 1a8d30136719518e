import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { FaultAction } from '../../src/simulator/start.ts'
import { waitUntil } from '../support/wait-until.ts'
import { codes, startScenario, type Scenario } from './scenario.ts'

let scenario: Scenario
/** Long enough for any call that is answered, short enough to wait for one that is not. */
const CALL_MS = 1_500

beforeAll(async () => {
  scenario = await startScenario({ providerTimeoutMs: CALL_MS })
})
afterEach(() => scenario.expectSettled())
afterAll(() => scenario.stop())

/** What a synchronous call answers: an outcome or a problem, with its operation in either case. */
interface Said {
  operationId: string
  code?: string
  result?: { success: boolean; recordId?: string }
  errors?: { code: string }[]
}

const post = (object: string, body: Record<string, unknown>, seconds = 20) =>
  scenario.tenant.post<Said>(object, body, { 'request-timeout': String(seconds) })

const operationOf = (answer: { body: Said }, wait = 0) =>
  scenario.tenant.operation(answer.body.operationId, wait)

const lockedRow: FaultAction = { type: 'recordError', canned: 'lockedRow' }

const cases: { name: string; action: FaultAction; written: boolean; status: number }[] = [
  { name: 'cut off midway', action: { type: 'cutAnswer' }, written: true, status: 502 },
  { name: 'dropped after the commit', action: { type: 'dropAfter' }, written: true, status: 502 },
  { name: 'dropped before anything ran', action: { type: 'dropBefore' }, written: false, status: 502 },
  { name: 'never given', action: { type: 'hang', when: 'after' }, written: true, status: 504 },
  {
    name: 'a gateway’s page after the commit',
    action: { type: 'status', canned: 'badGatewayHtml', when: 'after' },
    written: true,
    status: 502,
  },
  {
    name: 'the platform’s own fault',
    action: { type: 'status', canned: 'unknownException', when: 'after' },
    written: true,
    status: 502,
  },
  { name: 'JSON of another shape', action: { type: 'wrongShape' }, written: true, status: 502 },
  { name: 'one record short', action: { type: 'forgetRecord' }, written: true, status: 502 },
]

describe.each(cases)('a synchronous call whose answer is $name', ({ action, written, status }) => {
  it('leaves a create in doubt, says so, and never sends it again', async () => {
    const { simulator, calls } = scenario
    const before = { calls: calls('Contact').length, records: simulator.org.count('Contact') }
    simulator.org.faults.add({ match: { operation: 'collections.create' }, action })
    const answer = await post('Contact', { type: 'create', record: { LastName: 'Doubt' } })
    expect([answer.status, answer.body.code]).toEqual([status, 'OUTCOME_UNKNOWN'])
    const operation = await operationOf(answer)
    expect(operation).toMatchObject({
      status: 'failure',
      metadata: { state: 'in_doubt', retry: { attempts: 1, nextAttempt: null } },
    })
    expect(codes(operation)[0]).toBe('OUTCOME_UNKNOWN')
    expect(calls('Contact').length - before.calls).toBe(1)
    expect(simulator.org.count('Contact') - before.records).toBe(written ? 1 : 0)
  })

  it('sends an update and an upsert again, without a second record', async () => {
    const { simulator, attempts } = scenario
    const id = simulator.org.create('Account', { Name: 'Old' })
    const before = simulator.org.count('Account')
    simulator.org.faults.add({ match: { operation: 'collections.update' }, action })
    const update = await post('Account', { type: 'update', record: { id, Name: 'New' } })
    expect([update.status, update.body.result?.success]).toEqual([200, true])
    expect(simulator.org.record(id)).toMatchObject({ Name: 'New' })
    const history = await attempts(update.body.operationId)
    expect(history.map((one) => one['decision'])).toEqual(['retry', 'succeeded'])

    simulator.org.faults.add({ match: { operation: 'collections.upsert' }, action })
    const key = `sync-${before}`
    const upsert = await post('Account', {
      type: 'upsert',
      externalIdField: 'External_Id__c',
      record: { External_Id__c: key, Name: key },
    })
    expect(upsert.status).toBe(200)
    expect(simulator.org.find('Account', 'External_Id__c', key)).toHaveLength(1)
    expect((await operationOf(upsert)).metadata.retry.attempts).toBe(2)
  })
})

describe('a synchronous call and what can pass', () => {
  it('fails a create that was locked to the end, with the provider’s errors', async () => {
    const { simulator } = scenario
    const fault = simulator.org.faults.add({ match: { object: 'Contact' }, times: 0, action: lockedRow })
    const answer = await post('Contact', { type: 'create', record: { LastName: 'Locked' } }, 2)
    simulator.org.faults.remove(fault)
    expect(answer.status).toBe(422)
    expect(answer.body.errors!.map((error) => error.code)).toEqual(['UNABLE_TO_LOCK_ROW'])
    const operation = await operationOf(answer)
    expect(operation.metadata.state).toBe('failed')
    expect(operation.metadata.retry.attempts).toBeGreaterThan(1)
    expect(simulator.org.find('Contact', 'LastName', 'Locked')).toEqual([])
  })

  it('leaves an update that was locked to the end to the queue, which goes on with it', async () => {
    const { simulator, hurry } = scenario
    const id = simulator.org.create('Contact', { LastName: 'Old' })
    const fault = simulator.org.faults.add({
      match: { recordMatches: { field: 'LastName', value: 'Late' } },
      times: 0,
      action: lockedRow,
    })
    const answer = await post('Contact', { type: 'update', record: { id, LastName: 'Late' } }, 1)
    expect([answer.status, answer.body.code]).toEqual([504, 'STILL_TRYING'])
    expect(['queued', 'sending']).toContain((await operationOf(answer)).metadata.state)
    simulator.org.faults.remove(fault)
    await hurry()
    expect((await operationOf(answer, 30)).status).toBe('success')
    expect(simulator.org.record(id)).toMatchObject({ LastName: 'Late' })
  })

  it('tells at once when the calls of the day are used up', async () => {
    const { simulator, calls } = scenario
    const before = calls('Contact').length
    simulator.org.faults.add({
      match: { object: 'Contact' },
      action: { type: 'status', canned: 'totalRequests' },
    })
    const answer = await post('Contact', { type: 'create', record: { LastName: 'Limit' } })
    expect(answer.status).toBe(422)
    expect(answer.body.errors!.map((error) => error.code)).toEqual(['REQUEST_LIMIT_EXCEEDED'])
    expect(calls('Contact').length - before).toBe(1)
    expect((await operationOf(answer)).metadata.state).toBe('failed')
  })

  it('goes on with a new session when its own has expired', async () => {
    const { simulator } = scenario
    simulator.org.faults.add({ match: { object: 'Contact' }, action: { type: 'expireSessions' } })
    const answer = await post('Contact', { type: 'create', record: { LastName: 'Expired' } })
    expect(answer.status).toBe(200)
    expect(simulator.org.find('Contact', 'LastName', 'Expired')).toHaveLength(1)
    expect((await operationOf(answer)).metadata.retry.attempts).toBe(1)
  })

  it('records what came of it though its caller has hung up', async () => {
    const { simulator, tenant, app, database } = scenario
    const gate = simulator.org.faults.hold({ recordMatches: { field: 'LastName', value: 'Gone' } }, 'after')
    const hangUp = new AbortController()
    const { key } = (await (
      await fetch(`${app.url}/v1/projects/${tenant.projectId}/api-keys`, {
        method: 'POST',
        headers: { 'x-api-key': 'test-admin-key', 'content-type': 'application/json' },
        body: JSON.stringify({ label: 'short', scopes: ['write'] }),
      })
    ).json()) as { key: string }
    const call = fetch(
      `${app.url}/v1/projects/${tenant.projectId}/integrations/${tenant.integrationId}/objects/Contact`,
      {
        method: 'POST',
        headers: { 'x-api-key': key, 'content-type': 'application/json' },
        body: JSON.stringify({ groupRef: tenant.groupRef, type: 'create', record: { LastName: 'Gone' } }),
        signal: hangUp.signal,
      },
    )
    await gate.arrived
    hangUp.abort()
    await expect(call).rejects.toThrow(/abort/i)
    gate.release()
    const state = async () =>
      (await database.sql<{ state: string }[]>`select state from write where record like '%"Gone"%'`)[0]!
        .state
    await waitUntil(async () => (await state()) !== 'sending', { timeoutMs: 10_000, what: 'the outcome' })
    expect(await state()).toBe('succeeded')
  })
})

describe('synchronous calls and the order of a record', () => {
  const hour = { autoBatchPolicy: { maxDelayMinutes: 60 } }
  const update = (id: string, LastName: string) => ({ type: 'update', record: { id, LastName } })

  /** The calls that touched a record, as spans of time. */
  const spansOf = (id: string) =>
    scenario.simulator.org.requests
      .list((entry) => entry.keys.includes(id))
      .map((entry) => ({ startMs: entry.startMs, endMs: entry.endMs! }))
      .sort((a, b) => a.startMs - b.startMs)

  function expectNeverTogether(id: string): void {
    const spans = spansOf(id)
    for (let index = 1; index < spans.length; index += 1)
      expect(spans[index]!.startMs).toBeGreaterThanOrEqual(spans[index - 1]!.endMs)
  }

  it('sends what waits for its record first, and leaves it with its own value', async () => {
    const { simulator, tenant, ended } = scenario
    const id = simulator.org.create('Contact', { LastName: 'zero' })
    const earlier: string[] = []
    for (const name of ['one', 'two', 'three']) {
      earlier.push(await tenant.write('Contact', { ...update(id.slice(0, 15), name), ...hour }))
    }
    const answer = await post('Contact', update(id, 'four'))
    expect(answer.status).toBe(200)
    expect(simulator.org.record(id)).toMatchObject({ LastName: 'four' })
    expect((await ended(earlier)).map((operation) => operation.status)).toEqual(earlier.map(() => 'success'))
    expect(spansOf(id)).toHaveLength(4)
    expectNeverTogether(id)
  })

  it('waits for what is in flight, and is record_busy when that takes too long', async () => {
    const { simulator, tenant } = scenario
    const id = simulator.org.create('Contact', { LastName: 'zero' })
    const gate = simulator.org.faults.hold({ recordMatches: { field: 'LastName', value: 'slow' } }, 'before')
    const slow = await tenant.write('Contact', update(id, 'slow'))
    await gate.arrived
    const busy = await post('Contact', update(id, 'busy'), 1)
    expect([busy.status, busy.body.code]).toEqual([504, 'RECORD_BUSY'])
    const patient = post('Contact', update(id, 'patient'))
    gate.release()
    expect((await patient).status).toBe(200)
    expect((await tenant.operation(slow)).status).toBe('success')
    const operation = await operationOf(busy)
    expect(operation).toMatchObject({
      status: 'failure',
      metadata: { state: 'failed', retry: { attempts: 0 } },
    })
    expect(codes(operation)).toEqual(['RECORD_BUSY'])
    expect(simulator.org.record(id)).toMatchObject({ LastName: 'patient' })
    expectNeverTogether(id)
  })

  it('keeps later asynchronous writes behind it', async () => {
    const { simulator, tenant } = scenario
    const id = simulator.org.create('Contact', { LastName: 'zero' })
    const gate = simulator.org.faults.hold({ recordMatches: { field: 'LastName', value: 'first' } }, 'before')
    const first = post('Contact', update(id, 'first'))
    await gate.arrived
    const later = await tenant.write('Contact', update(id, 'later'))
    const beside = await post('Contact', { type: 'create', record: { LastName: 'Beside' } })
    expect(beside.status).toBe(200)
    expect(spansOf(id)).toHaveLength(1)
    gate.release()
    expect((await first).status).toBe(200)
    expect((await tenant.operation(later)).status).toBe('success')
    expect(simulator.org.record(id)).toMatchObject({ LastName: 'later' })
    expectNeverTogether(id)
  })

  it('keeps the order in which 20 calls at once were taken, and never has two at the org', async () => {
    const { simulator, database } = scenario
    simulator.org.settings.latencyMs = { min: 1, max: 10 }
    const id = simulator.org.create('Contact', { LastName: 'zero' })
    const names = Array.from({ length: 20 }, (_, index) => `name ${index}`)
    const answers = await Promise.all(names.map((name) => post('Contact', update(id, name))))
    simulator.org.settings.latencyMs = 0
    expect(answers.map((answer) => answer.status)).toEqual(names.map(() => 200))
    expect(spansOf(id)).toHaveLength(20)
    expectNeverTogether(id)
    const ids = answers.map((answer) => answer.body.operationId)
    const taken = await database.sql<{ id: string; name: string }[]>`
      select id, record::json->>'LastName' as name from write where id = any (${ids}::uuid[]) order by seq`
    const sent = await database.sql<{ id: string }[]>`
      select write_id as id from attempt where write_id = any (${ids}::uuid[]) order by started_at`
    expect(sent.map((row) => row.id)).toEqual(taken.map((row) => row.id))
    expect(simulator.org.record(id)).toMatchObject({ LastName: taken.at(-1)!.name })
  })
})
