import { randomBytes } from 'node:crypto'
import { inject } from 'vitest'
import { connect, type Database } from '../../src/db/connect.ts'
import { waitUntil } from './wait-until.ts'

/** A database of a test file's own, with every migration applied. */
export interface TestDatabase {
  url: string
  /** A pool of the test's own (at most 6 connections); ended by `drop`. */
  sql: Database
  /**
   * Ends `sql` and drops the database.
   * @throws {Error} when somebody is still connected: what a test starts it must stop
   */
  drop(): Promise<void>
}

/** How long the server may take to notice that connections have been closed. */
const graceMs = 3_000

async function withAdmin<T>(run: (admin: Database) => Promise<T>): Promise<T> {
  const admin = connect({
    url: inject('adminUrl'),
    max: 2,
    applicationName: 'test admin',
    statementTimeoutMs: 60_000,
  })
  try {
    return await run(admin)
  } finally {
    await admin.end({ timeout: 5 })
  }
}

function urlOf(database: string): string {
  const url = new URL(inject('adminUrl'))
  url.pathname = `/${database}`
  return url.href
}

/** Fails when anybody is connected to the database after the grace. */
async function refuseLeaks(admin: Database, name: string): Promise<void> {
  const open = (): Promise<{ application: string; state: string | null; query: string }[]> => admin`
    select application_name as application, state, left(query, 120) as query
    from pg_stat_activity where datname = ${name} and backend_type = 'client backend'`
  await waitUntil(async () => (await open()).length === 0, { timeoutMs: graceMs, what: '' }).catch(
    async () => {
      const leaked = await open()
      if (leaked.length > 0) throw new Error(`Connections left open at the end: ${JSON.stringify(leaked)}`)
    },
  )
}

/** Copies the migrated template. `empty: true` makes a database with nothing in it instead. */
export async function createTestDatabase(options: { empty?: boolean } = {}): Promise<TestDatabase> {
  const name = `test_${process.pid}_${randomBytes(6).toString('hex')}`
  const template = options.empty === true ? 'template1' : inject('templateDatabase')
  // Copied as files: a quarter of the time that the default, through the log, takes for a small database.
  await withAdmin((admin) => admin.unsafe(`create database ${name} template ${template} strategy file_copy`))
  const url = urlOf(name)
  const sql = connect({ url, max: 6, applicationName: 'test' })
  return {
    url,
    sql,
    drop: async () => {
      await sql.end({ timeout: 5 })
      await withAdmin(async (admin) => {
        try {
          await refuseLeaks(admin, name)
        } finally {
          await admin.unsafe(`drop database if exists ${name} with (force)`)
        }
      })
    },
  }
}
