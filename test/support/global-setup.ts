import { chmod, mkdtemp, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { connect, type Database } from '../../src/db/connect.ts'
import { startEmbedded } from '../../src/db/embedded.ts'
import { migrate } from '../../src/db/migrate.ts'
import { silentLogger } from '../../src/kernel/log.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** A superuser's URL of the cluster of this run. */
    adminUrl: string
    /** The migrated database that every test database is a copy of. */
    templateDatabase: string
  }
}

interface Cluster {
  url: string
  stop: () => Promise<void>
}

/** Nothing here has to survive a crash, so nothing waits for the disk. */
const fastSettings = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  max_connections: '200',
  shared_buffers: '128MB',
}

/** Where Linux has a file system in memory, what it is known by, and the room that a run must find there. */
const MEMORY = { path: '/dev/shm', type: 0x01021994, bytes: 4 * 1024 ** 3 }

/**
 * Keeps temporary files in memory where there is room: copying a database takes the disk's file system a
 * tenth of a second of work, and there are hundreds.
 */
async function keepInMemory(): Promise<() => Promise<void>> {
  const room = await statfs(MEMORY.path).catch(() => null)
  const isThere = room?.type === MEMORY.type && room.bavail * room.bsize >= MEMORY.bytes
  if (process.env['TMPDIR'] !== undefined || !isThere) return () => Promise.resolve()
  const folder = await mkdtemp(join(MEMORY.path, 'writeback-tests-')).catch(() => null)
  if (folder === null) return () => Promise.resolve()
  // PostgreSQL runs as another user when root runs the tests.
  await chmod(folder, 0o755)
  process.env['TMPDIR'] = folder
  return () => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
}

async function startEmbeddedCluster(): Promise<Cluster> {
  const dataDir = await mkdtemp(join(tmpdir(), 'writeback-test-'))
  // The kernel copies the files by itself.
  const settings = { ...fastSettings, file_copy_method: 'clone' }
  const embedded = await startEmbedded({ dataDir, logger: silentLogger, settings })
  return {
    url: embedded.url,
    stop: async () => {
      await embedded.stop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

async function startContainer(): Promise<Cluster> {
  const { PostgreSqlContainer } = await import('@testcontainers/postgresql')
  const flags = Object.entries(fastSettings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const container = await new PostgreSqlContainer('postgres:17-alpine')
    .withCommand(['postgres', ...flags])
    .start()
  return {
    url: container.getConnectionUri(),
    stop: async () => {
      await container.stop()
    },
  }
}

/** One cluster for the whole run: yours (`TEST_DATABASE_URL`), a container's (`TEST_CONTAINERS=1`) or an embedded one. */
async function startCluster(): Promise<Cluster> {
  const url = process.env['TEST_DATABASE_URL']
  if (url !== undefined && url !== '') return { url, stop: () => Promise.resolve() }
  return process.env['TEST_CONTAINERS'] === '1' ? startContainer() : startEmbeddedCluster()
}

const withDatabase = (url: string, database: string): string => {
  const changed = new URL(url)
  changed.pathname = `/${database}`
  return changed.href
}

/**
 * Leaves the partitions of yesterday, today and tomorrow: every connection of a test plans its statements anew,
 * and that takes as long as there are partitions.
 */
async function dropFarDays(template: Database): Promise<void> {
  const far = await template<{ name: string }[]>`
    select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = any (array['write'::regclass, 'attempt'::regclass, 'operation'::regclass])
      and c.relname ~ '_[0-9]{8}$'
      and to_date(right(c.relname, 8), 'YYYYMMDD') > (now() at time zone 'UTC')::date + 1`
  for (const { name } of far) await template`drop table ${template(name)}`
}

async function makeTemplate(url: string, name: string): Promise<void> {
  const admin = connect({ url, max: 2, statementTimeoutMs: 0 })
  const template = connect({ url: withDatabase(url, name), max: 2, statementTimeoutMs: 0 })
  try {
    await admin.unsafe(`create database ${name}`)
    await migrate(template, { logger: silentLogger })
    await dropFarDays(template)
    await template.end({ timeout: 5 })
    // a copy can only be made while nobody is connected
    await admin.unsafe(`alter database ${name} with allow_connections false`)
  } finally {
    await Promise.all([template.end({ timeout: 5 }), admin.end({ timeout: 5 })])
  }
}

/** Processes that tests start load their modules in half the time from what the first of them compiled. */
async function keepCompiled(): Promise<() => Promise<void>> {
  if (process.env['NODE_COMPILE_CACHE'] !== undefined) return () => Promise.resolve()
  const folder = await mkdtemp(join(tmpdir(), 'writeback-compiled-'))
  process.env['NODE_COMPILE_CACHE'] = folder
  // Processes that end right now may still be writing into it.
  return () => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const leaveMemory = await keepInMemory()
  const removeCompiled = await keepCompiled()
  const removeFolders = async (): Promise<void> => {
    await removeCompiled()
    await leaveMemory()
  }
  const cluster = await startCluster()
  const template = `writeback_template_${process.pid}_${Date.now()}`
  try {
    await makeTemplate(cluster.url, template)
  } catch (error) {
    await cluster.stop()
    await removeFolders()
    throw error
  }
  project.provide('adminUrl', cluster.url)
  project.provide('templateDatabase', template)
  return async () => {
    const admin = connect({ url: cluster.url, max: 2 })
    await admin.unsafe(`drop database if exists ${template}`)
    await admin.end({ timeout: 5 })
    await cluster.stop()
    await removeFolders()
  }
}
