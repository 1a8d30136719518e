import { randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createCipher, keyIdOf, keysById } from '../../src/connections/cipher.ts'
import { createConnection, renewConnection } from '../../src/connections/connections.ts'
import { createProject } from '../../src/connections/projects.ts'
import { ConnectionBroken, SessionUnavailable } from '../../src/connections/session-errors.ts'
import { createSessions, type Mint, type Sessions } from '../../src/connections/sessions.ts'
import { connect, type Sql } from '../../src/db/connect.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import { newId } from '../../src/kernel/ids.ts'
import type { Credentials } from '../../src/model/credentials.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { failure } from './login-host.ts'

const key = randomBytes(32)
const cipher = createCipher({ keys: keysById(key), current: keyIdOf(key) })
const old: Credentials = { type: 'oauth2-refresh-token', clientId: 'app', refreshToken: 'old-0' }
const fresh: Credentials = { type: 'oauth2-refresh-token', clientId: 'app', refreshToken: 'new-0' }

let database: TestDatabase
let sql: Sql
let projectId: string
let pools: Sql[]
let started: Sessions[]

beforeAll(async () => {
  database = await createTestDatabase()
  sql = database.sql
  projectId = (await createProject(sql, { name: 'acme' })).id
})
afterAll(() => database.drop())
beforeEach(() => {
  pools = []
  started = []
})
afterEach(async () => {
  await Promise.all(started.map((one) => one.stop()))
  await Promise.all(pools.map((pool) => pool.end({ timeout: 1 })))
})

/** The sessions of one process that listens. */
async function newProcess(mint: Mint): Promise<Sessions> {
  const pool = connect({ url: database.url, max: 4 })
  pools.push(pool)
  const sessions = createSessions({ sql: pool, cipher, mint, logger: silentLogger })
  await sessions.start()
  started.push(sessions)
  return sessions
}

const newConnection = async (credentials: Credentials = old): Promise<string> =>
  (await createConnection(sql, cipher, projectId, { groupRef: 'g', provider: 'salesforce', credentials })).id

const renew = (id: string, credentials: Credentials = fresh) =>
  renewConnection(sql, cipher, projectId, id, credentials)

/** Tells when a process has heard of new credentials. */
const renewal = (sessions: Sessions): Promise<string> => new Promise((resolve) => sessions.onRenewed(resolve))

const rowOf = async (id: string): Promise<Record<string, unknown>> =>
  (await sql`select * from connection where id = ${id}`)[0]!

const tokenIn = (credentials: Credentials): string =>
  credentials.type === 'oauth2-refresh-token' ? credentials.refreshToken : ''
const storedToken = async (id: string): Promise<string> => {
  const text = cipher.decrypt((await rowOf(id)).credentials as Buffer, `connection:${id}:credentials`)
  return tokenIn(JSON.parse(text) as Credentials)
}

/** Sessions named after the refresh token that opened them. */
const mintByToken: Mint = (_, credentials) =>
  Promise.resolve({
    accessToken: `opened with ${tokenIn(credentials)}`,
    instanceUrl: 'https://acme.my.salesforce.com',
  })

/** A mint with the old credentials that waits for `end`; with others it answers at once. */
function slowMint(end: () => ReturnType<Mint>): { mint: Mint; entered: Promise<unknown>; go: () => void } {
  const entered = Promise.withResolvers<null>()
  const gate = Promise.withResolvers<null>()
  const mint: Mint = async (provider, credentials, signal) => {
    if (tokenIn(credentials) !== 'old-0') return mintByToken(provider, credentials, signal)
    entered.resolve(null)
    await gate.promise
    return end()
  }
  return { mint, entered: entered.promise, go: () => gate.resolve(null) }
}

