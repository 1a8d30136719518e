import { randomBytes, randomInt } from 'node:crypto'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startApp, type App, type AppOptions } from '../../src/app.ts'
import { connect, type Database } from '../../src/db/connect.ts'
import { startEmbedded, type Embedded } from '../../src/db/embedded.ts'
import { migrate } from '../../src/db/migrate.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import { startSimulator, type Simulator } from '../../src/simulator/start.ts'
import { migrateWakeups } from '../../src/wakeups/wakeups.ts'
import { appOptions, createTenant, type Tenant } from '../support/service.ts'

/** A service with a PostgreSQL server of its own, which can be killed and started again at the same address. */
export interface OwnDatabase {
  app: App
  simulator: Simulator
  tenant: Tenant
  /** A pool of the test's own. */
  sql: Database
  /** Ends the server as a crash of its host would: without a word to anybody. */
  kill: () => Promise<void>
  /** Starts the server again on what is left on the disk; resolves once it takes connections. */
  restart: () => Promise<void>
  stop: () => Promise<void>
}

/**
 * A port that is free and that nobody is given by chance while the server is away: below the range from which
 * connections take theirs.
 */
async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(12_000, 32_000)
    const isFree = await new Promise<boolean>((resolve) => {
      const server = createServer()
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
    })
    if (isFree) return port
  }
}

/**
 * A killed process loses nothing that was handed to the operating system, so nothing waits for the disk; what it
 * leaves behind is in its folder.
 */
const settings = {
  fsync: 'off',
  shared_buffers: '64MB',
  max_connections: '60',
  dynamic_shared_memory_type: 'mmap',
}

/** Starts it all; the migrations are applied. */
export async function startOwnDatabase(part: Partial<AppOptions> = {}): Promise<OwnDatabase> {
  const folder = await mkdtemp(join(tmpdir(), 'writeback-outage-'))
  await chmod(folder, 0o755)
  const port = await freePort()
  const start = (): Promise<Embedded> =>
    startEmbedded({ dataDir: join(folder, 'data'), port, logger: silentLogger, settings })
  let server = await start()
  const sql = connect({ url: server.url, max: 4, applicationName: 'test' })
  await migrate(sql, { logger: silentLogger })
  await migrateWakeups(sql)
  const simulator = await startSimulator()
  const app = await startApp(
    appOptions(server.url, { sweepMs: 250, encryptionKey: randomBytes(32), ...part }),
  )
  const tenant = await createTenant(app.url, simulator.url, undefined, { packing: 'none' })
  return {
    app,
    simulator,
    tenant,
    sql,
    kill: async () => {
      process.kill(server.pid, 'SIGKILL')
      await server.stop()
    },
    restart: async () => {
      server = await start()
    },
    stop: async () => {
      await app.stop(5_000)
      await simulator.close()
      await sql.end({ timeout: 1 })
      await server.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
