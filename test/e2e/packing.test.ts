import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startApp, type App } from '../../src/app.ts'
import type { Packing } from '../../src/model/object-entry.ts'
import type { RequestEntry } from '../../src/simulator/start.ts'
import { startSimulator, type Simulator } from '../../src/simulator/start.ts'
import type { TestDatabase } from '../support/database.ts'
import { expectLanesTrue } from '../support/queue-fixture.ts'
import {
  appOptions,
  concurrently,
  createServiceDatabase,
  createTenant,
  type Tenant,
} from '../support/service.ts'

let database: TestDatabase
let simulator: Simulator
let api: App
let apps: App[]
const encryptionKey = randomBytes(32)

beforeEach(async () => {
  database = await createServiceDatabase()
  simulator = await startSimulator()
  // What is accepted waits until a worker is started.
  api = await startApp(appOptions(database.url, { role: 'api', encryptionKey }))
  apps = [api]
})
afterEach(async () => {
  for (const app of apps.toReversed()) await app.stop(5_000)
  await expectLanesTrue(database.sql)
  await simulator.close()
  await database.drop()
})

const tenantWith = (packing: Packing): Promise<Tenant> =>
  createTenant(api.url, simulator.url, undefined, { packing })

const startWorking = async (): Promise<void> => {
  apps.push(await startApp(appOptions(database.url, { role: 'worker', encryptionKey })))
}

/** A record that its object takes. */
const recordOf: Record<string, (name: string) => Record<string, unknown>> = {
  Account: (Name) => ({ Name }),
  Contact: (LastName) => ({ LastName }),
  Lead: (LastName) => ({ LastName, Company: 'C' }),
  Case: (Subject) => ({ Subject }),
  Task: (Subject) => ({ Subject }),
}
const objects = Object.keys(recordOf)

const post = (tenant: Tenant, object: string, count: number, policy?: object): Promise<string[]> =>
  concurrently(Array.from({ length: count }), 25, (_, index) =>
    tenant.write(object, {
      type: 'create',
      record: recordOf[object]!(`${object} ${index}`),
      ...(policy === undefined ? {} : { autoBatchPolicy: policy }),
    }),
  )

async function expectWritten(tenant: Tenant, ids: string[]): Promise<void> {
  const operations = await concurrently(ids, 50, (id) => tenant.operation(id))
  expect(new Set(operations.map((one) => one.metadata.state))).toEqual(new Set(['succeeded']))
  const recordIds = operations.flatMap((one) => one.metadata.successfulRecordIds)
  expect(new Set(recordIds).size).toBe(ids.length)
}

const writes = (): RequestEntry[] =>
  simulator.org.requests.list(
    (entry) => entry.operation === 'composite' || entry.operation.startsWith('collections.'),
  )
const shapeOf = (entry: RequestEntry): string[] =>
  (entry.parts ?? [entry]).map((part) => `${part.objects.join()} ${part.recordCount}`).toSorted()

describe('groups that share a call', () => {
  it('bring 1,000 records that wait on five objects to the org in two calls', async () => {
    const tenant = await tenantWith('riders')
    const ids = (await concurrently(objects, 5, (object) => post(tenant, object, 200))).flat()
    const before = simulator.org.apiUsed
    await startWorking()
    await expectWritten(tenant, ids)
    expect(simulator.org.apiUsed - before).toBe(2)
    expect(writes().map((entry) => entry.operation)).toEqual(['composite', 'composite'])
    for (const entry of writes()) {
      expect(entry.parts).toHaveLength(5)
      expect(entry.parts!.every((part) => part.recordCount === 100)).toBe(true)
    }
    for (const object of objects) expect(simulator.org.count(object)).toBe(200)
  })

  it('take along what is not due yet, and what is not wanted along stays until it is due', async () => {
    for (const [packing, shapes] of [
      ['riders', [['Account 2', 'Contact 3', 'Lead 4']]],
      ['ready', [['Account 2', 'Contact 3']]],
      ['none', [['Account 2'], ['Contact 3']]],
    ] as const) {
      const tenant = await tenantWith(packing)
      const leads = await post(tenant, 'Lead', 4, { maxDelayMinutes: 60 })
      const ids = [...(await post(tenant, 'Account', 2)), ...(await post(tenant, 'Contact', 3))]
      const before = writes().length
      await startWorking()
      await expectWritten(tenant, ids)
      if (packing === 'riders') await expectWritten(tenant, leads)
      else expect((await tenant.operation(leads[0]!, 0)).metadata.state).toBe('queued')
      const sent = writes().slice(before)
      expect(sent.map(shapeOf).toSorted()).toEqual(shapes)
      await apps.pop()!.stop(5_000)
    }
  })

  it('go one by one to an org that refuses composite calls, which is asked once', async () => {
    simulator.org.settings.compositeAccess = 'forbidden'
    const tenant = await tenantWith('riders')
    const ids = (await concurrently(objects, 5, (object) => post(tenant, object, 10))).flat()
    await startWorking()
    await expectWritten(tenant, ids)
    const more = (await concurrently(objects, 5, (object) => post(tenant, object, 10))).flat()
    await expectWritten(tenant, more)
    expect(writes().filter((entry) => entry.operation === 'composite')).toHaveLength(1)
    for (const object of objects) expect(simulator.org.count(object)).toBe(20)
  })

  it('have each its own fate: one that is refused or undone takes no other with it', async () => {
    const tenant = await tenantWith('riders')
    const good = await post(tenant, 'Account', 3)
    const undone = [
      await tenant.write('Contact', {
        type: 'create',
        record: { LastName: 'innocent' },
        autoBatchPolicy: { maxDelaySeconds: 0, allOrNone: true },
      }),
      await tenant.write('Contact', {
        type: 'create',
        record: {},
        autoBatchPolicy: { maxDelaySeconds: 0, allOrNone: true },
      }),
    ]
    const unreadable = await tenant.write('Lead', {
      type: 'create',
      record: { LastName: { no: 'text' }, Company: 'C' },
    })
    const readable = await post(tenant, 'Lead', 2)
    await startWorking()
    await expectWritten(tenant, [...good, ...readable])
    const failed = await concurrently([...undone, unreadable], 3, (id) => tenant.operation(id))
    expect(failed.map((one) => one.metadata.state)).toEqual(['failed', 'failed', 'failed'])
    expect(failed.slice(0, 2).map((one) => one.metadata.records[0]!.errors[0]!.code)).toEqual([
      'ALL_OR_NONE_OPERATION_ROLLED_BACK',
      'REQUIRED_FIELD_MISSING',
    ])
    expect(simulator.org.count('Account')).toBe(3)
    expect(simulator.org.count('Contact')).toBe(0)
    expect(simulator.org.count('Lead')).toBe(2)
  })

  it('are in doubt together when the answer to their call is lost, and creates are not sent twice', async () => {
    const tenant = await tenantWith('riders')
    const creates = await post(tenant, 'Account', 3)
    const upserts = await concurrently(['a', 'b'], 2, (key) =>
      tenant.write('Contact', {
        type: 'upsert',
        externalIdField: 'External_Id__c',
        record: { LastName: key, External_Id__c: key },
      }),
    )
    simulator.org.faults.add({ match: { operation: 'composite' }, action: { type: 'dropAfter' } })
    await startWorking()
    await expectWritten(tenant, upserts)
    const lost = await concurrently(creates, 3, (id) => tenant.operation(id))
    expect(lost.map((one) => one.metadata.state)).toEqual(Array(3).fill('in_doubt'))
    expect(simulator.org.count('Account')).toBe(3)
    expect(simulator.org.count('Contact')).toBe(2)
  })
})
