import { randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startApp, type App, type AppOptions } from '../../src/app.ts'
import { silentLogger, type Logger } from '../../src/kernel/log.ts'
import { startSimulator, type Simulator } from '../../src/simulator/start.ts'
import { isSigned, operationsOf, startReceiver, type Received, type Receiver } from '../notify/receiver.ts'
import { logUntil, makeDestination, passTheTime, readLog } from '../notify/set-up.ts'
import type { TestDatabase } from '../support/database.ts'
import { startProcess, type ServiceProcess } from '../support/processes.ts'
import {
  appOptions,
  caller,
  concurrently,
  createServiceDatabase,
  createTenant,
  type Tenant,
} from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'

let database: TestDatabase
let simulator: Simulator
let ends: (() => Promise<unknown>)[]

beforeEach(() => {
  ends = []
})
afterEach(async () => {
  for (const end of ends.reverse()) await end()
})

async function begin(): Promise<void> {
  database = await createServiceDatabase()
  simulator = await startSimulator()
}
async function finish(): Promise<void> {
  await simulator.close()
  await database.drop()
}

const receiver = async (): Promise<Receiver> => {
  const one = await startReceiver()
  ends.push(() => one.close())
  return one
}

const key = randomBytes(32)

/** Starts the service in this process; it is stopped with the test. */
async function startHere(part: Partial<AppOptions> = {}): Promise<App> {
  const app = await startApp(appOptions(database.url, { encryptionKey: key, ...part }))
  ends.push(() => app.stop(500))
  return app
}

async function start(env: Record<string, string> = {}): Promise<ServiceProcess> {
  const one = await startProcess(database.url, key.toString('base64'), env)
  ends.push(() => one.end('SIGKILL'))
  return one
}

const writeMany = (tenant: Tenant, count: number): Promise<string[]> =>
  concurrently(Array.from({ length: count }), 10, (_, index) =>
    tenant.write('Contact', { type: 'create', record: { LastName: `N${index}` } }),
  )

/** Lets time pass until a receiver has taken word of all of these. */
const allTaken = (at: Receiver, operations: string[]): Promise<void> =>
  waitUntil(
    async () => {
      await passTheTime(database.sql)
      return operations.every((id) => at.taken().has(id))
    },
    { timeoutMs: 30_000, what: 'word of every operation' },
  )

