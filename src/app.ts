import { hostname } from 'node:os'
import { operationRoutes } from './api/ampersand/operations.ts'
import { writeRoutes } from './api/ampersand/write.ts'
import { createServer } from './api/server.ts'
import type { SessionSource } from './batcher/run-batch.ts'
import { startWorker, type Worker } from './batcher/worker.ts'
import { createCipher, keyIdOf, keysById, type Cipher } from './connections/cipher.ts'
import { createDirectory, type Directory } from './connections/directory.ts'
import { createSessions } from './connections/sessions.ts'
import { createSetup } from './connections/setup.ts'
import { connect, type Sql } from './db/connect.ts'
import { isDatabaseUnavailable } from './db/pg-errors.ts'
import { startOutcomeWaiter, type OutcomeWaiter } from './ingest/await-outcome.ts'
import { startIngest, type Ingest } from './ingest/ingest.ts'
import { systemClock, type Clock } from './kernel/clock.ts'
import { newId } from './kernel/ids.ts'
import type { Logger } from './kernel/log.ts'
import type { Provider } from './providers/provider.ts'
import { createProviderRegistry, type ProviderRegistry } from './providers/registry.ts'
import { createSalesforceProvider } from './providers/salesforce/index.ts'
import { readAttempts, readOpenBatch, readWrite } from './queue/read.ts'
import { startWakeups, type Wakeups } from './wakeups/wakeups.ts'

/** What a process of the service is started with; see the configuration for the meaning of each. */
export interface AppOptions {
  role: 'all' | 'api' | 'worker'
  host: string
  port: number
  /** A database whose migrations are applied. */
  databaseUrl: string
  adminKey: string | null
  /** 32 bytes. */
  encryptionKey: Buffer
  allowInsecureProviders: boolean
  maxWaiting: number
  groupConcurrency: number
  workerSlots: number
  sweepMs: number
  databasePool: number
  providerTimeoutMs: number
  version: string
  logger: Logger
  clock?: Clock
}

/** A running process of the service. */
export interface App {
  /** Where it listens, for example `http://127.0.0.1:8080`. */
  readonly url: string
  /** Stops taking calls, finishes what is in flight for at most `drainMs`, gives back what is claimed. */
  stop: (drainMs?: number) => Promise<void>
}

/** Milliseconds that a stop may take before what is in flight is cut off (contract section 1). */
const DRAIN_MS = 30_000
/** Milliseconds that a login host may take: everyone who needs the session waits meanwhile. */
const SESSION_TIMEOUT_MS = 15_000

const cipherOf = ({ encryptionKey }: AppOptions): Cipher =>
  createCipher({ keys: keysById(encryptionKey), current: keyIdOf(encryptionKey) })

/** Ends one part of the process. */
type Stop = () => Promise<unknown>

/** Wires the floors together and starts them: the only place that knows them all. */
export async function startApp(options: AppOptions): Promise<App> {
  const floors: Floors = { options, clock: options.clock ?? systemClock, stops: [], drainMs: DRAIN_MS }
  // Last started, first stopped; one that fails does not keep the others running.
  const stopAll = async (): Promise<void> => {
    for (const stop of floors.stops.splice(0).reverse()) await stopOne(options.logger, stop)
  }
  try {
    const url = await start(floors)
    const stop = async (drainMs = DRAIN_MS): Promise<void> => {
      floors.drainMs = drainMs
      await stopAll()
      options.logger.info({}, 'stopped')
    }
    return { url, stop }
  } catch (error) {
    await stopAll()
    throw error
  }
}

const stopOne = (logger: Logger, stop: Stop): Promise<unknown> =>
  stop().catch((error: unknown) => logger.error({ err: error }, 'a part did not stop cleanly'))

async function start(floors: Floors): Promise<string> {
  const { options, clock, stops } = floors
  const { logger, role, databaseUrl: url } = options
  const name = `writeback-${role}`
  const sql = connect({ url, max: options.databasePool, applicationName: name })
  const serial = connect({ url, max: 2, applicationName: `${name}-pgboss` })
  stops.push(() => Promise.all([sql.end({ timeout: 5 }), serial.end({ timeout: 5 })]))
  const wakeups = await startWakeups({
    sql,
    serial,
    logger,
    groupConcurrency: options.groupConcurrency,
    worker: role !== 'api',
  })
  stops.push(() => wakeups.stop())
  const directory = createDirectory(sql, { adminKey: options.adminKey, logger, clock })
  await directory.start()
  stops.push(() => directory.stop())

  const parts: Parts = { ...floors, sql, wakeups, directory }
  const api = role === 'worker' ? null : await startTaking(parts)
  const worker = role === 'api' ? null : await startWorking(parts)
  const server = createServer({
    logger,
    clock,
    isDatabaseUnavailable,
    version: options.version,
    health: { ping: () => sql`select 1`, metricsText: () => metricsText(worker, api?.ingest ?? null) },
    api,
  })
  const stopServing = async (): Promise<void> => {
    // Those who wait for an outcome get the state as it is; a client that never finishes is cut off in time.
    await api?.waiter.stop()
    const cancel = clock.after(floors.drainMs, () => server.server.closeAllConnections())
    await server.close()
    cancel()
    await api?.ingest.stop()
  }
  // Side by side: neither may use up the other's time.
  stops.push(() =>
    Promise.all([
      stopOne(logger, stopServing),
      stopOne(logger, () => worker?.stop(floors.drainMs) ?? Promise.resolve()),
    ]),
  )
  const address = await server.listen({ host: options.host, port: options.port })
  logger.info({ url: address, role }, 'listening')
  return address
}

