import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { messageOf } from '../kernel/errors.ts'
import type { Logger } from '../kernel/log.ts'
import type { Database, Tx } from './connect.ts'

/** The folder of the migrations: beside `src` in a clone, beside `dist` in the package. */
const migrationsFolder = fileURLToPath(new URL('../../migrations', import.meta.url))

/** The oldest PostgreSQL that is supported, as `server_version_num`. */
const oldestServer = 160_000

/** Any fixed number: all processes that migrate one database meet at this advisory lock. */
const lockKey = 7_243_392_115

/** One file of the folder. */
export interface Migration {
  version: number
  /** `NNNN_what`, the file's name without its ending. */
  name: string
  text: string
  checksum: string
  /** Older processes cannot work with the database after it: they must be stopped first. */
  breaking: boolean
}

interface AppliedRow {
  version: number
  name: string
  checksum: string
}

/**
 * Reads a folder of `NNNN_what.sql` files, oldest first. A first line `--! breaking` marks a migration
 * that older processes do not survive.
 *
 * @throws {Error} one line, for a misnamed file, a repeated number or an unknown marker
 */
export async function readMigrations(directory: string = migrationsFolder): Promise<Migration[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.sql')).sort()
  const migrations: Migration[] = []
  for (const file of names) {
    const match = /^(\d{4})_[a-z0-9_-]+\.sql$/.exec(file)
    if (!match) throw new Error(`Migration ${file} must be named NNNN_what.sql`)
    const version = Number(match[1])
    if (migrations.at(-1)?.version === version)
      throw new Error(`Two migrations have the number ${String(match[1])}`)
    // line ends are not part of what a file says: a checkout may change them
    const text = (await readFile(join(directory, file), 'utf8')).replaceAll('\r\n', '\n')
    const marker = /^--!(.*)/.exec(text)?.[1]?.trim()
    if (marker !== undefined && marker !== 'breaking') {
      throw new Error(`Migration ${file} has the unknown marker "${marker}"`)
    }
    migrations.push({
      version,
      name: file.slice(0, -4),
      text,
      checksum: createHash('sha256').update(text).digest('hex'),
      breaking: marker !== undefined,
    })
  }
  return migrations
}

/** Refuses a database whose history is not a beginning of ours. */
function checkHistory(applied: AppliedRow[], migrations: Migration[]): void {
  const byVersion = new Map(migrations.map((migration) => [migration.version, migration]))
  const newestHere = migrations.at(-1)?.version ?? 0
  for (const row of applied) {
    const migration = byVersion.get(row.version)
    if (!migration && row.version > newestHere) {
      throw new Error(
        `The database is newer than this program: it has migration ${row.name}, the newest here is ${newestHere}. Start a newer release.`,
      )
    }
    if (!migration)
      throw new Error(`Migration ${row.name} was applied to the database, but its file is missing.`)
    if (migration.checksum !== row.checksum) {
      throw new Error(
        `Migration ${row.name} was changed after it was applied. Restore the file and put the change in a new one.`,
      )
    }
  }
  const newestApplied = applied.at(-1)
  if (!newestApplied) return
  const late = migrations.find(
    ({ version }) => version < newestApplied.version && !applied.some((row) => row.version === version),
  )
  if (late) {
    throw new Error(
      `Migration ${late.name} comes before ${newestApplied.name}, which is applied already: give it a higher number.`,
    )
  }
}

async function checkServer(tx: Tx): Promise<void> {
  const [row] = await tx<{ number: number; text: string }[]>`
    select current_setting('server_version_num')::int as number, current_setting('server_version') as text`
  if (row && row.number < oldestServer) {
    throw new Error(`PostgreSQL ${row.text} is too old: 16 or newer is needed.`)
  }
}

/** Applies the oldest migration that is missing, if any, in one transaction that holds the lock throughout. */
function applyNext(sql: Database, migrations: Migration[]): Promise<Migration | undefined> {
  return sql.begin(async (tx) => {
    // a migration, and the wait for another process's, may take longer than any statement otherwise should
    await tx`select set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true)`
    await checkServer(tx)
    await tx`select pg_advisory_xact_lock(${lockKey})`
    await tx`
      create table if not exists migration (
        version     integer primary key,
        name        text not null,
        checksum    text not null,
        applied_at  timestamptz not null default clock_timestamp()
      )`
    const applied = await tx<AppliedRow[]>`select version, name, checksum from migration order by version`
    checkHistory(applied, migrations)
    const next = migrations[applied.length]
    if (!next) return undefined
    await tx
      .unsafe(next.text)
      .simple()
      .catch((error: unknown) => {
        throw new Error(`Migration ${next.name} failed and was undone: ${messageOf(error)}`, { cause: error })
      })
    await tx`insert into migration (version, name, checksum) values (${next.version}, ${next.name}, ${next.checksum})`
    return next
  })
}

/**
 * Brings the database up to this program: applies what is missing, in order, each migration in a
 * transaction of its own that holds one advisory lock. Any number of processes may call it at once.
 *
 * @returns the names of the migrations that this call applied
 * @throws {Error} one line, when the server is older than PostgreSQL 16, an applied file was changed or
 *   is missing, the database is newer than the program, or a migration failed (it is undone, those
 *   before it stay)
 */
export async function migrate(
  sql: Database,
  options: { logger: Logger; directory?: string },
): Promise<{ applied: string[] }> {
  const migrations = await readMigrations(options.directory)
  const applied: string[] = []
  for (;;) {
    const migration = await applyNext(sql, migrations)
    if (!migration) return { applied }
    applied.push(migration.name)
    const line = { migration: migration.name, breaking: migration.breaking }
    if (migration.breaking) options.logger.warn(line, 'breaking migration applied: stop older processes')
    else options.logger.info(line, 'migration applied')
  }
}