describe('a receiver in trouble', () => {
  let app: App
  let url: string
  beforeAll(async () => {
    await begin()
    app = await startApp(appOptions(database.url, { encryptionKey: key }))
    ;({ url } = app)
  })
  afterAll(async () => {
    await app.stop(500)
    await finish()
  })

  it('fails half of its calls, hangs and restarts, and is told of every outcome all the same', async () => {
    const [tenant, other] = [await createTenant(url, simulator.url), await createTenant(url, simulator.url)]
    const [bad, good, others] = [await receiver(), await receiver(), await receiver()]
    const made = await makeDestination(url, tenant, bad.url)
    await makeDestination(url, tenant, good.url)
    await makeDestination(url, other, others.url)
    bad.behave(() => 'hang')
    const operations = await writeMany(tenant, 40)
    // It hangs: nothing else waits for it. The queue goes on, and so do other destinations.
    await good.until(40)
    const more = await writeMany(other, 10)
    await others.until(10)
    expect(bad.got.length).toBeGreaterThan(0)
    expect(bad.open).toBeLessThanOrEqual(8)
    expect(bad.taken().size).toBe(0)
    await Promise.all([...operations, ...more].map((id) => tenant.operation(id, 0).catch(() => null)))
    let calls = 0
    bad.behave(() => ((calls += 1) % 2 === 0 ? 204 : [500, 'cut' as const, 429][calls % 3]!))
    await bad.close()
    await bad.reopen()
    await allTaken(bad, operations)
    for (const message of bad.got) expect(isSigned(message, made.secret)).toBe(true)
    // Every attempt of a message carries the same under the same id.
    const texts = new Map(bad.got.map(({ id, text }) => [id, text]))
    expect(texts.size).toBe(40)
    for (const { id, text } of bad.got) expect(text).toBe(texts.get(id))
    expect(bad.got.length).toBeGreaterThan(60)
    const log = await logUntil(tenant, made, (all) => all.every(({ state }) => state === 'delivered'))
    expect(log).toHaveLength(40)
    expect(good.got).toHaveLength(40)
  })

  it('one message that is never taken holds up no other, and is tried again within 30 s', async () => {
    const tenant = await createTenant(url, simulator.url)
    const at = await receiver()
    const made = await makeDestination(url, tenant, at.url)
    at.behave(({ body: { data } }) => (data['success'] === true ? 204 : 500))
    const poisoned = await tenant.write('Contact', { type: 'create', record: {} })
    await logUntil(tenant, made, ([one]) => one?.lastStatus === 500 && one.state === 'pending')
    const [{ nextAttemptTime } = {}] = await readLog(tenant, made)
    const inMs = Date.parse(nextAttemptTime!) - Date.now()
    expect(inMs).toBeGreaterThan(0)
    expect(inMs).toBeLessThanOrEqual(13_000)
    const operations = await writeMany(tenant, 20)
    await waitUntil(() => operations.every((id) => at.taken().has(id)), {
      timeoutMs: 10_000,
      what: 'the others',
    })
    const attempts = (): Received[] => at.got.filter((one) => operationsOf(one)[0] === poisoned)
    await waitUntil(
      async () => {
        await passTheTime(database.sql)
        return attempts().length >= 4
      },
      { timeoutMs: 20_000, what: 'four attempts' },
    )
    expect(new Set(attempts().map(({ id }) => id)).size).toBe(1)
  })

  it('is switched off when every attempt failed for a day, says so, and goes on when it is switched on', async () => {
    const tenant = await createTenant(url, simulator.url)
    const at = await receiver()
    const made = await makeDestination(url, tenant, at.url)
    const path = `/v1/projects/${tenant.projectId}/destinations/${made.id}`
    const read = async () => (await tenant.call('GET', path)).body
    at.behave(() => 503)
    const first = await tenant.write('Contact', { type: 'create', record: { LastName: 'x' } })
    await logUntil(tenant, made, ([one]) => one?.lastStatus === 503 && one.state === 'pending')
    expect(await read()).toMatchObject({ enabled: true })
    // A day goes by.
    await database.sql`update destination set failing_since = failing_since - interval '24 hours'`
    await passTheTime(database.sql)
    await waitUntil(async () => (await read())['enabled'] === false, { timeoutMs: 10_000, what: 'its end' })
    const off = await read()
    expect(off).toMatchObject({ enabled: false, disabledReason: 'failing' })
    expect(Date.now() - Date.parse(String(off['disabledTime']))).toBeLessThan(60_000)
    // Nothing is sent to it, nor kept for it, and what waited waits on.
    const missed = await tenant.write('Contact', { type: 'create', record: { LastName: 'y' } })
    expect((await tenant.operation(missed)).status).toBe('success')
    const calls = at.got.length
    await passTheTime(database.sql)
    const log = await readLog(tenant, made)
    expect(log).toMatchObject([{ operationIds: [first], state: 'pending', lastStatus: 503 }])
    expect(log[0]).not.toHaveProperty('nextAttemptTime')
    at.behave(() => 200)
    expect(at.got.length).toBe(calls)
    expect((await caller(url)('PATCH', path, { enabled: true })).body).not.toHaveProperty('disabledReason')
    await passTheTime(database.sql)
    await at.until(calls + 1)
    expect([...at.taken()]).toEqual([first])
  })

  it('is switched off at once when it says that it is gone', async () => {
    const tenant = await createTenant(url, simulator.url)
    const at = await receiver()
    at.behave(() => 410)
    const made = await makeDestination(url, tenant, at.url)
    await tenant.write('Contact', { type: 'create', record: { LastName: 'x' } })
    const read = async () =>
      (await tenant.call('GET', `/v1/projects/${tenant.projectId}/destinations/${made.id}`)).body
    await waitUntil(async () => (await read())['enabled'] === false, { timeoutMs: 10_000, what: 'its end' })
    expect(await read()).toMatchObject({ disabledReason: 'receiver_gone' })
    expect(await readLog(tenant, made)).toMatchObject([{ attempts: 1, lastStatus: 410 }])
  })
})

