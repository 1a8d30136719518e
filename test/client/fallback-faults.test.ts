import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, expect, it } from 'vitest'
import {
  createClient,
  isWritebackError,
  type Client,
  type FallbackWrite,
  type WriteOutcome,
} from '../../src/client/index.ts'
import { startSimulator, type Simulator } from '../../src/simulator/start.ts'
import type { TestDatabase } from '../support/database.ts'
import { startProcess, type ServiceProcess } from '../support/processes.ts'
import { expectLanesTrue, refuseIllegalMoves } from '../support/queue-fixture.ts'
import { waitUntil } from '../support/wait-until.ts'
import {
  ADMIN_KEY,
  concurrently,
  createServiceDatabase,
  createTenant,
  type Tenant,
} from '../support/service.ts'

const WRITES = 1_000
/** Writes that may wait before the queue refuses; its own number of them is put there to begin with. */
const HIGH_WATER = 40

const encryptionKey = randomBytes(32).toString('base64')
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

async function start(role: 'api' | 'worker', port = '0'): Promise<ServiceProcess> {
  const one = await startProcess(database.url, encryptionKey, {
    WRITEBACK_ROLE: role,
    WRITEBACK_SWEEP_SECONDS: '0.5',
    WRITEBACK_LEASE_SECONDS: '5',
    WRITEBACK_MAX_WAITING: String(HIGH_WATER),
    PORT: port,
  })
  processes.push(one)
  return one
}

/** An API that can be killed and comes back at the same address. */
async function startMortalApi() {
  let api = await start('api')
  const { port } = new URL(api.url)
  return {
    url: api.url,
    dieAndReturn: async () => {
      await api.end('SIGKILL')
      api = await start('api', port)
    },
  }
}

/** Plain creates come on top: an answer of the org that died with the API is lost for good, so they may be in doubt. */
const PLAIN = 100

/** A network that loses the answer to every eighth call that writes. */
function lossyFetch(): { fetch: typeof fetch; lost: () => number } {
  let calls = 0
  let lost = 0
  const lossy: typeof fetch = async (input, init) => {
    const response = await fetch(input, init)
    if (!/objects\/|:promote$/.test(input as string)) return response
    calls += 1
    if (calls % 8 !== 0) return response
    lost += 1
    await response.arrayBuffer()
    throw new TypeError('fetch failed')
  }
  return { fetch: lossy, lost: () => lost }
}

const safeKinds = ['keyed create', 'upsert', 'update'] as const
const kindOf = (index: number) => (index < WRITES ? safeKinds[index % safeKinds.length]! : 'plain create')

/** One write of each kind in turn; updates go to records that are there. */
function writeOf(index: number, tenant: Tenant, targets: string[]): [object: string, write: FallbackWrite] {
  const { groupRef } = tenant
  const LastName = `fallback-${index}`
  switch (kindOf(index)) {
    case 'keyed create':
      return ['Contact', { groupRef, type: 'create', record: { LastName } }]
    case 'upsert': {
      const record = { LastName, Company: 'C', External_Id__c: `external-${index}` }
      return ['Lead', { groupRef, type: 'upsert', externalIdField: 'External_Id__c', record }]
    }
    case 'update':
      return ['Case', { groupRef, type: 'update', record: { Id: targets[index]!, Subject: LastName } }]
    case 'plain create':
      return ['Account', { groupRef, type: 'create', record: { Name: LastName } }]
  }
}

/** Calls again as the error says, as a program does that wants its write made. */
async function untilDone(
  client: Client,
  object: string,
  write: FallbackWrite,
  settleWithinMs: number,
): Promise<WriteOutcome> {
  let idempotencyKey: string | undefined
  for (;;) {
    try {
      return await client.withFallback(object, write, {
        settleWithinMs,
        giveUpAfterMs: 10_000,
        idempotencyKey,
      })
    } catch (error) {
      if (!isWritebackError(error) || error.idempotencyKey === undefined) throw error
      idempotencyKey = error.idempotencyKey
    }
  }
}

/** How often each name is among the records of a kind. */
function timesOfNames(): (index: number, target: string | undefined) => number {
  const count = (object: string, field: string): Map<unknown, number> => {
    const times = new Map<unknown, number>()
    for (const { values } of simulator.org.table(object)!.live.values())
      times.set(values[field], (times.get(values[field]) ?? 0) + 1)
    return times
  }
  const [contacts, leads, accounts] = [
    count('Contact', 'LastName'),
    count('Lead', 'LastName'),
    count('Account', 'Name'),
  ]
  return (index, target) => {
    const name = `fallback-${index}`
    switch (kindOf(index)) {
      case 'keyed create':
        return contacts.get(name) ?? 0
      case 'upsert':
        return leads.get(name) ?? 0
      case 'update':
        return simulator.org.record(target!)?.['Subject'] === name ? 1 : 0
      case 'plain create':
        return accounts.get(name) ?? 0
    }
  }
}