/** What a process is started with and how it is stopped. */
interface Floors {
  options: AppOptions
  clock: Clock
  stops: Stop[]
  /** Milliseconds that a stop may take before what is in flight is cut off. */
  drainMs: number
}

/** The same with the lower floors at hand. */
interface Parts extends Floors {
  sql: Sql
  wakeups: Wakeups
  directory: Directory
}

async function startWorking(parts: Parts): Promise<Worker> {
  const { options, clock, sql, wakeups, stops } = parts
  const salesforce = createSalesforceProvider({
    logger: options.logger,
    allowInsecure: options.allowInsecureProviders,
  })
  const providers = createProviderRegistry([salesforce])
  stops.push(() => providers.close())
  return startWorker({
    sql,
    wakeups,
    sessions: await sessionSource(parts, providers),
    clock,
    logger: options.logger,
    worker: `${hostname()}/${process.pid}/${newId().slice(-6)}`,
    callTimeoutMs: options.providerTimeoutMs,
    random: Math.random,
    slots: options.workerSlots,
    sweepIntervalMs: options.sweepMs,
  })
}

/** Sessions by installation: the directory knows its connection, the connections floor its session. */
async function sessionSource(parts: Parts, providers: ProviderRegistry): Promise<SessionSource> {
  const { options, sql, directory } = parts
  const providerNamed = (name: string): Provider => {
    const provider = providers.find(name)
    if (provider === undefined) throw new Error(`There is no provider ${name}.`)
    return provider
  }
  const sessions = createSessions({
    sql,
    cipher: cipherOf(options),
    logger: options.logger,
    mint: (provider, credentials) =>
      providerNamed(provider).openSession(credentials, { timeoutMs: SESSION_TIMEOUT_MS }),
  })
  await sessions.start()
  parts.stops.push(() => sessions.stop())
  const find = async (installationId: string) => {
    const installation = await directory.installationById(installationId)
    if (installation === null) throw new Error('The installation is not there any more.')
    return { connectionId: installation.connectionId, provider: providerNamed(installation.provider) }
  }
  return {
    open: async (installationId) => {
      const { connectionId, provider } = await find(installationId)
      return { provider, ...(await sessions.get(connectionId)) }
    },
    refresh: async (installationId, staleVersion) => {
      const { connectionId, provider } = await find(installationId)
      return { provider, ...(await sessions.refresh(connectionId, staleVersion)) }
    },
  }
}

async function startTaking({ options, clock, sql, wakeups, directory }: Parts) {
  const { logger } = options
  const ingest: Ingest = startIngest({
    sql,
    nudge: wakeups.nudge,
    clock,
    logger,
    maxWaiting: options.maxWaiting,
  })
  const waiter: OutcomeWaiter = await startOutcomeWaiter({ sql, clock, logger })
  const setup = createSetup(sql, cipherOf(options))
  return {
    ingest,
    waiter,
    access: directory,
    setup,
    allowInsecureProviders: options.allowInsecureProviders,
    routes: [
      writeRoutes({
        checkRoom: () => ingest.checkRoom(),
        submit: (write) => ingest.submit(write),
        installation: (integrationId, groupRef) => directory.installation(integrationId, groupRef),
      }),
      operationRoutes({
        read: (projectId, id) => readWrite(sql, projectId, id),
        attempts: (id) => readAttempts(sql, id),
        openBatch: (batchId) => readOpenBatch(sql, batchId),
        wait: (id, ms) => waiter.wait(id, ms),
      }),
    ],
  }
}

/** The process's own figures in Prometheus' text format. */
function metricsText(worker: Worker | null, ingest: Ingest | null): string {
  const gauges: [string, string, number][] = [
    ['process_resident_memory_bytes', 'Resident memory size in bytes.', process.memoryUsage.rss()],
  ]
  if (worker !== null)
    gauges.push(['writeback_lanes_in_work', 'Lanes being worked on by this process.', worker.active])
  if (ingest !== null) {
    gauges.push([
      'writeback_commits_pending',
      'Writes that wait for their commit in this process.',
      ingest.pending,
    ])
  }
  return gauges
    .map(([name, help, value]) => `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${name} ${value}\n`)
    .join('')
}