describe('processes', () => {
  beforeEach(async () => {
    await begin()
    ends.push(finish)
  })

  it('one that dies between an outcome and its delivery loses nothing', async () => {
    const at = await receiver()
    const dying = await start()
    const tenant = await createTenant(dying.url, simulator.url)
    const made = await makeDestination(dying.url, tenant, at.url)
    at.behave(() => 'hang')
    const operations = await writeMany(tenant, 20)
    await at.until(1)
    await waitUntil(
      async () => {
        const [row] = await database.sql<[{ told: number }]>`select count(*)::int as told from notification`
        return row.told === 20
      },
      { timeoutMs: 10_000, what: 'every outcome in the outbox' },
    )
    await dying.end('SIGKILL')
    expect(at.taken().size).toBe(0)
    at.behave(() => 200)
    // What was under way is taken up when its claim has run out.
    await database.sql`update notification set due_at = now() where claim_id is not null`
    await startHere()
    await allTaken(at, operations)
    for (const message of at.got) expect(isSigned(message, made.secret)).toBe(true)
  })

  it('two deliver together, and one goes on when the other ends: each message once', async () => {
    const at = await receiver()
    const said: string[] = []
    const logger: Logger = {
      ...silentLogger,
      debug: (_line: unknown, text?: string) => said.push(text ?? ''),
    }
    const [{ url }, other] = await Promise.all([
      startHere({ logger }),
      start({ LOG_LEVEL: 'debug', WRITEBACK_ROLE: 'worker' }),
    ])
    const tenant = await createTenant(url, simulator.url)
    const made = await Promise.all(Array.from({ length: 8 }, () => makeDestination(url, tenant, at.url)))
    const operations = await writeMany(tenant, 50)
    await at.until(100)
    await other.end('SIGTERM')
    await at.until(400)
    expect(operations.every((id) => at.taken().has(id))).toBe(true)
    for (const one of made) {
      const log = await logUntil(tenant, one, (all) => all.every(({ state }) => state === 'delivered'))
      expect(log).toHaveLength(50)
      expect(log.every(({ attempts }) => attempts === 1)).toBe(true)
    }
    expect(at.got).toHaveLength(400)
    const sent = [...said, ...other.lines.map(({ msg }) => msg)].filter(
      (text) => text === 'a notification was delivered',
    )
    expect(sent).toHaveLength(400)
  })

  it('one that is stopped lets what is under way end, and gives back what does not', async () => {
    const at = await receiver()
    const started = await startHere()
    const tenant = await createTenant(started.url, simulator.url)
    await makeDestination(started.url, tenant, at.url)
    at.behave(() => 'hang')
    const operations = await writeMany(tenant, 3)
    await at.until(3)
    await started.stop(300)
    const rows = await database.sql<{ due: boolean; claimed: boolean }[]>`
      select due_at <= now() as due, claim_id is not null as claimed from notification`
    expect(rows.map((row) => ({ ...row }))).toEqual(new Array(3).fill({ due: true, claimed: false }))
    at.behave(() => 200)
    await startHere()
    await waitUntil(() => operations.every((id) => at.taken().has(id)), {
      timeoutMs: 5_000,
      what: 'what was given back',
    })
  })
})
