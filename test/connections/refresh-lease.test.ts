import { randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createCipher, keyIdOf, keysById } from '../../src/connections/cipher.ts'
import { createConnection } from '../../src/connections/connections.ts'
import { createProject } from '../../src/connections/projects.ts'
import { claimRefresh } from '../../src/connections/session-store.ts'
import { createSessions, type Mint, type Sessions } from '../../src/connections/sessions.ts'
import { connect } from '../../src/db/connect.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import type { Credentials } from '../../src/model/credentials.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { waitUntil } from '../support/wait-until.ts'
import { failure, loginHost, type LoginHost } from './login-host.ts'

/** Short, so that several pass in a test. */
const LEASE_SECONDS = 0.6

const key = randomBytes(32)
const cipher = createCipher({ keys: keysById(key), current: keyIdOf(key) })
const credentials: Credentials = { type: 'oauth2-refresh-token', clientId: 'app', refreshToken: 'token-0' }

let database: TestDatabase
let projectId: string
const ends: (() => Promise<unknown>)[] = []
const sql = () => database.sql

beforeAll(async () => {
  database = await createTestDatabase()
  projectId = (await createProject(sql(), { name: 'acme' })).id
})
afterEach(async () => {
  for (const end of ends.splice(0)) await end()
})
afterAll(() => database.drop())

/** The sessions of one process, and a way to have it out of touch with the database for good. */
function newProcess(mint: Mint): Sessions & { loseDatabase: () => Promise<void> } {
  const pool = connect({ url: database.url, max: 4 })
  const end = (): Promise<void> => pool.end({ timeout: 0 })
  ends.push(end)
  const sessions = createSessions({
    sql: pool,
    cipher,
    mint,
    logger: silentLogger,
    leaseSeconds: LEASE_SECONDS,
  })
  return Object.assign(sessions, { loseDatabase: end })
}

const newConnection = async (): Promise<string> =>
  (await createConnection(sql(), cipher, projectId, { groupRef: 'g', provider: 'salesforce', credentials }))
    .id

const rowOf = async (id: string) => {
  const [row] = await sql()<{ status: string; until: Date | null; now: Date }[]>`
    select status, refresh_until as until, now() from connection where id = ${id}`
  return row!
}

/** A login host that does not answer before it is told to. */
function heldHost(host: LoginHost) {
  const entered = Promise.withResolvers<undefined>()
  const gate = Promise.withResolvers<undefined>()
  let isFirst = true
  const mint: Mint = async (provider, sent, signal) => {
    if (isFirst) {
      isFirst = false
      entered.resolve(undefined)
      await gate.promise
    }
    return host.mint(provider, sent, signal)
  }
  return { mint, entered: entered.promise, answer: () => gate.resolve(undefined) }
}

describe('a process that dies while it refreshes', () => {
  test('holds the next refresh back for no longer than the lease', async () => {
    const host = loginHost()
    const id = await newConnection()
    // all that is left of it: the right that it took
    const died = await claimRefresh(sql(), id, 0, { leaseSeconds: LEASE_SECONDS, mayTake: true })
    expect(died.kind).toBe('mint')
    const begun = performance.now()
    expect((await newProcess(host.mint).get(id)).session.accessToken).toBe('access-1')
    const tookMs = performance.now() - begun
    expect(tookMs).toBeGreaterThan(LEASE_SECONDS * 500)
    expect(tookMs).toBeLessThan(LEASE_SECONDS * 1000 + 2_000)
    expect(host.mints).toBe(1)
  })

  test('leaves the connection broken where tokens rotate: its token may be spent', async () => {
    const host = loginHost({ rotates: true })
    const id = await newConnection()
    const { version } = await newProcess(host.mint).get(id)
    await claimRefresh(sql(), id, version, { leaseSeconds: LEASE_SECONDS, mayTake: true })
    await expect(newProcess(host.mint).refresh(id, version)).rejects.toMatchObject({
      code: 'NO_WORKING_CONNECTION',
    })
    expect(host.mints).toBe(1)
  })
})

describe('a process that lives', () => {
  test('keeps the right to refresh for as long as a slow login host takes', async () => {
    const host = loginHost()
    const held = heldHost(host)
    const id = await newConnection()
    const one = newProcess(held.mint).get(id)
    await held.entered
    const { until } = await rowOf(id)
    const two = newProcess(() => Promise.reject(failure('permanent', 'presented twice'))).get(id)
    two.catch(() => undefined)
    // two leases later it is still there
    await waitUntil(async () => (await rowOf(id)).now.getTime() > until!.getTime() + LEASE_SECONDS * 1000, {
      timeoutMs: 5_000,
      what: 'two leases to pass',
    })
    const row = await rowOf(id)
    expect(row.until!.getTime()).toBeGreaterThan(row.now.getTime())
    held.answer()
    expect(await two).toEqual(await one)
    expect(host.mints).toBe(1)
  })

  test('out of touch with the database, stops its call when its lease runs out: nobody is at it twice', async () => {
    const id = await newConnection()
    const entered = Promise.withResolvers<AbortSignal>()
    const lost = newProcess((_provider, _credentials, signal) => {
      entered.resolve(signal)
      return new Promise(() => undefined)
    })
    const opening = lost.get(id).catch((error: unknown) => error)
    const signal = await entered.promise
    await lost.loseDatabase()
    let wasStopped: boolean | null = null
    const host = loginHost()
    host.before = () => {
      wasStopped = signal.aborted
      return Promise.resolve()
    }
    expect((await newProcess(host.mint).get(id)).session.accessToken).toBe('access-1')
    expect(wasStopped).toBe(true)
    expect(await opening).toBeInstanceOf(Error)
  })

  test('and was taken for dead where tokens rotate, mends the connection with what it learnt', async () => {
    const host = loginHost({ rotates: true })
    const id = await newConnection()
    const { version } = await newProcess(host.mint).get(id)
    const held = heldHost(host)
    const one = newProcess(held.mint).refresh(id, version)
    await held.entered
    // its signs of life did not get through
    await sql()`update connection set refresh_until = now() - interval '1 second' where id = ${id}`
    const two = newProcess(host.mint)
    await expect(two.refresh(id, version)).rejects.toMatchObject({ code: 'NO_WORKING_CONNECTION' })
    expect((await rowOf(id)).status).toBe('broken')
    held.answer()
    expect((await one).session.accessToken).toBe('access-2')
    expect((await rowOf(id)).status).toBe('working')
    expect(await two.get(id)).toEqual(await one)
    await expect(two.refresh(id, version + 1)).resolves.toMatchObject({ version: version + 2 })
    expect(host.revoked).toBe(false)
  })

  test('mends it too when the login host says that it failed: the token is as good as before', async () => {
    const host = loginHost({ rotates: true })
    const id = await newConnection()
    const { version } = await newProcess(host.mint).get(id)
    host.before = () => Promise.reject(failure('ambiguous', 'HTTP_503'))
    const held = heldHost(host)
    const one = newProcess(held.mint).refresh(id, version)
    await held.entered
    await sql()`update connection set refresh_until = now() - interval '1 second' where id = ${id}`
    await expect(newProcess(host.mint).refresh(id, version)).rejects.toMatchObject({
      code: 'NO_WORKING_CONNECTION',
    })
    held.answer()
    await expect(one).rejects.toThrow('HTTP_503')
    host.before = () => Promise.resolve()
    await expect(newProcess(host.mint).refresh(id, version)).resolves.toMatchObject({ version: version + 1 })
    expect(host.revoked).toBe(false)
  })
})
