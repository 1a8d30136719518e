import { spawn } from 'node:child_process'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { connect } from '../../src/db/connect.ts'
import { migrate, readMigrations } from '../../src/db/migrate.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

const logger = silentLogger
const projectFolder = new URL('../..', import.meta.url).pathname

let database: TestDatabase
let directory: string

beforeEach(async () => {
  database = await createTestDatabase({ empty: true })
  directory = await mkdtemp(join(tmpdir(), 'writeback-migrations-'))
})

afterEach(async () => {
  await rm(directory, { recursive: true })
  await database.drop()
})

const file = (name: string, text: string): Promise<void> => writeFile(join(directory, name), text)

/** Runs `migrate` on the test's database in a process of its own, and returns what it applied. */
function migrateInProcess(): Promise<string[]> {
  const program = `
    import { connect } from './src/db/connect.ts'
    import { migrate } from './src/db/migrate.ts'
    import { silentLogger } from './src/kernel/log.ts'
    const sql = connect({ url: process.argv[1] })
    console.log(JSON.stringify((await migrate(sql, { logger: silentLogger })).applied))
    await sql.end()`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program, database.url], {
    cwd: projectFolder,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  return new Promise((resolve, reject) => {
    child.on('close', (code) => {
      if (code === 0) resolve(JSON.parse(output) as string[])
      else reject(new Error(`exit code ${String(code)}`))
    })
  })
}

describe('migrate', () => {
  test('applies each migration once, in order, however many callers and processes start together', async () => {
    const callers = Array.from({ length: 6 }, () =>
      migrate(database.sql, { logger }).then(({ applied }) => applied),
    )
    const processes = [migrateInProcess(), migrateInProcess(), migrateInProcess()]
    const applied = (await Promise.all([...callers, ...processes])).flat()
    const files = (await readdir(join(projectFolder, 'migrations')))
      .sort()
      .map((name) => name.replace('.sql', ''))
    expect([...applied].sort()).toEqual(files)
    const rows = await database.sql<
      { name: string }[]
    >`select name from migration order by applied_at, version`
    expect(rows.map(({ name }) => name)).toEqual(files)
  })

  test('applies what was added later, and nothing twice', async () => {
    await file('0001_first.sql', 'create table first (id int); insert into first values (1);')
    await migrate(database.sql, { logger, directory })
    await file('0002_second.sql', 'insert into first values (2);')
    expect(await migrate(database.sql, { logger, directory })).toEqual({ applied: ['0002_second'] })
    expect(await migrate(database.sql, { logger, directory })).toEqual({ applied: [] })
    expect(await database.sql`select id from first order by id`).toEqual([{ id: 1 }, { id: 2 }])
  })

  test('undoes a migration that fails as a whole and keeps those before it', async () => {
    await file('0001_first.sql', 'create table first (id int);')
    await file('0002_second.sql', 'insert into first values (2); select 1 / 0;')
    await expect(migrate(database.sql, { logger, directory })).rejects.toThrow(
      /^Migration 0002_second failed and was undone: division by zero$/,
    )
    expect(await database.sql`select * from first`).toEqual([])
    expect(await database.sql`select name from migration`).toEqual([{ name: '0001_first' }])
  })

  test('refuses a file that was changed after it was applied', async () => {
    await file('0001_first.sql', 'select 1;')
    await migrate(database.sql, { logger, directory })
    await file('0001_first.sql', 'select 2;')
    await expect(migrate(database.sql, { logger, directory })).rejects.toThrow(
      'Migration 0001_first was changed after it was applied.',
    )
  })

  test('takes other line ends for no change', async () => {
    await file('0001_first.sql', 'select 1;\nselect 2;\n')
    await migrate(database.sql, { logger, directory })
    await file('0001_first.sql', 'select 1;\r\nselect 2;\r\n')
    expect(await migrate(database.sql, { logger, directory })).toEqual({ applied: [] })
  })

  test('refuses when the file of an applied migration is missing', async () => {
    await file('0001_first.sql', 'select 1;')
    await file('0002_second.sql', 'select 2;')
    await migrate(database.sql, { logger, directory })
    await rm(join(directory, '0001_first.sql'))
    await expect(migrate(database.sql, { logger, directory })).rejects.toThrow(
      'Migration 0001_first was applied to the database, but its file is missing.',
    )
  })

  test('refuses a database that is newer than the program', async () => {
    await file('0001_first.sql', 'select 1;')
    await file('0002_second.sql', 'select 2;')
    await migrate(database.sql, { logger, directory })
    await rm(join(directory, '0002_second.sql'))
    await expect(migrate(database.sql, { logger, directory })).rejects.toThrow(
      'The database is newer than this program: it has migration 0002_second, the newest here is 1.',
    )
  })

  test('refuses a migration numbered before one that is applied', async () => {
    await file('0002_second.sql', 'select 2;')
    await migrate(database.sql, { logger, directory })
    await file('0001_first.sql', 'select 1;')
    await expect(migrate(database.sql, { logger, directory })).rejects.toThrow(
      'Migration 0001_first comes before 0002_second',
    )
  })

  test('warns of a migration that is marked as breaking', async () => {
    await file('0001_first.sql', 'select 1;')
    await file('0002_second.sql', '--! breaking\nselect 2;')
    const warn = vi.fn()
    await migrate(database.sql, { logger: { ...logger, warn }, directory })
    expect(warn.mock.calls).toEqual([
      [{ migration: '0002_second', breaking: true }, 'breaking migration applied: stop older processes'],
    ])
  })

  test('refuses a server older than PostgreSQL 16 before anything is done', async () => {
    const [row] = await database.sql<{ name: string }[]>`select current_database() as name`
    // a server that says that it is older: what is asked for is found in this schema first
    await database.sql.unsafe(`
      create schema old;
      create function old.current_setting(text) returns text language sql as
        $$ select case $1 when 'server_version_num' then '150018' else '15.18' end $$;
      alter database ${row?.name ?? ''} set search_path = old, pg_catalog, public`)
    const sql = connect({ url: database.url, max: 2 })
    await expect(migrate(sql, { logger })).rejects.toThrow(
      'PostgreSQL 15.18 is too old: 16 or newer is needed.',
    )
    expect(await sql`select to_regclass('public.migration') as made`).toEqual([{ made: null }])
    await sql.end()
  })

  test('is not held by the time limit of ordinary statements', async () => {
    await file('0001_slow.sql', `do $$ begin assert current_setting('statement_timeout') = '0'; end $$;`)
    expect(await migrate(database.sql, { logger, directory })).toEqual({ applied: ['0001_slow'] })
  })
})

describe('readMigrations', () => {
  test.each([
    ['a name without a number', { 'first.sql': '' }, 'Migration first.sql must be named NNNN_what.sql'],
    ['a number twice', { '0001_a.sql': '', '0001_b.sql': '' }, 'Two migrations have the number 0001'],
    ['a marker that it does not know', { '0001_a.sql': '--! later' }, 'has the unknown marker "later"'],
  ])('refuses %s', async (_, files, message) => {
    for (const [name, text] of Object.entries(files)) await file(name, text)
    await expect(readMigrations(directory)).rejects.toThrow(message)
  })
})
