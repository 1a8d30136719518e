import { randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { createCipher, keyIdOf, keysById } from '../../src/connections/cipher.ts'
import { createConnection } from '../../src/connections/connections.ts'
import { createProject } from '../../src/connections/projects.ts'
import { ConnectionBroken, SessionUnavailable } from '../../src/connections/session-errors.ts'
import { createSessions, type Mint, type Sessions } from '../../src/connections/sessions.ts'
import { connect, type Sql } from '../../src/db/connect.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import type { Credentials } from '../../src/model/credentials.ts'
import { createTestDatabase } from '../support/database.ts'
import { failure, loginHost } from './login-host.ts'

type Database = Awaited<ReturnType<typeof createTestDatabase>>

const key = randomBytes(32)
const cipher = createCipher({ keys: keysById(key), current: keyIdOf(key) })

let database: Database
let sql: Sql
let projectId: string
let pools: Sql[]

beforeAll(async () => {
  database = await createTestDatabase()
  sql = database.sql
  projectId = (await createProject(sql, { name: 'acme' })).id
})
afterAll(() => database.drop())
beforeEach(() => (pools = []))
afterEach(async () => {
  await Promise.all(pools.map((pool) => pool.end({ timeout: 1 })))
})

/** The sessions of one process: a pool of its own. */
function newProcess(mint: Mint, leaseSeconds = 30): Sessions {
  const pool = connect({ url: database.url, max: 4 })
  pools.push(pool)
  return createSessions({ sql: pool, cipher, mint, logger: silentLogger, leaseSeconds })
}

const refreshToken: Credentials = { type: 'oauth2-refresh-token', clientId: 'app', refreshToken: 'token-0' }

async function newConnection(credentials: Credentials = refreshToken): Promise<string> {
  const input = { groupRef: 'g', provider: 'salesforce', credentials }
  return (await createConnection(sql, cipher, projectId, input)).id
}

const rowOf = async (id: string) => {
  const [row] = await sql`select * from connection where id = ${id}`
  if (row === undefined) throw new Error('no row')
  return row
}
const storedToken = async (id: string): Promise<string> => {
  const row = await rowOf(id)
  const text = cipher.decrypt(row.credentials as Buffer, `connection:${id}:credentials`)
  return (JSON.parse(text) as { refreshToken: string }).refreshToken
}

describe('one refresh for all', () => {
  test('20 at once in two processes mint exactly once, and all get that session', async () => {
    const host = loginHost({ rotates: true })
    const [one, two] = [newProcess(host.mint), newProcess(host.mint)]
    const id = await newConnection()
    const first = await one.get(id)
    expect(host.mints).toBe(1)
    const calls = Array.from({ length: 20 }, (_, n) => (n % 2 ? one : two).refresh(id, first.version))
    const sessions = await Promise.all(calls)
    expect(host.mints).toBe(2)
    expect(new Set(sessions.map(({ session }) => session.accessToken))).toEqual(new Set(['access-2']))
    expect(new Set(sessions.map(({ version }) => version))).toEqual(new Set([first.version + 1]))
    expect(host.revoked).toBe(false)
  })

  test('while one process is at it, the others wait for what it brings', async () => {
    const entered = Promise.withResolvers<undefined>()
    const gate = Promise.withResolvers<undefined>()
    const host = loginHost()
    host.before = () => {
      entered.resolve(undefined)
      return gate.promise
    }
    const [one, two] = [newProcess(host.mint), newProcess(host.mint)]
    const id = await newConnection()
    const first = one.get(id)
    await entered.promise
    const looks = vi.spyOn(pools[1] as Sql, 'begin')
    const second = two.get(id)
    // it looked, waited and looked again: it neither mints nor gives up
    await expect.poll(() => looks.mock.calls.length, { interval: 10 }).toBeGreaterThan(1)
    gate.resolve(undefined)
    expect(await second).toEqual(await first)
    expect(host.mints).toBe(1)
  })

  test('what another process opened is used, not opened again', async () => {
    const host = loginHost()
    const [one, two] = [newProcess(host.mint), newProcess(host.mint)]
    const id = await newConnection()
    expect(await two.get(id)).toEqual(await one.get(id))
    const renewed = await one.refresh(id, 1)
    expect(await two.refresh(id, 1)).toEqual(renewed)
    expect(host.mints).toBe(2)
  })

  test('a held session costs no statement', async () => {
    const host = loginHost()
    const sessions = newProcess(host.mint)
    const id = await newConnection()
    const open = await sessions.get(id)
    await pools[0]?.end({ timeout: 1 })
    expect(await sessions.get(id)).toEqual(open)
  })

  test('no connection of the pool is held while a login host keeps everybody waiting', async () => {
    const gate = Promise.withResolvers<undefined>()
    const host = loginHost()
    host.before = () => gate.promise
    const sessions = newProcess(host.mint)
    const ids = await Promise.all(Array.from({ length: 8 }, () => newConnection()))
    const opening = ids.map((id) => sessions.get(id))
    // the pool has two transactions' worth of connections: eight open ones would block this
    const fast = createSessions({
      sql: pools[0] as Sql,
      cipher,
      mint: loginHost().mint,
      logger: silentLogger,
    })
    expect((await fast.get(await newConnection())).session.accessToken).toBe('access-1')
    gate.resolve(undefined)
    expect(await Promise.all(opening)).toHaveLength(8)
  })
})

describe('rotated tokens', () => {
  test('the new token is committed before anybody gets the session', async () => {
    const host = loginHost({ rotates: true })
    const sessions = newProcess(host.mint)
    const id = await newConnection()
    for (const n of [1, 2, 3]) {
      const open = n === 1 ? await sessions.get(id) : await sessions.refresh(id, n - 1)
      expect(open.session.accessToken).toBe(`access-${n}`)
      expect(await storedToken(id)).toBe(`token-${n}`)
      // not for its age: a pause between the refreshes, as far as the database can tell
      await sql`update connection set session_at = now() - interval '1 hour' where id = ${id}`
    }
    expect(host.revoked).toBe(false)
  })

  test('a lost answer after rotation was seen breaks the connection; the token is never presented again', async () => {
    const host = loginHost({ rotates: true })
    const sessions = newProcess(host.mint)
    const id = await newConnection()
    await sessions.get(id)
    host.after = () => Promise.reject(failure('ambiguous', 'ECONNRESET'))
    await expect(sessions.refresh(id, 1)).rejects.toThrow(ConnectionBroken)
    host.after = () => Promise.resolve()
    await expect(sessions.get(id)).rejects.toThrow('rotate')
    await expect(sessions.refresh(id, 1)).rejects.toThrow(ConnectionBroken)
    expect(host.mints).toBe(2)
    expect(host.revoked).toBe(false)
    expect(await rowOf(id)).toMatchObject({ status: 'broken', session: null, refresh_lease: null })
  })

  test('a process that died in the call counts as a lost answer', async () => {
    const host = loginHost({ rotates: true })
    const id = await newConnection()
    await newProcess(host.mint).get(id)
    await sql`update connection set refresh_lease = gen_random_uuid(), refresh_until = now() - interval '1 second'
      where id = ${id}`
    // with a short lease: a server that was just started leaves those who live half of it to say so
    await expect(newProcess(host.mint, 1).refresh(id, 1)).rejects.toThrow(ConnectionBroken)
    expect(host.mints).toBe(1)
  })

  test('without rotation, and when the login host itself says that it failed, it is tried again', async () => {
    for (const [rotates, code] of [
      [false, 'ECONNRESET'],
      [true, 'HTTP_503'],
    ] as const) {
      const host = loginHost({ rotates })
      const id = await newConnection()
      await newProcess(host.mint).get(id)
      host.before = () => Promise.reject(failure('ambiguous', code))
      await expect(newProcess(host.mint).refresh(id, 1)).rejects.toThrow(SessionUnavailable)
      host.before = () => Promise.resolve()
      expect((await newProcess(host.mint).refresh(id, 1)).version).toBe(2)
      expect(await rowOf(id)).toMatchObject({ status: 'working', refresh_lease: null })
    }
  })
})

describe('failures', () => {
  test('invalid_grant breaks the connection for every process, which then calls no login host', async () => {
    let calls = 0
    const mint: Mint = () => {
      calls++
      return Promise.reject(
        failure('permanent', 'invalid_grant', 'invalid_grant: expired access/refresh token'),
      )
    }
    const id = await newConnection()
    await expect(newProcess(mint).get(id)).rejects.toThrow('expired access/refresh token')
    expect(await rowOf(id)).toMatchObject({ status: 'broken' })
    const broken = newProcess(mint).get(id)
    await expect(broken).rejects.toMatchObject({ name: 'ConnectionBroken', code: 'NO_WORKING_CONNECTION' })
    await expect(newProcess(mint).refresh(id, 0)).rejects.toThrow(ConnectionBroken)
    expect(calls).toBe(1)
  })

  test('what may pass is not besieged: the failure is remembered for a moment', async () => {
    let calls = 0
    const mint: Mint = () => {
      calls++
      return Promise.reject(failure('transient', 'rate_limit_exceeded'))
    }
    const sessions = newProcess(mint)
    const id = await newConnection()
    for (let n = 0; n < 5; n++)
      await expect(sessions.get(id)).rejects.toMatchObject({ name: 'SessionUnavailable', kind: 'transient' })
    expect(calls).toBe(1)
    expect(await rowOf(id)).toMatchObject({ status: 'working', refresh_lease: null })
  })

  test('a fault of ours breaks no connection', async () => {
    const mint: Mint = () => Promise.reject(new TypeError('a bug'))
    const id = await newConnection()
    await expect(newProcess(mint).get(id)).rejects.toThrow(SessionUnavailable)
    expect(await rowOf(id)).toMatchObject({ status: 'working', refresh_lease: null })
  })

  test('an access token that was refused cannot be renewed', async () => {
    const host = loginHost()
    const id = await newConnection({ type: 'access-token', accessToken: 'a', instanceUrl: 'https://x.test' })
    const sessions = newProcess(host.mint)
    const { version } = await sessions.get(id)
    await expect(sessions.refresh(id, version)).rejects.toThrow('cannot be renewed')
    expect(host.mints).toBe(1)
  })

  test('sessions refused right after they were opened, three in a row, end the refreshing', async () => {
    const host = loginHost()
    const sessions = newProcess(host.mint)
    const id = await newConnection()
    let { version } = await sessions.get(id)
    for (let n = 0; n < 2; n++) ({ version } = await sessions.refresh(id, version))
    await expect(sessions.refresh(id, version)).rejects.toThrow('refused right after')
    expect(host.mints).toBe(3)
    expect(await rowOf(id)).toMatchObject({ status: 'broken' })
  })

  test('a session that ended by its age does not count as refused', async () => {
    const host = loginHost()
    const sessions = newProcess(host.mint)
    const id = await newConnection()
    let { version } = await sessions.get(id)
    for (let n = 0; n < 6; n++) {
      await sql`update connection set session_at = now() - interval '2 minutes' where id = ${id}`
      ;({ version } = await sessions.refresh(id, version))
    }
    expect(version).toBe(7)
  })

  test('credentials that no configured key opens are the operator’s to mend: nothing is broken', async () => {
    const other = randomBytes(32)
    const sessions = createSessions({
      sql,
      cipher: createCipher({ keys: keysById(other), current: keyIdOf(other) }),
      mint: loginHost().mint,
      logger: silentLogger,
    })
    const id = await newConnection()
    await expect(sessions.get(id)).rejects.toThrow(SessionUnavailable)
    expect(await rowOf(id)).toMatchObject({ status: 'working', refresh_lease: null })
  })
})

test('a changed connection is dropped from memory when that is announced', async () => {
  const host = loginHost()
  const sessions = newProcess(host.mint)
  await sessions.start()
  const id = await newConnection()
  await sessions.get(id)
  await sql.begin(async (tx) => {
    await tx`update connection set status = 'broken', status_reason = 'by hand', session = null where id = ${id}`
    await tx`select pg_notify('writeback_setup', ${`connection ${id}`})`
  })
  await expect
    .poll(
      () =>
        sessions.get(id).then(
          () => 'open',
          () => 'broken',
        ),
      { timeout: 1_000 },
    )
    .toBe('broken')
  await sessions.stop()
})

test('sessions and credentials rest encrypted', async () => {
  const host = loginHost({ rotates: true })
  const id = await newConnection()
  await newProcess(host.mint).get(id)
  const row = JSON.stringify(
    Object.values(await rowOf(id)).map((value: unknown) =>
      Buffer.isBuffer(value) ? value.toString('latin1') : value,
    ),
  )
  for (const secret of ['access-1', 'token-0', 'token-1']) expect(row).not.toContain(secret)
})
