import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startSimulator, type Simulator } from '../../src/simulator/start.ts'
import { createTenant, type Tenant } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'
import { codes, creates, startScenario, type Scenario } from './scenario.ts'

const CONCURRENCY = 4
/** Every call that writes, packed or not. */
const writing = { pathContains: '/composite' }

let scenario: Scenario
const sql = () => scenario.database.sql

beforeEach(async () => {
  scenario = await startScenario({ groupConcurrency: CONCURRENCY })
})
afterEach(async () => {
  try {
    await scenario.expectSettled()
  } finally {
    await scenario.stop()
  }
})

const accounts = (...names: string[]): Record<string, unknown>[] =>
  names.map((Name) => ({ type: 'create', record: { Name } }))

/** Requests that wrote, or tried to. */
const writes = (simulator: Simulator): number =>
  simulator.org.requests.list((entry) => entry.path.includes(writing.pathContains)).length

const waitFor = (what: string, condition: () => Promise<boolean>): Promise<void> =>
  waitUntil(condition, { timeoutMs: 10_000, what })

/** Waits until this many lanes of a tenant are put off for a reason. */
const held = (tenant: Tenant, reason: string, count: number): Promise<void> =>
  waitFor(`${count} lanes held by ${reason}`, async () => {
    const rows = await sql()`
      select from lane where installation_id = ${tenant.installationId} and held_by = ${reason} and due_at > now()`
    return rows.length === count
  })

/** Makes one lane due now; the others stay put off. */
const wake = (tenant: Tenant, object: string) => sql()`
  update lane set due_at = now() where installation_id = ${tenant.installationId} and object_name = ${object}`

/** Lets the time until the next look at a limit pass, and a minute since the last answer. */
const letLimitsPass = async (tenant: Tenant): Promise<void> => {
  const minute = sql()`interval '1 minute'`
  await sql()`
    update org_usage set read_at = read_at - ${minute}, blocked_at = blocked_at - ${minute}, blocked_until = case when blocked_until is not null then now() end
    where org = (select org from pacing where installation_id = ${tenant.installationId})`
  await sql()`
    update pacing set probe_at = now(), paused_until = now() where installation_id = ${tenant.installationId}`
}

describe("an org whose day's calls are used up", () => {
  it('is left alone until a call gets through, and then sent everything; no other org notices', async () => {
    const { simulator, tenant, group, ended, app } = scenario
    const otherOrg = await startSimulator({ seed: 2 })
    try {
      const other = await createTenant(app.url, otherOrg.url)
      simulator.org.faults.add({ match: writing, action: { type: 'status', canned: 'totalRequests' } })
      const met = await group('Contact', creates('Ada', 'Bob'))
      await held(tenant, 'limit', 1)
      const later = await group('Account', accounts('Cyd', 'Dee'))
      await held(tenant, 'limit', 2)

      const elsewhere = await other.write('Contact', { type: 'create', record: { LastName: 'Eve' } })
      expect((await other.operation(elsewhere)).status).toBe('success')

      expect(writes(simulator)).toBe(1)
      for (const id of [...met, ...later]) {
        const operation = await tenant.operation(id, 0)
        expect(operation.metadata).toMatchObject({ state: 'queued', retry: { attempts: 0 } })
      }

      // one lane looks whether the limit has lifted, and wakes the other
      await letLimitsPass(tenant)
      await wake(tenant, 'Contact')
      const operations = await ended([...met, ...later])
      expect(operations.map((one) => one.status)).toEqual(Array(4).fill('success'))
      expect(operations.map((one) => one.metadata.retry.attempts)).toEqual(Array(4).fill(1))
      expect(simulator.org.counts()).toMatchObject({ Contact: 2, Account: 2 })
      expect(writes(simulator)).toBe(3)
    } finally {
      await otherOrg.close()
    }
  })

  it('takes a synchronous call at any time, and everything else with it', async () => {
    const { simulator, tenant, group, ended } = scenario
    simulator.org.faults.add({ match: writing, action: { type: 'status', canned: 'totalRequests' } })
    const ids = await group('Contact', creates('Ada', 'Bob'))
    await held(tenant, 'limit', 1)
    const path = `/v1/projects/${tenant.projectId}/integrations/${tenant.integrationId}/objects/Account`
    const answer = await tenant.call('POST', path, {
      groupRef: tenant.groupRef,
      type: 'create',
      record: { Name: 'Acme' },
    })
    expect(answer.status).toBe(200)
    const operations = await ended(ids)
    expect(operations.map((one) => [one.status, one.metadata.retry.attempts])).toEqual([
      ['success', 1],
      ['success', 1],
    ])
  })

  it('that refuses the call that looks is left alone again, and nothing is spent', async () => {
    const { simulator, tenant, group, ended } = scenario
    simulator.org.faults.add({
      match: writing,
      times: 2,
      action: { type: 'status', canned: 'totalRequests' },
    })
    const ids = await group('Contact', creates('Ada', 'Bob'))
    await held(tenant, 'limit', 1)
    await letLimitsPass(tenant)
    await wake(tenant, 'Contact')
    await waitFor('a second refusal', () => Promise.resolve(writes(simulator) === 2))
    await held(tenant, 'limit', 1)
    await letLimitsPass(tenant)
    await wake(tenant, 'Contact')
    const operations = await ended(ids)
    expect(operations.map((one) => [one.status, one.metadata.retry.attempts])).toEqual([
      ['success', 1],
      ['success', 1],
    ])
    expect(writes(simulator)).toBe(3)
  })
})

