import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startSimulator, type Simulator } from '../../src/simulator/start.ts'
import { expectLanesTrue, refuseIllegalMoves } from '../support/queue-fixture.ts'
import { concurrently, createTenant, startService, type Service, type Tenant } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'

const CONCURRENCY = 4
const objects = ['Contact', 'Lead', 'Account', 'Case', 'Task']

let service: Service
let normalOrg: Simulator
let normal: Tenant

beforeEach(async () => {
  // two slots and one database connection of each kind more than the slow installation could take at most
  service = await startService({
    sweepMs: 200,
    groupConcurrency: CONCURRENCY,
    workerSlots: CONCURRENCY + 2,
    databasePool: 4,
    providerTimeoutMs: 60_000,
  })
  await refuseIllegalMoves(service.database.sql)
  normalOrg = await startSimulator({ seed: 2 })
  normal = await createTenant(service.app.url, normalOrg.url)
})
afterEach(async () => {
  await service.stop()
  await normalOrg.close()
})

/** Posts creates over five objects that may leave at once; the ids of their operations. */
const post = (tenant: Tenant, count: number): Promise<string[]> =>
  concurrently(Array.from({ length: count }), 32, (_, index) => {
    const object = objects[index % objects.length]!
    const value = `N${index}`
    const record: Record<string, string> =
      object === 'Account'
        ? { Name: value }
        : object === 'Case' || object === 'Task'
          ? { Subject: value }
          : { LastName: value }
    if (object === 'Lead') record['Company'] = 'C'
    return tenant.write(object, { type: 'create', record })
  })

const statesOf = async (tenant: Tenant): Promise<Record<string, number>> => {
  const rows = await service.database.sql<{ state: string; count: number }[]>`
    select state, count(*)::int as count from write where installation_id = ${tenant.installationId} group by state`
  return Object.fromEntries(rows.map((row) => [row.state, row.count]))
}

const openWrites = async (tenant: Tenant): Promise<number> => {
  const { queued = 0, sending = 0 } = await statesOf(tenant)
  return queued + sending
}

describe('an installation whose org holds every call open', () => {
  it('with thousands waiting keeps no other from being written', async () => {
    const { simulator, tenant: slow, database } = service
    const gate = simulator.org.faults.hold({ operation: 'collections' })
    const waiting = await post(slow, 2_000)
    await gate.waitForArrivals(CONCURRENCY)

    const ids = await post(normal, 600)
    await waitUntil(async () => (await openWrites(normal)) === 0, {
      timeoutMs: 15_000,
      what: 'the other installation’s writes to end',
    })
    expect(await statesOf(normal)).toEqual({ succeeded: ids.length })
    // the slow one's calls are open all the while: nothing of it has ended, and it has no more than its share
    expect(gate.arrivals).toBe(CONCURRENCY)
    expect(await openWrites(slow)).toBe(waiting.length)
    const [used] = await database.sql<{ count: number }[]>`
      select count(*)::int as count from pg_stat_activity
      where datname = current_database() and application_name like 'writeback-%' and state <> 'idle'
        and xact_start < now() - interval '1 s'`
    expect(used!.count).toBe(0)

    gate.release()
    await waitUntil(async () => (await openWrites(slow)) === 0, {
      timeoutMs: 20_000,
      what: 'the slow installation’s writes to end',
    })
    expect(await statesOf(slow)).toEqual({ succeeded: waiting.length })
    await expectLanesTrue(database.sql)
  })

  it('and whose claims wait for each other takes no more than one connection from the others', async () => {
    const { tenant: slow, database } = service
    await database.sql.begin(async (tx) => {
      await tx`select pg_advisory_xact_lock(hashtextextended('writeback.claims.' || ${slow.installationId}::text, 0))`
      await post(slow, 100)
      await waitUntil(
        async () => {
          const [row] = await database.sql<[{ count: number }]>`
            select count(*)::int as count from pg_locks where locktype = 'advisory' and not granted
              and database = (select oid from pg_database where datname = current_database())`
          return row.count > 0
        },
        { timeoutMs: 10_000, what: 'a claim to wait for its turn' },
      )
      const ids = await post(normal, 50)
      await waitUntil(async () => (await openWrites(normal)) === 0, {
        timeoutMs: 15_000,
        what: 'the other installation’s writes to end',
      })
      expect(await statesOf(normal)).toEqual({ succeeded: ids.length })
    })
    await waitUntil(async () => (await openWrites(slow)) === 0, { timeoutMs: 15_000, what: 'its own to end' })
  })

  it('at its login host keeps no other from being written either', async () => {
    const { simulator, tenant: slow } = service
    const gate = simulator.org.faults.hold({ operation: 'token' })
    const waiting = await post(slow, 500)
    await gate.arrived

    const ids = await post(normal, 300)
    await waitUntil(async () => (await openWrites(normal)) === 0, {
      timeoutMs: 15_000,
      what: 'the other installation’s writes to end',
    })
    expect(await statesOf(normal)).toEqual({ succeeded: ids.length })
    expect(gate.arrivals).toBe(1)
    expect(await statesOf(slow)).toEqual({ queued: waiting.length })

    gate.release()
    await waitUntil(async () => (await openWrites(slow)) === 0, {
      timeoutMs: 20_000,
      what: 'the slow installation’s writes to end',
    })
    expect(await statesOf(slow)).toEqual({ succeeded: waiting.length })
  })
})
