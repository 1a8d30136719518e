import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createCipher, keyIdOf, keysById } from '../../src/connections/cipher.ts'
import { credentialsPurpose } from '../../src/connections/connections.ts'
import { demoApp, startSimulator, type Simulator } from '../../src/simulator/start.ts'
import type { TestDatabase } from '../support/database.ts'
import { startProcess, type ServiceProcess } from '../support/processes.ts'
import { expectLanesTrue, refuseIllegalMoves } from '../support/queue-fixture.ts'
import { caller, concurrently, createServiceDatabase, createTenant } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'

const WRITES = 2_000
/** Calls that the org takes with one session before it ends all of them. */
const CALLS_PER_SESSION = 4
const objects = ['Contact', 'Lead', 'Account'] as const

const key = randomBytes(32)
let database: TestDatabase
let simulator: Simulator
let processes: ServiceProcess[]

beforeEach(async () => {
  database = await createServiceDatabase()
  await refuseIllegalMoves(database.sql)
  simulator = await startSimulator({ rotateRefreshTokens: true })
  processes = []
})
afterEach(async () => {
  await Promise.all(processes.map((one) => one.end('SIGKILL')))
  await simulator.close()
  await database.drop()
})

const recordOf = (object: (typeof objects)[number], index: number): Record<string, unknown> => {
  if (object === 'Account') return { Name: `N${index}` }
  return { LastName: `N${index}`, ...(object === 'Lead' ? { Company: 'C' } : {}) }
}

const storedToken = async (connectionId: string): Promise<string> => {
  const [row] = await database.sql<{ credentials: Buffer }[]>`
    select credentials from connection where id = ${connectionId}`
  const cipher = createCipher({ keys: keysById(key), current: keyIdOf(key) })
  const text = cipher.decrypt(row!.credentials, credentialsPurpose(connectionId))
  return (JSON.parse(text) as { refreshToken: string }).refreshToken
}

it('sessions that end all the time, under two workers: every write succeeds and no spent token is shown', async () => {
  const start = (role: string): Promise<ServiceProcess> =>
    startProcess(database.url, key.toString('base64'), {
      WRITEBACK_ROLE: role,
      WRITEBACK_SWEEP_SECONDS: '0.5',
    })
  processes = await Promise.all([start('api'), start('worker'), start('worker')])
  const [api] = processes
  const tenant = await createTenant(api!.url, simulator.url)
  const path = `/v1/projects/${tenant.projectId}/connections/${tenant.connectionId}`
  const { org } = simulator
  const credentials = {
    type: 'oauth2-refresh-token',
    clientId: demoApp.clientId,
    clientSecret: demoApp.clientSecret,
    refreshToken: demoApp.refreshTokens![0]!,
    loginUrl: simulator.url,
  }
  expect((await caller(api!.url)('PATCH', path, { credentials })).status).toBe(200)

  let taken = 0
  let ends = 0
  org.onRequest((entry) => {
    if (entry.operation === 'token' || entry.status !== 200) return
    taken += 1
    if (taken % CALLS_PER_SESSION !== 0) return
    org.sessions.expireAll()
    ends += 1
  })
  const ids = await concurrently(Array.from({ length: WRITES }), 48, (_, index) => {
    const object = objects[index % objects.length]!
    return tenant.write(object, {
      type: 'create',
      record: recordOf(object, index),
      autoBatchPolicy: { maxDelaySeconds: 0.1, maxRecords: 10 },
    })
  })
  await waitUntil(
    async () =>
      (await database.sql`select 1 from write where state in ('queued', 'sending') limit 1`).length === 0,
    { timeoutMs: 30_000, what: 'every write to end' },
  )

  const states = await database.sql`select state, count(*)::int as count from write group by state`
  expect([...states]).toEqual([{ state: 'succeeded', count: WRITES }])
  expect(new Set(ids).size).toBe(WRITES)
  const written = objects.flatMap((object) => org.records(object))
  expect(written).toHaveLength(WRITES)
  const workers = await database.sql`select distinct worker from batch`
  expect(workers).toHaveLength(2)
  await expectLanesTrue(database.sql)

  // one log-in for each session that ended, and none in vain
  expect(ends).toBeGreaterThan(10)
  expect(org.sessions.minted).toBeGreaterThan(10)
  expect(org.sessions.minted).toBeLessThanOrEqual(ends + 1)
  const tokens = org.requests.list((entry) => entry.operation === 'token')
  expect(tokens.filter((entry) => entry.status !== 200)).toEqual([])
  expect(org.sessions.oldRefreshTokensPresented).toBe(0)
  expect(org.sessions.liveGrants()).toBe(1)

  // what is stored is the token that counts: shown to the org, it is taken
  const stored = await storedToken(tenant.connectionId)
  expect(stored).not.toBe(credentials.refreshToken)
  expect(org.sessions.refresh(org.app(demoApp.clientId)!, stored, false)).toMatchObject({
    grant: { refreshToken: stored },
  })
  expect((await caller(api!.url)('GET', path)).body).toMatchObject({ status: 'working' })
}, 60_000)