it('1,000 writes are each in the org exactly once, although the queue stalls, refuses and dies, and answers are lost', async () => {
  const api = await startMortalApi()
  const tenant = await createTenant(api.url, simulator.url, {
    Contact: { objectName: 'Contact', idempotencyField: 'Write_Id__c' },
    ...Object.fromEntries(['Lead', 'Case', 'Account', 'Task'].map((name) => [name, { objectName: name }])),
  })
  const network = lossyFetch()
  const client = createClient({
    baseUrl: api.url,
    fetch: network.fetch,
    apiKey: ADMIN_KEY,
    project: tenant.projectId,
    integration: tenant.integrationId,
    timeoutMs: 10_000,
    retry: { minDelayMs: 100, maxDelayMs: 1_000 },
  })
  const targets: string[] = []
  for (let index = 0; index < WRITES; index += 1)
    if (kindOf(index) === 'update') targets[index] = simulator.org.create('Case', { Subject: 'old' })
  // Nobody works, and more waits already than may.
  const filling = Array.from({ length: HIGH_WATER * 2 }, () =>
    client.enqueue('Task', {
      groupRef: tenant.groupRef,
      type: 'create',
      record: { Subject: 'waits' },
      autoBatchPolicy: { maxDelayMinutes: 60 },
    }),
  )
  const filled = await Promise.all(filling)

  let done = 0
  let worker: Promise<ServiceProcess> | undefined
  let emptied: Promise<unknown> = Promise.resolve()
  const happenings: Record<number, () => Promise<unknown>> = {
    // it takes writes and does nothing with them
    [WRITES * 0.2]: () =>
      (emptied = concurrently(filled, 40, ({ operationId }) => client.cancel(operationId))),
    // it works; a cancellation would come too late then
    [WRITES * 0.3]: () => (worker = emptied.then(() => start('worker'))),
    // all of it dies in the middle of its work, and comes back
    [WRITES * 0.7]: async () => {
      const working = await worker
      await waitUntil(() => working!.lines.some(({ batchId }) => batchId !== undefined), {
        timeoutMs: 20_000,
        what: 'something that the worker sent',
      })
      await working?.end('SIGKILL')
      await Promise.all([api.dieAndReturn(), start('worker')])
    },
  }
  const under: Promise<unknown>[] = []
  // Those that may be in doubt among the others.
  const order = Array.from({ length: WRITES + PLAIN }, (_, at) => (at * 7) % (WRITES + PLAIN))
  const outcomes: WriteOutcome[] = []
  await concurrently(order, 100, async (index) => {
    outcomes[index] = await untilDone(client, ...writeOf(index, tenant, targets), 200)
    done += 1
    under.push(happenings[done]?.() ?? Promise.resolve())
  })
  await Promise.all(under)

  expect(network.lost()).toBeGreaterThan(100)
  const timesInOrg = timesOfNames()
  const times = outcomes.map((_, index) => timesInOrg(index, targets[index]))
  expect(times.slice(0, WRITES)).toEqual(Array.from({ length: WRITES }, () => 1))
  expect(outcomes.slice(0, WRITES).filter((outcome) => !outcome.success)).toEqual([])
  const wrong = outcomes.slice(WRITES).filter(({ state }, at) => {
    const count = times[WRITES + at]!
    return !(state === 'succeeded' ? count === 1 : state === 'in_doubt' && count <= 1)
  })
  expect(wrong).toEqual([])
  expect([simulator.org.count('Contact'), simulator.org.count('Lead')]).toEqual(
    ['keyed create', 'upsert'].map((kind) => outcomes.filter((_, index) => kindOf(index) === kind).length),
  )
  // Each is told of its own record, and every way was taken.
  expect(new Set(outcomes.map((outcome) => outcome.operationId)).size).toBe(WRITES + PLAIN)
  const named = outcomes.filter(({ success }) => success).map(({ records }) => records[0]!.recordId)
  expect(new Set(named).size).toBe(named.length)
  expect(new Set(outcomes.map((outcome) => outcome.via))).toEqual(
    new Set(['asynchronous', 'promoted', 'synchronous']),
  )
  await expectLanesTrue(database.sql)
}, 120_000)
