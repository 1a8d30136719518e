import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { arch, availableParallelism, cpus, loadavg, platform, release, totalmem } from 'node:os'
import { join, resolve } from 'node:path'
import type { Sql } from '../../src/db/connect.ts'
import { median } from './statistics.ts'

/** What a run's figures depend on, besides the program. */
export interface Machine {
  processor: string
  processors: number
  memoryGb: number
  system: string
  /** Processes that wanted a processor in the minute before the run. */
  loadBefore: number
  node: string
  postgres: string
  /** Milliseconds that a durable commit of one row takes, in the median: the disk's share of the figures. */
  commitMs: number
  databaseSettings: Record<string, string>
  /** The packages that are measured. */
  packages: Record<string, string>
  /** The commit that is measured; null outside of a clone. */
  commit: string | null
}

const project = resolve(import.meta.dirname, '../..')
const packages = ['pg-boss', 'graphile-worker', 'jsforce', 'fastify', 'postgres', 'undici'] as const
const settings = [
  'fsync',
  'synchronous_commit',
  'full_page_writes',
  'shared_buffers',
  'max_wal_size',
  'wal_compression',
  'autovacuum_naptime',
]
/** Commits that are timed. */
const COMMITS = 100

/** Looks at the machine, the database and the packages. */
export async function describeMachine(sql: Sql): Promise<Machine> {
  const [version] = await sql<{ version: string }[]>`select version()`
  const rows = await sql<{ name: string; setting: string }[]>`
    select name, current_setting(name) as setting from pg_settings where name = any (${settings}::text[])`
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    processors: availableParallelism(),
    memoryGb: Math.round(totalmem() / 2 ** 30),
    system: `${platform()} ${release()} ${arch()}`,
    loadBefore: loadavg()[0] ?? 0,
    node: process.version,
    postgres: version?.version.split(' ').slice(0, 2).join(' ') ?? 'unknown',
    commitMs: await timeCommits(sql),
    databaseSettings: Object.fromEntries(rows.map(({ name, setting }) => [name, setting])),
    packages: Object.fromEntries(packages.map((name) => [name, versionOf(name)])),
    commit: commitOf(),
  }
}

async function timeCommits(sql: Sql): Promise<number> {
  await sql`create table if not exists commit_time (n integer)`
  const times: number[] = []
  for (let n = 0; n < COMMITS; n += 1) {
    const begun = performance.now()
    await sql`insert into commit_time values (${n})`
    times.push(performance.now() - begun)
  }
  await sql`drop table commit_time`
  return median(times)
}

function versionOf(name: string): string {
  const file = join(project, 'node_modules', name, 'package.json')
  try {
    return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
  } catch {
    return 'not installed'
  }
}

function commitOf(): string | null {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { cwd: project, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  try {
    return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain') === '' ? '' : ' with changes'}`
  } catch {
    return null
  }
}
