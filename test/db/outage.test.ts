import { createServer, connect as connectSocket, type AddressInfo, type Server, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { connect, type Database } from '../../src/db/connect.ts'
import { isDatabaseUnavailable, mayBeCommitted } from '../../src/db/pg-errors.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { waitUntil } from '../support/wait-until.ts'

let database: TestDatabase
const ends: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  database = await createTestDatabase({ empty: true })
})
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})
afterAll(() => database.drop())

function open(url: string, options: Partial<Parameters<typeof connect>[0]> = {}): Database {
  const made = connect({ url, ...options })
  ends.push(() => made.end({ timeout: 1 }))
  return made
}

/** A way to the database on which everything can come to a standstill, without a word to either side. */
async function startRelay() {
  const target = new URL(database.url)
  const [port, host] = [Number(target.port), target.hostname]
  const pairs = new Set<[Socket, Socket]>()
  let frozen = false
  const stand = ([near, far]: [Socket, Socket]): void => {
    near.unpipe(far).pause()
    far.unpipe(near).pause()
  }
  const server = createServer((near) => {
    const far = connectSocket(port, host)
    const pair: [Socket, Socket] = [near, far]
    pairs.add(pair)
    near.on('error', () => undefined).on('close', () => far.destroy())
    far.on('error', () => undefined).on('close', () => near.destroy())
    near.pipe(far).pipe(near)
    if (frozen) stand(pair)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  target.hostname = '127.0.0.1'
  target.port = String((server.address() as AddressInfo).port)
  ends.push(async () => {
    for (const pair of pairs) pair.forEach((socket) => socket.destroy())
    await new Promise((resolve) => server.close(resolve))
  })
  return {
    url: target.href,
    freeze: (): void => {
      frozen = true
      pairs.forEach(stand)
    },
    /** For those who connect from now on. */
    thaw: (): void => {
      frozen = false
    },
  }
}

/** A server that takes connections and says nothing. */
async function startMute(): Promise<{ url: string; held: Socket[]; server: Server }> {
  const held: Socket[] = []
  const server = createServer((socket) => {
    held.push(socket)
    socket.on('error', () => undefined).resume()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = new URL(database.url)
  url.hostname = '127.0.0.1'
  url.port = String((server.address() as AddressInfo).port)
  ends.push(async () => {
    held.forEach((socket) => socket.destroy())
    if (server.listening) await new Promise((resolve) => server.close(resolve))
  })
  return { url: url.href, held, server }
}

const failureOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => null,
    (error: unknown) => error,
  )

describe('a server that falls silent', () => {
  test.each<[string, (sql: Database) => Promise<unknown>]>([
    ['a statement', (sql) => sql`select 1`],
    ['a transaction', (sql) => sql.begin((tx) => tx`select 1`)],
  ])('costs %s its time and no more, and is left for a new connection', async (_, run) => {
    const relay = await startRelay()
    const sql = open(relay.url, { max: 2, statementTimeoutMs: 100 })
    await run(sql)
    relay.freeze()
    const begun = performance.now()
    expect(isDatabaseUnavailable(await failureOf(run(sql)))).toBe(true)
    expect(performance.now() - begun).toBeLessThan(5_000)
    relay.thaw()
    await run(sql)
  })

  test('in the middle of a transaction ends it', async () => {
    const relay = await startRelay()
    const sql = open(relay.url, { max: 2, statementTimeoutMs: 100 })
    const failure = await failureOf(
      sql.begin(async (tx) => {
        await tx`select 1`
        relay.freeze()
        // the last statement never comes back, nor would the COMMIT
        await tx`select 2`
      }),
    )
    expect(isDatabaseUnavailable(failure)).toBe(true)
  })

  test('between the last statement and the COMMIT ends it too', async () => {
    const relay = await startRelay()
    const sql = open(relay.url, { max: 2, statementTimeoutMs: 100 })
    const failure = await failureOf(
      sql.begin(async (tx) => {
        await tx`select 1`
        relay.freeze()
      }),
    )
    expect(isDatabaseUnavailable(failure)).toBe(true)
  })

  test('is not taken for one that answers many statements slowly, one after the other', async () => {
    const sql = open(database.url, { max: 2, statementTimeoutMs: 400 })
    // Sent together: 1.5 s in all, longer than any one of them may take.
    const rows = await sql.begin((tx) => Array.from({ length: 10 }, () => tx`select pg_sleep(0.15)`))
    expect(rows).toHaveLength(10)
  })

  test('does not keep those who wait for a connection for ever', async () => {
    const sql = open(database.url, { max: 2, statementTimeoutMs: 100 })
    let release: () => void = () => undefined
    const holding = sql.begin(async (tx) => {
      await tx`select 1`
      await new Promise<void>((resolve) => (release = resolve))
    })
    const failure = await failureOf(sql.begin((tx) => tx`select 1`))
    expect(failure).toMatchObject({ code: 'POOL_BUSY' })
    expect(isDatabaseUnavailable(failure)).toBe(true)
    release()
    await holding
    await sql.begin((tx) => tx`select 1`)
  })
})

describe('a server that is away', () => {
  test('is tried by one at a time, and everybody else is told at once', async () => {
    const mute = await startMute()
    const sql = open(mute.url, { max: 12 })
    const early = Array.from({ length: 20 }, () => failureOf(sql`select 1`))
    await waitUntil(() => mute.held.length === 6, { timeoutMs: 5_000, what: 'six attempts to connect' })
    // One attempt fails, and with it everybody who waited for a connection to be made.
    mute.held.forEach((socket) => socket.destroy())
    expect((await Promise.all(early)).every(isDatabaseUnavailable)).toBe(true)
    const attempt = failureOf(sql`select 1`)
    await waitUntil(() => mute.held.length === 7, { timeoutMs: 5_000, what: 'another attempt' })
    const late = await Promise.all(Array.from({ length: 200 }, () => failureOf(sql`select 1`)))
    expect(late.every(isDatabaseUnavailable)).toBe(true)
    expect(mute.held).toHaveLength(7)
    mute.held.forEach((socket) => socket.destroy())
    expect(isDatabaseUnavailable(await attempt)).toBe(true)
  })

  test('that comes back is used by all of the pool again', async () => {
    const mute = await startMute()
    const sql = open(mute.url, { max: 12, applicationName: 'back again' })
    const attempt = failureOf(sql`select 1`)
    await waitUntil(() => mute.held.length === 1, { timeoutMs: 5_000, what: 'an attempt' })
    mute.held.forEach((socket) => socket.destroy())
    await attempt
    // the same address, and now a way to the database
    const target = new URL(database.url)
    mute.server.removeAllListeners('connection')
    mute.server.on('connection', (near: Socket) => {
      const far = connectSocket(Number(target.port), target.hostname)
      near.on('error', () => undefined).on('close', () => far.destroy())
      far.on('error', () => undefined).on('close', () => near.destroy())
      near.pipe(far).pipe(near)
      mute.held.push(near)
    })
    await sql`select 1`
    const sleeping = Promise.all(Array.from({ length: 6 }, () => sql`select pg_sleep(0.3)`))
    await waitUntil(
      async () => {
        const [row] = await database.sql<{ count: number }[]>`
          select count(*) from pg_stat_activity where application_name = 'back again' and state = 'active'`
        return row?.count === 6
      },
      { timeoutMs: 5_000, what: 'six connections at work' },
    )
    await sleeping
  })
})

describe('a server that takes no writes any more', () => {
  test('is left for a new connection, which may find the one that does', async () => {
    const sql = open(database.url, { max: 2 })
    const pidOf = async (): Promise<unknown> => (await sql`select pg_backend_pid() as pid`)[0]?.['pid']
    const before = await pidOf()
    const refused = await failureOf(sql`do $$ begin raise read_only_sql_transaction; end $$`)
    expect(isDatabaseUnavailable(refused)).toBe(true)
    expect(await pidOf()).not.toBe(before)
  })
})

describe('a transaction whose connection is lost', () => {
  test('may have been committed only if its COMMIT was on its way', async () => {
    const relay = await startRelay()
    const sql = open(relay.url, { max: 2, statementTimeoutMs: 100 })
    const early = await failureOf(
      sql.begin(async (tx) => {
        await tx`select 1`
        relay.freeze()
        await tx`select 2`
      }),
    )
    relay.thaw()
    const late = await failureOf(
      sql.begin(async (tx) => {
        await tx`select 1`
        relay.freeze()
      }),
    )
    expect([early, late].map(mayBeCommitted)).toEqual([false, true])
    relay.thaw()
    const undone = await failureOf(
      sql.begin(async (tx) => {
        await tx`create temp table deferred_check (id int unique deferrable initially deferred)`
        await tx`insert into deferred_check values (1), (1)`
      }),
    )
    expect(undone).toMatchObject({ code: '23505' })
    expect(mayBeCommitted(undone)).toBe(false)
  })
})
