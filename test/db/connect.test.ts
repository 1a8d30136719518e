import { createServer, connect as connectSocket, type AddressInfo, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { connect, type Database, type Queryable } from '../../src/db/connect.ts'
import { databaseErrorKind, isDatabaseUnavailable } from '../../src/db/pg-errors.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
let sql: Database
const opened: Database[] = []

beforeAll(async () => {
  database = await createTestDatabase({ empty: true })
  sql = database.sql
  await sql`create table note (id int primary key, text text)`
})
afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.end({ timeout: 1 })))
})
afterAll(() => database.drop())

function open(options: Partial<Parameters<typeof connect>[0]> = {}): Database {
  const made = connect({ url: database.url, ...options })
  opened.push(made)
  return made
}

const end = (pid: number): Promise<unknown> => sql`select pg_terminate_backend(${pid}, 5000)`

/** A relay to the database whose connections can be cut off as a network does it. */
async function startRelay(): Promise<{ url: string; cut: () => void; close: () => Promise<void> }> {
  const target = new URL(database.url)
  const [port, host] = [Number(target.port), target.hostname]
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    const upstream = connectSocket(port, host)
    sockets.add(socket)
    socket.on('error', () => undefined).on('close', () => upstream.destroy())
    upstream.on('error', () => undefined).on('close', () => socket.destroy())
    socket.pipe(upstream).pipe(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  target.hostname = '127.0.0.1'
  target.port = String((server.address() as AddressInfo).port)
  const cut = (): void => {
    for (const socket of sockets) socket.resetAndDestroy()
    sockets.clear()
  }
  const close = async (): Promise<void> => {
    cut()
    await new Promise((resolve) => server.close(resolve))
  }
  return { url: target.href, cut, close }
}

describe('connect', () => {
  test('gives numbers for bigint, dates for timestamps, values for json', async () => {
    const [row] = await sql`
      select 9007199254740991::bigint as big, count(*) as counted, array[1, 2]::bigint[] as list,
        '2026-01-02T03:04:05.678Z'::timestamptz as time, '{"a": [1]}'::jsonb as json, current_setting('TimeZone') as zone
      from note`
    expect(row).toEqual({
      big: Number.MAX_SAFE_INTEGER,
      counted: 0,
      list: [1, 2],
      time: new Date('2026-01-02T03:04:05.678Z'),
      json: { a: [1] },
      zone: 'UTC',
    })
  })

  test('refuses a bigint that no number holds, and goes on', async () => {
    await expect(sql`select 9007199254740993::bigint as big`).rejects.toThrow('does not fit a number')
    expect(await sql`select 1 as one`).toEqual([{ one: 1 }])
  })

  test('takes objects for jsonb and lists for unnest', async () => {
    const [row] = await sql`
      select ${sql.json({ a: null })}::jsonb as json, (select array_agg(x || '!') from unnest(${['a', 'b']}::text[]) x) as list`
    expect(row).toEqual({ json: { a: null }, list: ['a!', 'b!'] })
  })

  test.each<[type: string, list: unknown[]]>([
    ['text', ['', 'a,b', '{}', 'say "hi"', 'back\\slash', 'NULL', 'null', null, ' blank ', 'zwölf\n']],
    ['uuid', ['0190a0b0-0000-7000-8000-000000000001', null]],
    ['int', [1, -2, null]],
    ['bigint', [1, Number.MAX_SAFE_INTEGER]],
    ['double precision', [0.5, -1e300]],
    ['numeric', ['1.10', '12345678901234567890']],
    ['jsonb', [{ a: ['"', null] }, 'text', 7]],
    ['text', []],
    [
      'int',
      [
        [1, 2],
        [3, 4],
      ],
    ],
  ])('takes and gives arrays of %s', async (type, list) => {
    const read = async (queryable: Queryable): Promise<unknown> => {
      const [row] = await queryable.unsafe<{ list: unknown[] }[]>(`select $1::${type}[] as list`, [
        list as string[],
      ])
      return row?.list
    }
    expect(await read(sql)).toEqual(list)
    expect(await sql.begin(read)).toEqual(list)
  })

  test.each<[type: string, oid: number, list: unknown[]]>([
    ['boolean', 1000, [true, false, null]],
    ['bytea', 1001, [Buffer.from([0, 255, 34, 92])]],
    ['timestamptz', 1185, [new Date('2026-01-02T03:04:05.678Z'), null]],
  ])('takes arrays of %s that are named as such', async (_, oid, list) => {
    const [row] = await sql`select ${sql.typed(list as string[], oid)} as list`
    expect(row).toEqual({ list })
  })

  test('names its connections and bounds its statements', async () => {
    const named = open({ applicationName: 'somebody', statementTimeoutMs: 50 })
    const read = await named.begin((tx) => tx`select current_setting('application_name') as name`)
    expect(read).toEqual([{ name: 'somebody' }])
    const error: unknown = await named`select pg_sleep(10)`.catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: '57014' })
    expect(isDatabaseUnavailable(error)).toBe(true)
  })

  test('never opens more connections than it was allowed', async () => {
    const small = open({ max: 4, applicationName: 'small' })
    const work = Array.from({ length: 40 }, (_, i) =>
      i % 2 === 0 ? small`select pg_sleep(0.005)` : small.begin((tx) => tx`select pg_sleep(0.005)`),
    )
    const [most] = await sql<
      { count: number }[]
    >`select count(*) from pg_stat_activity where application_name = 'small'`
    await Promise.all(work)
    const [after] = await sql<
      { count: number }[]
    >`select count(*) from pg_stat_activity where application_name = 'small'`
    expect(most?.count).toBeLessThanOrEqual(4)
    expect(after?.count).toBe(4)
  })

  test('takes the folder of a Unix socket from the URL', async () => {
    const nowhere = open({ url: 'postgres://someone@localhost/db?host=/nonexistent' })
    const error: unknown = await nowhere`select 1`.catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'ENOENT', address: '/nonexistent/.s.PGSQL.5432' })
    expect(isDatabaseUnavailable(error)).toBe(true)
  })

  test('drops notices instead of printing them', async () => {
    const log = vi.spyOn(console, 'log')
    const onnotice = vi.fn()
    await sql`drop table if exists absent`
    await open({ onnotice })`drop table if exists absent`
    expect(log).not.toHaveBeenCalled()
    expect(onnotice).toHaveBeenCalledTimes(1)
    log.mockRestore()
  })

  test('refuses work after its end, and waits for none that runs', async () => {
    const ended = open()
    const running = ended.begin((tx) => tx`select 7 as seven`)
    await running
    await ended.end()
    await expect(ended`select 1`).rejects.toMatchObject({ code: 'CONNECTION_ENDED' })
    await expect(ended.begin((tx) => tx`select 1`)).rejects.toMatchObject({ code: 'CONNECTION_ENDED' })
  })
})

