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
/** Milliseconds that a login host may take: a row lock is held meanwhile. */
const SESSION_TIMEOUT_MS = 15_000

const cipherOf = ({ encryptionKey }: AppOptions): Cipher =>
  createCipher({ keys: keysById(encryptionKey), current: keyIdOf(encryptionKey) })

/** Wires the floors together and starts them: the only place that knows them all. */
export async function startApp(options: AppOptions): Promise<App> {
  const stops: (() => Promise<unknown>)[] = []
  // Last started, first stopped; one that fails does not keep the others running.
  const stopAll = async (): Promise<void> => {
    for (const stop of stops.splice(0).reverse()) {
      await stop().catch((error: unknown) =>
        options.logger.error({ err: error }, 'a part did not stop cleanly'),
      )
    }
  }
  try {
    return await start(options, stops, stopAll)
  } catch (error) {
    await stopAll()
    throw error
  }
}

async function start(
  options: AppOptions,
  stops: (() => Promise<unknown>)[],
  stopAll: () => Promise<void>,
): Promise<App> {
  const { logger } = options
  const clock = options.clock ?? systemClock
  const name = `writeback-${options.role}`
  const sql = connect({ url: options.databaseUrl, max: options.databasePool, applicationName: name })
  stops.push(() => sql.end({ timeout: 5 }))
  const serial = connect({ url: options.databaseUrl, max: 2, applicationName: `${name}-pgboss` })
  stops.push(() => serial.end({ timeout: 5 }))
  const worker = options.role !== 'api'
  const wakeups = await startWakeups({
    sql,
    serial,
    logger,
    groupConcurrency: options.groupConcurrency,
    worker,
  })
  stops.push(() => wakeups.stop())
  const directory = createDirectory(sql, { adminKey: options.adminKey, logger, clock })
  await directory.start()
  stops.push(() => directory.stop())

  const floors: Floors = { options, clock, sql, wakeups, directory, stops, drainMs: DRAIN_MS }
  const running = worker ? startWorking(floors) : null
  const api = options.role === 'worker' ? null : await startTaking(floors)
  const server = createServer({
    logger,
    clock,
    isDatabaseUnavailable,
    version: options.version,
    health: { ping: () => sql`select 1`, metricsText: () => metricsText(running, api?.ingest ?? null) },
    api,
  })
  stops.push(async () => {
    // A client that never finishes its request must not outlast the drain.
    const cancel = clock.after(floors.drainMs, () => server.server.closeAllConnections())
    await server.close()
    cancel()
  })
  if (api !== null) stops.push(() => api.waiter.stop())
  const url = await server.listen({ host: options.host, port: options.port })
  logger.info({ url, role: options.role }, 'listening')
  return {
    url,
    stop: async (drainMs = DRAIN_MS) => {
      floors.drainMs = drainMs
      await stopAll()
      logger.info({}, 'stopped')
    },
  }
}

interface Floors {
  options: AppOptions
  clock: Clock
  sql: Sql
  wakeups: Wakeups
  directory: Directory
  stops: (() => Promise<unknown>)[]
  drainMs: number
}

function startWorking(floors: Floors): Worker {
  const { options, clock, sql, wakeups, stops } = floors
  const salesforce = createSalesforceProvider({
    logger: options.logger,
    allowInsecure: options.allowInsecureProviders,
  })
  const providers = createProviderRegistry([salesforce])
  stops.push(() => providers.close())
  const worker = startWorker({
    sql,
    wakeups,
    sessions: sessionSource(floors, providers),
    clock,
    logger: options.logger,
    worker: `${hostname()}/${process.pid}/${newId().slice(-6)}`,
    callTimeoutMs: options.providerTimeoutMs,
    random: Math.random,
    slots: options.workerSlots,
    sweepIntervalMs: options.sweepMs,
  })
  stops.push(() => worker.stop(floors.drainMs))
  return worker
}

/** Sessions by installation: the directory knows its connection, the connections floor its session. */
function sessionSource({ options, sql, directory }: Floors, providers: ProviderRegistry): SessionSource {
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

async function startTaking(floors: Floors) {
  const { options, clock, sql, wakeups, directory, stops } = floors
  const { logger } = options
  const ingest: Ingest = startIngest({
    sql,
    nudge: wakeups.nudge,
    clock,
    logger,
    maxWaiting: options.maxWaiting,
  })
  stops.push(() => ingest.stop())
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
