import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connect } from '../../src/db/connect.ts'
import { databaseErrorKind, isDatabaseUnavailable, isUniqueViolation } from '../../src/db/pg-errors.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase({ empty: true })
  await database.sql`create table thing (id int primary key, name text not null constraint thing_name unique)`
  await database.sql`create table part (thing int references thing (id))`
  await database.sql`insert into thing values (1, 'one')`
})
afterAll(() => database.drop())

/** What a statement of the test's database fails with. */
const failure = (text: string): Promise<unknown> =>
  database.sql.unsafe(text).then(
    () => null,
    (error: unknown) => error,
  )

const codedError = (code: string): Error => Object.assign(new Error(code), { code })

describe('databaseErrorKind', () => {
  test.each([
    [`insert into thing values (1, 'two')`, 'conflict'],
    [`insert into part values (9)`, 'conflict'],
    [`insert into thing values (2, null)`, 'bug'],
    [`select nonsense`, 'bug'],
    [`set statement_timeout = 1; select pg_sleep(1)`, 'unavailable'],
    [`set lock_timeout = 1; do $$ begin raise lock_not_available; end $$`, 'retry'],
    [`do $$ begin raise deadlock_detected; end $$`, 'retry'],
    [`do $$ begin raise serialization_failure; end $$`, 'retry'],
    [`do $$ begin raise disk_full; end $$`, 'unavailable'],
    [`do $$ begin raise too_many_connections; end $$`, 'unavailable'],
    [`do $$ begin raise admin_shutdown; end $$`, 'unavailable'],
    [`do $$ begin raise cannot_connect_now; end $$`, 'unavailable'],
    [`do $$ begin raise read_only_sql_transaction; end $$`, 'unavailable'],
  ])('%s: %s', async (text, kind) => {
    expect(databaseErrorKind(await failure(text))).toBe(kind)
  })

  test.each([
    'CONNECTION_CLOSED',
    'CONNECT_TIMEOUT',
    'POOL_BUSY',
    'ECONNRESET',
    'ETIMEDOUT',
    'ENOTFOUND',
    'EPIPE',
  ])('%s is unavailable', (code) => {
    expect(isDatabaseUnavailable(codedError(code))).toBe(true)
  })

  test('a refused connection, log-in or database is unavailable', async () => {
    const attempt = async (change: (url: URL) => void): Promise<string> => {
      const url = new URL(database.url)
      change(url)
      const sql = connect({ url: url.href })
      const error: unknown = await sql`select 1`.catch((thrown: unknown) => thrown)
      await sql.end({ timeout: 1 })
      return databaseErrorKind(error)
    }
    expect(await attempt((url) => (url.port = '1'))).toBe('unavailable')
    expect(await attempt((url) => (url.pathname = '/absent'))).toBe('unavailable')
    expect(await attempt((url) => (url.username = 'nobody_at_all'))).toBe('unavailable')
  })

  test('whatever a session was ended for, or not begun, is unavailable', () => {
    const refusal = { code: '55000', severity: 'FATAL' }
    expect(databaseErrorKind(refusal)).toBe('unavailable')
    expect(databaseErrorKind({ ...refusal, severity: 'ERROR' })).toBe('bug')
  })

  test('anything else is a bug', () => {
    for (const error of [new Error('x'), codedError('TRANSACTION_OVER'), null, 'text', { code: 7 }]) {
      expect(databaseErrorKind(error)).toBe('bug')
    }
  })
})

test('isUniqueViolation tells constraints apart', async () => {
  const error = await failure(`insert into thing values (2, 'one')`)
  expect(isUniqueViolation(error)).toBe(true)
  expect(isUniqueViolation(error, 'thing_name')).toBe(true)
  expect(isUniqueViolation(error, 'thing_pkey')).toBe(false)
  expect(isUniqueViolation(await failure('insert into part values (9)'))).toBe(false)
})
