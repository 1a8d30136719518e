import { randomBytes } from 'node:crypto'
import { mkdir, realpath, rename, stat } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from '../kernel/log.ts'
import { connect } from './connect.ts'
import { findBinaries } from './embedded-binaries.ts'
import {
  initialiseCluster,
  runServer,
  StartFailure,
  stopOrphan,
  stopServer,
  superuser,
  type RunningServer,
  type ServerOptions,
} from './embedded-server.ts'
import { chooseServerUser, prepareClusterFolder } from './embedded-user.ts'
import { lockFolder } from './folder-lock.ts'
import { keptSecret } from '../kernel/kept-secret.ts'

/** How an embedded PostgreSQL is started. */
export interface EmbeddedOptions {
  /** The data folder; the cluster is `postgres` in it. Made if it is not there. */
  dataDir: string
  logger: Logger
  /** Default: a free one, another at each start. */
  port?: number
  /** Called when the server ends without having been told to. */
  onExit?: (how: { code: number | null; signal: NodeJS.Signals | null }) => void
  /** Server settings that go over the standard ones. */
  settings?: Record<string, string>
}

/** A running embedded PostgreSQL. */
export interface Embedded {
  /** With the password: never to be logged. */
  url: string
  port: number
  /** The process id of the server. */
  pid: number
  /** Ends the server and gives the folder free. May be called again. */
  stop: () => Promise<void>
}

/**
 * Durable first: an acknowledged write is on the disk. The rest keeps checkpoints rare and vacuum quick,
 * which is what a queue's many small updates need.
 */
const standardSettings: Record<string, string> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '100',
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  shared_buffers: '256MB',
  effective_cache_size: '1GB',
  work_mem: '16MB',
  maintenance_work_mem: '128MB',
  wal_compression: 'pglz',
  max_wal_size: '4GB',
  min_wal_size: '256MB',
  checkpoint_timeout: '15min',
  checkpoint_completion_target: '0.9',
  random_page_cost: '1.1',
  jit: 'off',
  autovacuum_naptime: '10s',
  autovacuum_vacuum_cost_limit: '2000',
  timezone: 'UTC',
  log_timezone: 'UTC',
  lc_messages: 'C',
  log_checkpoints: 'off',
}

const databaseName = 'writeback'
const startTries = 60

function freePort(): Promise<number> {
  return new Promise((resolvePort, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolvePort(port))
    })
  })
}

/** Keeps the log of one start beside that of the last ones, without letting it grow for ever. */
async function rotateLog(logFile: string): Promise<void> {
  const size = (await stat(logFile).catch(() => undefined))?.size ?? 0
  if (size > 16 * 1024 * 1024) await rename(logFile, `${logFile}.1`)
}

/** Starts the server, again where a start can fail for a passing reason. */
async function startWithRetries(
  options: ServerOptions,
  fixedPort: number | undefined,
): Promise<{ server: RunningServer; port: number }> {
  for (let attempt = 1; ; attempt++) {
    const port = fixedPort ?? (await freePort())
    try {
      return { server: await runServer(options, port), port }
    } catch (error) {
      const again = error instanceof StartFailure ? error.again : 'never'
      // a free port may be taken by the time it is used; children of a killed server take a moment to end
      if (again === 'never' || (again === 'now' && fixedPort !== undefined) || attempt === startTries)
        throw error
      if (again === 'soon') await delay(250)
    }
  }
}

async function createDatabase(url: string): Promise<void> {
  const sql = connect({ url, max: 2, applicationName: 'writeback set-up', statementTimeoutMs: 0 })
  try {
    const found = await sql`select 1 from pg_database where datname = ${databaseName}`
    if (found.length === 0) await sql`create database ${sql(databaseName)}`
  } finally {
    await sql.end({ timeout: 5 })
  }
}

async function openFolder(dataDir: string): Promise<string> {
  const folder = resolve(dataDir)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  return realpath(folder)
}

/** Sets up what is missing in a folder that is ours, and describes the server that runs on it. */
async function prepare(
  folder: string,
  options: EmbeddedOptions,
): Promise<{ server: ServerOptions; password: string }> {
  const user = await chooseServerUser(join(folder, 'postgres', 'data'))
  const cluster = await prepareClusterFolder(folder, user)
  const logFile = join(folder, 'postgres.log')
  const settings = { ...standardSettings, ...options.settings }
  const server = { binaries: await findBinaries(user), cluster, user, logFile, settings }
  const password = await keptSecret(join(folder, 'postgres-password'), () =>
    randomBytes(24).toString('base64url'),
  )
  await rotateLog(logFile)
  await stopOrphan(cluster, options.logger)
  await initialiseCluster(server, password, settings['fsync'] !== 'off')
  return { server, password }
}

/**
 * Starts the PostgreSQL that comes as an npm package on a data folder of its own, and makes the database.
 * The server listens on loopback only, with a password kept in the data folder. As root it runs as
 * another user (see embedded-user).
 *
 * A folder whose last owner was killed is taken over: a server left behind is stopped, an interrupted one
 * replays its log. One process at a time may have a folder.
 *
 * @throws {Error} one line: the folder is another live process's, the platform has no embedded
 *   PostgreSQL, or the server does not start (with the end of its log)
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const folder = await openFolder(options.dataDir)
  const lock = await lockFolder(folder)
  try {
    const { server: serverOptions, password } = await prepare(folder, options)
    const { server, port } = await startWithRetries(serverOptions, options.port)
    // a process that ends without stop(), by process.exit or an uncaught error, takes the server along
    const endWithUs = (): void => void server.child.kill('SIGINT')
    process.once('exit', endWithUs)
    server.child.unref()
    let stopping: Promise<void> | undefined
    void server.exited.then((how) => {
      process.off('exit', endWithUs)
      if (stopping) return
      options.logger.fatal({ ...how, folder }, 'the embedded PostgreSQL ended unexpectedly')
      options.onExit?.(how)
    })
    const stop = (): Promise<void> => {
      stopping ??= stopServer(server).then(() => lock.release())
      return stopping
    }
    const url = (database: string): string =>
      `postgres://${superuser}:${password}@127.0.0.1:${port}/${database}`
    try {
      await createDatabase(url('postgres'))
    } catch (error) {
      await stop()
      throw error
    }
    options.logger.info({ port, pid: server.pid, folder }, 'embedded PostgreSQL is running')
    return { url: url(databaseName), port, pid: server.pid, stop }
  } catch (error) {
    await lock.release()
    throw error
  }
}