describe('new credentials', () => {
  test('make a broken connection work again, in every process', async () => {
    const mint: Mint = (provider, credentials, signal) =>
      tokenIn(credentials) === 'old-0'
        ? Promise.reject(failure('permanent', 'invalid_grant'))
        : mintByToken(provider, credentials, signal)
    const [one, two] = [await newProcess(mint), await newProcess(mint)]
    const id = await newConnection()
    await expect(one.get(id)).rejects.toThrow(ConnectionBroken)
    await expect(two.get(id)).rejects.toThrow(ConnectionBroken)
    const told = Promise.all([renewal(one), renewal(two)])
    expect(await renew(id)).toEqual({ id, groupRef: 'g', provider: 'salesforce', status: 'working' })
    expect(await told).toEqual([id, id])
    for (const sessions of [one, two])
      expect((await sessions.get(id)).session.accessToken).toBe('opened with new-0')
    expect(await rowOf(id)).toMatchObject({ status: 'working', status_reason: null, quick_refusals: 0 })
  })

  test('end the session that is held, and no version of it can pass for a newer one', async () => {
    const sessions = await newProcess(mintByToken)
    const id = await newConnection()
    const { version } = await sessions.get(id)
    const told = renewal(sessions)
    await renew(id)
    await told
    const open = await sessions.get(id)
    expect(open.session.accessToken).toBe('opened with new-0')
    expect(open.version).toBeGreaterThan(version)
    // refused with the old session in hand: the new one is answered, not opened anew
    expect(await sessions.refresh(id, version)).toEqual(open)
  })

  test('forget what was known of the old: rotation, refusals', async () => {
    const id = await newConnection()
    await sql`update connection set rotates = true, quick_refusals = 2 where id = ${id}`
    await renew(id)
    expect(await rowOf(id)).toMatchObject({ rotates: false, quick_refusals: 0, session: null })
  })

  test('are a whole: another type replaces every field', async () => {
    const id = await newConnection()
    await renew(id, { type: 'access-token', accessToken: 'a', instanceUrl: 'https://X.test/' })
    const row = await rowOf(id)
    expect(row['credential_type']).toBe('access-token')
    expect(JSON.parse(cipher.decrypt(row['credentials'] as Buffer, `connection:${id}:credentials`))).toEqual({
      type: 'access-token',
      accessToken: 'a',
      instanceUrl: 'https://x.test',
    })
  })

  test('of what is not there, or another project’s, change nothing and tell nobody', async () => {
    const sessions = await newProcess(mintByToken)
    const heard: string[] = []
    sessions.onRenewed((id) => heard.push(id))
    const id = await newConnection()
    const other = (await createProject(sql, { name: 'other' })).id
    expect(await renewConnection(sql, cipher, other, id, fresh)).toBeNull()
    expect(await renew(newId())).toBeNull()
    expect(await storedToken(id)).toBe('old-0')
    // nor is any other change of it taken for one
    await sql`select pg_notify('writeback_setup', ${`connection ${id}`})`
    await renew(id)
    await expect.poll(() => heard).toContain(id)
    expect(heard).toEqual([id])
  })
})

describe('a refresh under way with the old credentials', () => {
  test('that brings a session keeps nothing of it, not even a rotated token', async () => {
    const { mint, entered, go } = slowMint(() =>
      Promise.resolve({ accessToken: 'stale', instanceUrl: 'https://x.test', rotatedRefreshToken: 'old-1' }),
    )
    // a process that does not hear of it
    const pool = connect({ url: database.url, max: 4 })
    pools.push(pool)
    const deaf = createSessions({ sql: pool, cipher, mint, logger: silentLogger })
    const id = await newConnection()
    const opening = deaf.get(id)
    await entered
    await renew(id)
    go()
    expect((await opening).session.accessToken).toBe('opened with new-0')
    expect(await storedToken(id)).toBe('new-0')
    expect(await rowOf(id)).toMatchObject({ status: 'working', rotates: false, refresh_lease: null })
    expect((await deaf.get(id)).session.accessToken).toBe('opened with new-0')
  })

  test.each([
    ['permanent', 'invalid_grant'],
    ['ambiguous', 'ECONNRESET'],
    ['transient', 'HTTP_503'],
  ])('that fails (%s) neither breaks the connection nor keeps the new ones waiting', async (kind, code) => {
    const { mint, entered, go } = slowMint(() => Promise.reject(failure(kind, code)))
    const pool = connect({ url: database.url, max: 4 })
    pools.push(pool)
    const deaf = createSessions({ sql: pool, cipher, mint, logger: silentLogger })
    const id = await newConnection()
    // a lost answer breaks a connection whose tokens rotate
    await sql`update connection set rotates = true where id = ${id}`
    const opening = deaf.get(id)
    await entered
    await renew(id)
    go()
    expect((await opening).session.accessToken).toBe('opened with new-0')
    expect((await deaf.get(id)).session.accessToken).toBe('opened with new-0')
    expect(await rowOf(id)).toMatchObject({ status: 'working', status_reason: null })
  })

  test('is not waited for: a login host that hangs holds nobody up', async () => {
    const { mint, entered, go } = slowMint(() => Promise.reject(failure('ambiguous', 'TIMEOUT')))
    const sessions = await newProcess(mint)
    const id = await newConnection()
    const opening = Promise.all([sessions.get(id), sessions.get(id), sessions.refresh(id, 0)])
    await entered
    await renew(id)
    for (const open of await opening) expect(open.session.accessToken).toBe('opened with new-0')
    expect((await sessions.get(id)).session.accessToken).toBe('opened with new-0')
    go()
  })
})