describe('plans', () => {
  test('are made once for a statement, whatever its values', async () => {
    await sql.begin(async (tx) => {
      for (const ids of [[1], [1, 2], [3], [1, 2, 3, 4], [5], [6], [7], [8]])
        await tx`select text from note where id = any (${ids}::int[]) and text = 'planned'`
      const [row] = await tx`
        select generic_plans as generic, custom_plans as custom from pg_prepared_statements
        where statement like '%= ''planned''%' and statement not like '%pg_prepared%'`
      expect(row).toEqual({ generic: 8, custom: 0 })
    })
  })
})

describe('begin', () => {
  test('commits what it did, or nothing', async () => {
    await sql.begin((tx) => [
      tx`insert into note values (1, 'kept')`,
      tx`insert into note values (2, 'kept')`,
    ])
    const failing = sql.begin(async (tx) => {
      await tx`insert into note values (3, 'undone')`
      throw new Error('no')
    })
    await expect(failing).rejects.toThrow('no')
    expect(await sql`select id from note order by id`).toEqual([{ id: 1 }, { id: 2 }])
    await sql`delete from note`
  })

  test('takes isolation levels, savepoints and notifications', async () => {
    const level = await sql.begin('isolation level serializable', async (tx) => {
      const failed = await tx.savepoint((inner) => inner`select 1 / 0`).catch((error: unknown) => error)
      expect(failed).toMatchObject({ code: '22012' })
      await tx.savepoint('named', (inner) => inner`insert into note values (4, 'saved')`)
      await tx.notify('nobody', 'listens')
      const [row] = await tx.unsafe<{ level: string }[]>(
        `select current_setting('transaction_isolation') as level`,
      )
      return row?.level
    })
    expect(level).toBe('serializable')
    expect(await sql`delete from note returning id`).toEqual([{ id: 4 }])
  })

  test('keeps statements of others out, however busy the pool', async () => {
    const busy = open({ max: 4 })
    const inTransactions = Array.from({ length: 60 }, (_, i) =>
      busy.begin(async (tx) => {
        const [first] = await tx<{ id: string }[]>`select pg_current_xact_id()::text as id`
        await tx`insert into note values (${i}, ${'x'.repeat(20_000)})`
        const [last] = await tx<{ id: string }[]>`select pg_current_xact_id()::text as id`
        expect(last?.id).toBe(first?.id)
        if (i % 3 === 0) throw new Error('undo')
        return first?.id
      }),
    )
    const outside = Array.from(
      { length: 200 },
      () => busy<{ id: string | null }[]>`select pg_current_xact_id_if_assigned()::text as id`,
    )
    const ids = (await Promise.allSettled(inTransactions)).map((one) =>
      one.status === 'fulfilled' ? one.value : null,
    )
    expect(new Set(ids.filter(Boolean)).size).toBe(40)
    expect((await Promise.all(outside)).every(([row]) => row?.id === null)).toBe(true)
    expect(await sql`delete from note returning id`).toHaveLength(40)
  })

  test.each(['while a statement runs', 'between two statements'])(
    'fails and nothing more when its connection is ended %s',
    async (when) => {
      const late: unknown[] = []
      const lost = sql.begin(async (tx) => {
        const [row] = await tx<{ pid: number }[]>`select pg_backend_pid() as pid`
        await tx`insert into note values (5, 'lost')`
        if (when === 'while a statement runs') {
          await Promise.all([tx`select pg_sleep(60)`, end(row?.pid ?? 0)])
        } else await end(row?.pid ?? 0)
        await vi.waitFor(async () => {
          const error: unknown = await tx`select 1`.then(
            () => null,
            (thrown: unknown) => thrown,
          )
          if (error === null) throw new Error('not yet')
          late.push(error)
        })
        late.push(await tx.savepoint((inner) => inner`select 1`).catch((error: unknown) => error))
      })
      await expect(lost).rejects.toMatchObject({ code: 'CONNECTION_CLOSED' })
      expect(await sql`select id from note`).toEqual([])
      // every connection of the pool is as good as new
      const results = await Promise.all(
        Array.from({ length: 20 }, (_, i) => sql.begin((tx) => tx`select ${i}::int as i`)),
      )
      expect(results.map(([row]) => row?.['i'] as number)).toEqual(Array.from({ length: 20 }, (_, i) => i))
      if (when === 'between two statements') {
        await vi.waitFor(() => expect(late).toHaveLength(2))
        expect(late.map(databaseErrorKind)).toEqual(['unavailable', 'unavailable'])
      }
    },
  )

  test('refuses a statement that comes after its end', async () => {
    let kept: Parameters<Parameters<Database['begin']>[1]>[0] | undefined
    await sql.begin((tx) => {
      kept = tx
      return tx`select 1`
    })
    await expect(kept?.unsafe('select 2')).rejects.toMatchObject({ code: 'TRANSACTION_OVER' })
  })

  test('survives connections cut off again and again under load, and loses nothing committed', async () => {
    const relay = await startRelay()
    const pool = open({ url: relay.url, max: 6 })
    const unexpected: unknown[] = []
    const acknowledged: number[] = []
    let next = 1000
    let cuts = 0
    const load = async (): Promise<void> => {
      while (cuts < 12) {
        const id = next++
        try {
          await pool.begin(async (tx) => {
            await tx`insert into note values (${id}, ${'y'.repeat(id % 7 === 0 ? 200_000 : 10)})`
            await Promise.all([tx`select pg_sleep(0.002)`, tx`select 1`])
          })
          acknowledged.push(id)
          await pool`select 1`
        } catch (error) {
          if (!isDatabaseUnavailable(error)) unexpected.push(error)
        }
        // an error comes at once; let the event loop see sockets too
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    const cutting = async (): Promise<void> => {
      for (; cuts < 12; cuts++) {
        const before = acknowledged.length
        await vi.waitFor(() => expect(acknowledged.length).toBeGreaterThan(before + 5), {
          timeout: 10_000,
          interval: 5,
        })
        relay.cut()
      }
    }
    await Promise.all([cutting(), ...Array.from({ length: 8 }, load)])
    await pool.end({ timeout: 1 })
    await relay.close()
    expect(unexpected).toEqual([])
    const kept = new Set((await sql<{ id: number }[]>`select id from note`).map(({ id }) => id))
    expect(acknowledged.filter((id) => !kept.has(id))).toEqual([])
    expect(acknowledged.length).toBeGreaterThan(60)
    await sql`delete from note`
  })
})

describe('listen', () => {
  const listeners = (): Promise<{ pid: number }[]> =>
    sql<{ pid: number }[]>`select pid from pg_stat_activity where application_name = 'listener'`
  const cutOff = (): Promise<unknown> =>
    sql`select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'listener'`

  test('goes on after its connection was lost', async () => {
    const listener = open({ applicationName: 'listener' })
    const heard = vi.fn()
    const listening = vi.fn()
    await listener.listen('somewhere', heard, listening)
    expect(listening).toHaveBeenCalledTimes(1)
    await sql.notify('somewhere', 'one')
    await vi.waitFor(() => expect(heard).toHaveBeenCalledWith('one'))
    await cutOff()
    await vi.waitFor(() => expect(listening).toHaveBeenCalledTimes(2), { timeout: 10_000 })
    await sql.notify('somewhere', 'two')
    await vi.waitFor(() => expect(heard).toHaveBeenCalledWith('two'))
    expect(heard).toHaveBeenCalledTimes(2)
  })

  test('shares one connection, and gives it back when nobody listens any more', async () => {
    const listener = open({ applicationName: 'listener' })
    const heard = vi.fn()
    const [a, b, other] = await Promise.all([
      listener.listen('here', (payload) => void heard('a', payload)),
      listener.listen('here', (payload) => void heard('b', payload)),
      listener.listen('there"', (payload) => void heard('there', payload)),
    ])
    expect(await listeners()).toHaveLength(1)
    await a.unlisten()
    await sql.notify('here', '1')
    await sql.notify('there"', '2')
    await vi.waitFor(() => expect(heard).toHaveBeenCalledWith('there', '2'))
    expect(heard.mock.calls).toEqual([
      ['b', '1'],
      ['there', '2'],
    ])
    await b.unlisten()
    await other.unlisten()
    await vi.waitFor(async () => expect(await listeners()).toEqual([]))
  })

  test('leaves no connection behind when it ends just after it was cut off', async () => {
    const listener = connect({ url: database.url, applicationName: 'listener' })
    await listener.listen('somewhere', () => undefined)
    await cutOff()
    await listener.end({ timeout: 1 })
    await expect(listener.listen('somewhere', () => undefined)).rejects.toMatchObject({
      code: 'CONNECTION_ENDED',
    })
    await vi.waitFor(async () => expect(await listeners()).toEqual([]))
  })

  test('says that there is no database to listen to', async () => {
    const url = new URL(database.url)
    url.port = '1'
    const error: unknown = await open({ url: url.href })
      .listen('somewhere', () => undefined)
      .catch((thrown: unknown) => thrown)
    expect(isDatabaseUnavailable(error)).toBe(true)
  })
})
