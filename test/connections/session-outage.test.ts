import { randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createCipher, keyIdOf, keysById } from '../../src/connections/cipher.ts'
import { createConnection, renewConnection } from '../../src/connections/connections.ts'
import { createProject } from '../../src/connections/projects.ts'
import { createSessions, type Mint, type Sessions } from '../../src/connections/sessions.ts'
import { connect } from '../../src/db/connect.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import type { Credentials } from '../../src/model/credentials.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { waitUntil } from '../support/wait-until.ts'
import { failure, loginHost } from './login-host.ts'
import { startRelay, type Relay } from '../support/relay.ts'

/** Half of it is left to those who were out of touch: more than a test looks on, less than it has time for. */
const LEASE_SECONDS = 5

const key = randomBytes(32)
const cipher = createCipher({ keys: keysById(key), current: keyIdOf(key) })
const credentials: Credentials = { type: 'oauth2-refresh-token', clientId: 'app', refreshToken: 'token-0' }

let database: TestDatabase
let relay: Relay
let projectId: string
const ends: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  database = await createTestDatabase()
  relay = await startRelay(database.url)
  projectId = (await createProject(database.sql, { name: 'acme' })).id
})
afterEach(async () => {
  relay.mend()
  for (const end of ends.splice(0).reverse()) await end()
})
afterAll(async () => {
  await relay.stop()
  await database.drop()
})

const newConnection = async (): Promise<string> =>
  (
    await createConnection(database.sql, cipher, projectId, {
      groupRef: 'g',
      provider: 'salesforce',
      credentials,
    })
  ).id

/** The sessions of a process whose way to the database can be cut. What was set up before is no news to it. */
async function startProcess(mint: Mint): Promise<Sessions> {
  const pool = connect({ url: relay.url, max: 4, applicationName: 'process' })
  const sessions = createSessions({
    sql: pool,
    cipher,
    mint,
    logger: silentLogger,
    leaseSeconds: LEASE_SECONDS,
  })
  ends.push(async () => {
    await sessions.stop()
    await pool.end({ timeout: 1 })
  })
  await sessions.start()
  return sessions
}

const listens = async (): Promise<boolean> => {
  const [row] = await database.sql<{ count: number }[]>`
    select count(*)::int as count from pg_stat_activity
    where datname = current_database() and application_name like 'process%' and query ilike 'listen%' and state = 'idle'`
  return row!.count > 0
}
const heard = () => waitUntil(listens, { timeoutMs: 5_000, what: 'the process to listen' })
const unheard = () =>
  waitUntil(async () => !(await listens()), { timeoutMs: 5_000, what: 'the way to be cut' })

/** The database goes away; meanwhile something happens; it comes back. */
async function interrupted(meanwhile: () => Promise<unknown> = () => Promise.resolve()): Promise<void> {
  relay.cut()
  await unheard()
  await meanwhile()
  relay.mend()
  await heard()
}

describe('a session in memory', () => {
  test('outlives a database that comes and goes', async () => {
    const host = loginHost()
    const id = await newConnection()
    const sessions = await startProcess(host.mint)
    const open = await sessions.get(id)
    for (let n = 0; n < 2; n++) {
      await interrupted()
      relay.cut()
      await unheard()
      expect(await sessions.get(id)).toEqual(open)
      relay.mend()
      await heard()
    }
    expect(host.mints).toBe(1)
  })

  test('is not used any more when its connection was found broken meanwhile', async () => {
    const id = await newConnection()
    const sessions = await startProcess(loginHost().mint)
    await sessions.get(id)
    await interrupted(
      () => database.sql`update connection set status = 'broken', session = null where id = ${id}`,
    )
    await expect(sessions.get(id)).rejects.toMatchObject({ code: 'NO_WORKING_CONNECTION' })
    relay.cut()
    await unheard()
    await expect(sessions.get(id)).rejects.not.toMatchObject({ code: 'NO_WORKING_CONNECTION' })
  })

  test('gives way to one that another process opened meanwhile, and to new credentials', async () => {
    const host = loginHost()
    const id = await newConnection()
    const sessions = await startProcess(host.mint)
    const other = createSessions({ sql: database.sql, cipher, mint: host.mint, logger: silentLogger })
    const { version } = await sessions.get(id)
    let newer: unknown
    await interrupted(async () => (newer = await other.refresh(id, version)))
    expect(await sessions.get(id)).toEqual(newer)
    await interrupted(() => renewConnection(database.sql, cipher, projectId, id, credentials))
    expect((await sessions.get(id)).session.accessToken).toBe('access-3')
  })
})

describe('a refresh under way', () => {
  test('saves its rotated token once the database is back', async () => {
    const host = loginHost({ rotates: true })
    const id = await newConnection()
    const sessions = await startProcess(host.mint)
    const { version } = await sessions.get(id)
    host.after = () => {
      relay.cut()
      return Promise.resolve()
    }
    const refreshed = sessions.refresh(id, version)
    await unheard()
    relay.mend()
    host.after = () => Promise.resolve()
    expect((await refreshed).session.accessToken).toBe('access-2')
    await expect(sessions.refresh(id, version + 1)).resolves.toMatchObject({ version: version + 2 })
    expect(host.revoked).toBe(false)
  })

  test('is not taken for dead by a process that was out of touch itself', async () => {
    const mint: Mint = () => Promise.reject(failure('transient', 'HTTP_503'))
    const id = await newConnection()
    const sessions = await startProcess(mint)
    await interrupted()
    // run out just now, as all leases have after an interruption
    await database.sql`update connection set refresh_lease = gen_random_uuid(), refresh_until = now() - interval '1 second'
      where id = ${id}`
    const opening = sessions.get(id).catch((error: unknown) => error)
    const looks = Promise.withResolvers<string>()
    setTimeout(() => looks.resolve('it waits'), 1_000).unref()
    expect(await Promise.race([opening, looks.promise])).toBe('it waits')
    const fresh = createSessions({
      sql: database.sql,
      cipher,
      mint,
      logger: silentLogger,
      leaseSeconds: LEASE_SECONDS,
    })
    await expect(fresh.get(id)).rejects.toThrow('HTTP_503')
    await database.sql`update connection set status = 'broken' where id = ${id}`
    await opening
  })
})