describe('sessions that do not live long', () => {
  /** Sessions of a process in a row, each refused within the minute; whether each works before decides. */
  async function useUp(sessions: Sessions, id: string, count: number, works: boolean): Promise<number> {
    let { version } = await sessions.get(id)
    for (let n = 0; n < count; n++) {
      if (works) sessions.worked(id, version)
      const refusals = async (): Promise<unknown> => (await rowOf(id))['quick_refusals']
      if (works) await expect.poll(refusals, { interval: 5 }).toBe(0)
      ;({ version } = await sessions.refresh(id, version))
    }
    return version
  }

  test('but work while they do, are opened anew as often as it takes', async () => {
    const sessions = await newProcess(mintByToken)
    const id = await newConnection()
    expect(await useUp(sessions, id, 8, true)).toBe(9)
    expect(await rowOf(id)).toMatchObject({ status: 'working' })
  })

  test('and work in one process only, count as working for all', async () => {
    const [one, two] = [await newProcess(mintByToken), await newProcess(mintByToken)]
    const id = await newConnection()
    await useUp(one, id, 2, false)
    const { version } = await two.get(id)
    two.worked(id, version)
    await expect.poll(async () => (await rowOf(id))['quick_refusals'], { interval: 5 }).toBe(0)
    expect((await one.refresh(id, version)).version).toBe(version + 1)
    // had from another process in place of one that was refused
    const next = await two.refresh(id, version)
    two.worked(id, next.version)
    await expect.poll(async () => (await rowOf(id))['quick_refusals'], { interval: 5 }).toBe(0)
  })

  test('a word on a session that another process has replaced since proves nothing', async () => {
    const [one, two] = [await newProcess(mintByToken), await newProcess(mintByToken)]
    const id = await newConnection()
    const version = await useUp(one, id, 1, false)
    await two.refresh(id, version)
    one.worked(id, version)
    // a word that counts, said after it, has been heard
    const other = await newConnection()
    one.worked(other, await useUp(one, other, 1, false))
    await expect.poll(async () => (await rowOf(other))['quick_refusals'], { interval: 5 }).toBe(0)
    expect((await rowOf(id))['quick_refusals']).toBe(2)
  })

  test('a late word on an older session proves nothing of the present one', async () => {
    const sessions = await newProcess(mintByToken)
    const id = await newConnection()
    const version = await useUp(sessions, id, 2, false)
    sessions.worked(id, version - 1)
    await expect(sessions.refresh(id, version)).rejects.toThrow('refused right after')
  })

  test('that one works costs no statement where none was refused before', async () => {
    const failed: unknown[] = []
    const logger = { ...silentLogger, warn: (...line: unknown[]) => void failed.push(line) }
    const pool = connect({ url: database.url, max: 4 })
    const sessions = createSessions({ sql: pool, cipher, mint: mintByToken, logger })
    const [good, bad] = [await newConnection(), await newConnection()]
    const { version } = await sessions.get(good)
    const refused = await sessions.refresh(bad, (await sessions.get(bad)).version)
    await pool.end({ timeout: 1 })
    sessions.worked(good, version)
    sessions.worked(bad, refused.version)
    await expect.poll(() => failed).toHaveLength(1)
    expect(failed[0]).toMatchObject([{ connectionId: bad }, 'that a session works could not be saved'])
  })

  test('a login host that fails for a while does not count as sessions refused', async () => {
    let failing = false
    const mint: Mint = (provider, credentials, signal) =>
      failing ? Promise.reject(failure('transient', 'HTTP_503')) : mintByToken(provider, credentials, signal)
    const id = await newConnection()
    const { version } = await (await newProcess(mint)).get(id)
    failing = true
    // each in a process of its own, which remembers no failure
    for (let n = 0; n < 4; n++)
      await expect((await newProcess(mint)).refresh(id, version)).rejects.toThrow(SessionUnavailable)
    failing = false
    expect((await (await newProcess(mint)).refresh(id, version)).version).toBe(version + 1)
  })
})
