import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { startSimulator, type Simulator } from '../../src/simulator/start.ts'
import type { TestDatabase } from '../support/database.ts'
import { startProcess, type ServiceProcess } from '../support/processes.ts'
import { expectLanesTrue, refuseIllegalMoves } from '../support/queue-fixture.ts'
import { createServiceDatabase, createTenant } from '../support/service.ts'

/** Seconds of the lease; pg-boss keeps a job's share of the concurrency for 10 s at least. */
const LEASE = 5
const LEAST_JOB = 10
/** Seconds that a sweep, another look of pg-boss's and a busy machine may add. */
const GRACE = 5

let database: TestDatabase
let simulator: Simulator
let processes: ServiceProcess[]

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

async function start(role: 'api' | 'worker', key: string): Promise<ServiceProcess> {
  const started = await startProcess(database.url, key, {
    WRITEBACK_ROLE: role,
    WRITEBACK_LEASE_SECONDS: String(LEASE),
    // The dead worker's call is all that the installation may have in flight.
    WRITEBACK_GROUP_CONCURRENCY: '1',
    WRITEBACK_SWEEP_SECONDS: '0.5',
  })
  processes.push(started)
  return started
}

it(
  'what a killed worker had in flight is settled when its lease ends, and its lanes go on',
  { timeout: 90_000 },
  async () => {
    const key = randomBytes(32).toString('base64')
    const [api, worker] = await Promise.all([start('api', key), start('worker', key)])
    const tenant = await createTenant(api.url, simulator.url)
    const gate = simulator.org.faults.hold({ operation: 'collections' })
    const single = simulator.org.faults.hold({ operation: 'single' })
    const create = await tenant.write('Contact', { type: 'create', record: { LastName: 'in flight' } })
    await Promise.race([gate.arrived, single.arrived])
    const record = { External_Id__c: 'k', LastName: 'waits' }
    const waiting = await tenant.write('Contact', {
      type: 'upsert',
      externalIdField: 'External_Id__c',
      record,
    })
    await start('worker', key)
    const killedAt = performance.now()
    await worker.end('SIGKILL')
    gate.release()
    single.release()
    const secondsSince = (): number => (performance.now() - killedAt) / 1000

    expect((await tenant.operation(create)).metadata.state).toBe('in_doubt')
    const settledAfter = secondsSince()
    expect((await tenant.operation(waiting)).metadata.state).toBe('succeeded')
    const wentOnAfter = secondsSince()
    expect(settledAfter).toBeLessThan(LEASE + GRACE)
    expect(wentOnAfter).toBeLessThan(LEAST_JOB + GRACE)
    await expectLanesTrue(database.sql)
  },
)