describe("an installation that has used its part of its org's calls", () => {
  it('fills its groups up, looks with one call, and goes on when enough is free', async () => {
    const { simulator, tenant, group, ended } = scenario
    simulator.org.settings.dailyApiLimit = 1_000
    simulator.org.apiUsed = 900
    const before = await ended(await group('Contact', creates('First')))
    expect(before[0]!.status).toBe('success')

    const write = (object: string, record: Record<string, unknown>): Promise<string> =>
      tenant.write(object, { type: 'create', record, autoBatchPolicy: { maxDelaySeconds: 0 } })
    const contacts = [await write('Contact', { LastName: 'Ada' })]
    await held(tenant, 'quota', 1)
    for (const LastName of ['Bob', 'Cyd', 'Dee']) contacts.push(await write('Contact', { LastName }))
    const account = await write('Account', { Name: 'Acme' })
    await held(tenant, 'quota', 2)
    expect(writes(simulator)).toBe(1)

    await letLimitsPass(tenant)
    await wake(tenant, 'Contact')
    expect((await ended(contacts)).map((one) => one.status)).toEqual(Array(4).fill('success'))
    expect(writes(simulator)).toBe(2)
    const late = await write('Contact', { LastName: 'Eve' })
    await held(tenant, 'quota', 2)
    expect(writes(simulator)).toBe(2)
    expect((await tenant.operation(account, 0)).metadata).toMatchObject({
      state: 'queued',
      retry: { attempts: 0 },
    })

    simulator.org.apiUsed = 700
    await letLimitsPass(tenant)
    await wake(tenant, 'Contact')
    expect((await ended([late, account])).map((one) => one.status)).toEqual(['success', 'success'])
    expect(writes(simulator)).toBe(4)
    expect(simulator.org.counts()).toMatchObject({ Contact: 6, Account: 1 })
  })
})

describe.each([
  ['too many long requests at once', { type: 'status', canned: 'concurrentRequests' }, 1],
  ['too many long transactions at once', { type: 'status', canned: 'concurrentLongTxn' }, 1],
  ['a locked row', { type: 'recordError', canned: 'lockedRow' }, 2],
] as const)('an installation that meets %s', (_, action, attempts) => {
  it('has half as many calls in flight', async () => {
    const { simulator, tenant, group, ended, hurry } = scenario
    simulator.org.faults.add({ match: writing, action })
    const met = await group('Contact', creates('Ada'))
    await waitFor('the cut', async () => {
      const rows = await sql()`select from pacing where concurrency = ${CONCURRENCY / 2}`
      return rows.length === 1
    })
    await waitFor('the write to wait again', async () => {
      const operation = await tenant.operation(met[0]!, 0)
      return operation.metadata.state === 'queued' && operation.metadata.retry.attempts === attempts - 1
    })
    await letLimitsPass(tenant)
    // a try that was spent waits for its backoff, one that a limit turned away for the limit alone
    await (attempts > 1 ? hurry() : wake(tenant, 'Contact'))
    const [operation] = await ended(met)
    expect([operation!.status, operation!.metadata.retry.attempts]).toEqual(['success', attempts])
    expect(codes(operation!)).toEqual([])

    const gate = simulator.org.faults.hold(writing)
    const ids = await group('Account', accounts('One'))
    await gate.waitForArrivals(1)
    ids.push(...(await group('Contact', creates('Two'))))
    await gate.waitForArrivals(2)
    ids.push(...(await group('Lead', [{ type: 'create', record: { LastName: 'Three', Company: 'C' } }])))
    await waitFor('a lane to be held', async () => {
      const rows = await sql()`select from lane where held_by = 'concurrency'`
      return rows.length === 1
    })
    expect(gate.arrivals).toBe(2)
    gate.release()
    expect((await ended(ids)).map((one) => one.status)).toEqual(Array(3).fill('success'))
  })
})
