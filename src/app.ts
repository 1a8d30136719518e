import { hostname } from 'node:os'
import { batchRoutes } from './api/ampersand/batches.ts'
import { bulkRoutes } from './api/ampersand/bulk.ts'
import { laneRoutes } from './api/ampersand/lanes.ts'
import type { WritePort } from './api/ampersand/make-write.ts'
import { operateRoutes } from './api/ampersand/operate.ts'
import { operationListRoutes } from './api/ampersand/operation-lists.ts'
import { operationRoutes } from './api/ampersand/operations.ts'
import { promoteRoutes } from './api/ampersand/promote.ts'
import { writeRoutes } from './api/ampersand/write.ts'
import { callersWriteRoutes } from './api/compat/callers-writes.ts'
import { engagementRoutes } from './api/compat/engagement.ts'
import { floqerUpsertRoutes } from './api/compat/floqer-upsert.ts'
import { recordsRoutes } from './api/compat/records.ts'
import { createServer } from './api/server.ts'
import { createSendNow } from './batcher/send-now.ts'
import { startWorker, type Worker } from './batcher/worker.ts'
import { createCipher, keyIdOf, keysById, type Cipher } from './connections/cipher.ts'
import { removeOldLinks } from './connections/connect-links.ts'
import { createDirectory, type Directory } from './connections/directory.ts'
import { reportMissingKeys } from './connections/reencrypt.ts'
import { createSetup, type SetupHooks } from './connections/setup.ts'
import { connect, type Sql } from './db/connect.ts'
import { isDatabaseUnavailable } from './db/pg-errors.ts'
import { startOutcomeWaiter, type OutcomeWaiter } from './ingest/await-outcome.ts'
import type { Submission } from './ingest/accept.ts'
import { createIdempotency } from './ingest/idempotency.ts'
import { startIngest, type Ingest } from './ingest/ingest.ts'
import { systemClock, type Clock } from './kernel/clock.ts'
import { newId } from './kernel/ids.ts'
import { messageOf } from './kernel/errors.ts'
import type { Logger } from './kernel/log.ts'
import { stopPart } from './kernel/stop-part.ts'
import type { Metrics } from './metrics/metrics.ts'
import { DEFAULT_LEASE_SECONDS } from './model/lease.ts'
import { defaultCallSettings } from './model/object-entry.ts'
import { removeOldNotifications } from './notify/remove-old.ts'
import { endDeleted } from './queue/end-deleted.ts'
import { createFollowing } from './queue/following.ts'
import { createOperate } from './queue/operate.ts'
import { readByHand } from './queue/read-by-hand.ts'
import { createOperationReads, readAttempts, readOpenBatches, readOperation } from './queue/read.ts'
import { resumeLanesOfConnection } from './queue/resume-lanes.ts'
import { keepRetention } from './queue/retention.ts'
import { startWakeups, type Wakeups } from './wakeups/wakeups.ts'
import { wireActions, type OrgSessions } from './wire-actions.ts'
import { wireConnect } from './wire-connect.ts'
import { wireHealth } from './wire-health.ts'
import { wireNotifications, type Notifying } from './wire-notifications.ts'
import { wireSessions } from './wire-sessions.ts'

/** What a process of the service is started with; see the configuration for the meaning of each. */
export interface AppOptions {
  role: 'all' | 'api' | 'worker'
  host: string
  port: number
  /** Where browsers reach the service; where it listens when absent. */
  publicUrl?: string | null
  /** A database whose migrations are applied. */
  databaseUrl: string
  adminKey: string | null
  /** 32 bytes. */
  encryptionKey: Buffer
  /** Earlier keys that can still decrypt. */
  oldEncryptionKeys?: Buffer[] | null
  /** Days that finished writes are kept; without it nothing is removed, and no partitions are made. */
  retentionDays?: number
  allowInsecureProviders: boolean
  maxWaiting: number
  groupConcurrency: number
  workerSlots: number
  sweepMs: number
  /** Seconds without a sign of life after which what a process holds is taken from it. Default 30. */
  leaseSeconds?: number
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
/** Milliseconds after that time in which a part must have ended. */
const LATE_MS = 5_000
/** Milliseconds before the end of that time at which synchronous calls are cut off, so that they can still be answered. */
const ANSWER_MS = 1_000

const keysOf = ({ encryptionKey, oldEncryptionKeys }: AppOptions): Map<string, Buffer> =>
  keysById(encryptionKey, ...(oldEncryptionKeys ?? []))

const cipherOf = (options: AppOptions): Cipher =>
  createCipher({ keys: keysOf(options), current: keyIdOf(options.encryptionKey) })

const leaseOf = ({ leaseSeconds }: AppOptions): number => leaseSeconds ?? DEFAULT_LEASE_SECONDS

/** Ends one part of the process. */
type Stop = () => Promise<unknown>

/** Wires the floors together and starts them: the only place that knows them all. */
export async function startApp(options: AppOptions): Promise<App> {
  const clock = options.clock ?? systemClock
  const floors: Floors = { options, clock, stops: [], listening: { url: '' }, drainMs: DRAIN_MS }
  // Last started, first stopped; one that fails does not keep the others running.
  const stopAll = async (): Promise<void> => {
    for (const stop of floors.stops.splice(0).reverse()) await stopPart(stop, boundsOf(floors))
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

/** What a part may take that was to be done in time. */
const boundsOf = ({ options: { logger }, drainMs }: Pick<Floors, 'options' | 'drainMs'>) => ({
  logger,
  withinMs: drainMs + LATE_MS,
})

async function start(floors: Floors): Promise<string> {
  const { options, clock, stops } = floors
  const { logger, role, databaseUrl: url, retentionDays } = options
  const name = `writeback-${role}`
  const sql = connect({ url, max: options.databasePool, applicationName: name })
  const serial = connect({ url, max: 2, applicationName: `${name}-pgboss` })
  stops.push(() => Promise.all([sql.end({ timeout: 5 }), serial.end({ timeout: 5 })]))
  const wakeups = await startWakeups({
    sql,
    serial,
    logger,
    groupConcurrency: options.groupConcurrency,
    leaseSeconds: leaseOf(options),
    worker: role !== 'api',
    ...(retentionDays === undefined
      ? {}
      : {
          housekeeping: async (signal) => {
            await keepRetention({ sql, logger, days: retentionDays }, signal)
            await removeOldNotifications(sql, signal)
            await removeOldLinks(sql)
          },
        }),
  })
  stops.push(() => wakeups.stop())
  await reportMissingKeys(sql, [...keysOf(options).keys()], logger)
  const directory = createDirectory(sql, { adminKey: options.adminKey, logger, clock })
  await directory.start()
  stops.push(() => directory.stop())

  const { metrics, port: health } = await wireHealth({ ...options, sql, clock })
  const sessions = await wireSessions({
    ...{ sql, directory, logger, cipher: cipherOf(options), leaseSeconds: leaseOf(options) },
    allowInsecure: options.allowInsecureProviders,
    telemetry: metrics.telemetry,
    resume: (connectionId) => resume({ sql, wakeups }, connectionId),
  })
  stops.push(() => sessions.stop())
  const notifying = await wireNotifications({
    ...{ sql, clock, logger, cipher: cipherOf(options), keyIds: [...keysOf(options).keys()] },
    telemetry: metrics.telemetry,
    allowInsecure: options.allowInsecureProviders,
  })
  stops.push(() => notifying.stop(0))
  const parts: Parts = { ...floors, sql, wakeups, directory, metrics, sessions, notifying }
  const api = role === 'worker' ? null : await startTaking(parts)
  const worker = role === 'api' ? null : startWorking(parts)
  if (role !== 'api') await notifying.start()
  metrics.watch({
    ...(worker !== null && { lanesInWork: () => worker.active, deliveriesUnderWay: () => notifying.active }),
    ...(api !== null && {
      commitsPending: () => api.ingest.pending,
      synchronousCalls: () => api.sendNow.active,
      openWaits: () => api.waiter.open,
    }),
  })
  const server = createServer({
    logger,
    clock,
    telemetry: metrics.telemetry,
    isDatabaseUnavailable,
    version: options.version,
    health,
    api,
  })
  const stopServing = async (): Promise<void> => {
    // Those who wait for an outcome get the state as it is; a client that never finishes is cut off in time.
    await api?.waiter.stop()
    const answerMs = Math.max(0, floors.drainMs - ANSWER_MS)
    const cancels = [
      clock.after(answerMs, () => api?.endBulk()),
      clock.after(answerMs, () => api?.cutReads()),
      clock.after(floors.drainMs, () => server.server.closeAllConnections()),
    ]
    await Promise.all([server.close(), api?.sendNow.stop(answerMs)])
    for (const cancel of cancels) cancel()
    await api?.ingest.stop()
  }
  // Side by side: neither may use up the other's time.
  stops.push(() =>
    Promise.all([
      stopPart(stopServing, boundsOf(floors)),
      stopPart(() => worker?.stop(floors.drainMs) ?? Promise.resolve(), boundsOf(floors)),
      stopPart(() => notifying.stop(floors.drainMs), boundsOf(floors)),
    ]),
  )
  const address = await server.listen({ host: options.host, port: options.port })
  floors.listening.url = address
  logger.info({ url: address, role }, 'listening')
  return address
}

/** What a process is started with and how it is stopped. */
interface Floors {
  options: AppOptions
  clock: Clock
  stops: Stop[]
  /** Where the process listens, as soon as it does. */
  listening: { url: string }
  /** Milliseconds that a stop may take before what is in flight is cut off. */
  drainMs: number
}

/** The same with the lower floors at hand. */
interface Parts extends Floors {
  sql: Sql
  wakeups: Wakeups
  directory: Directory
  metrics: Metrics
  sessions: OrgSessions
  notifying: Notifying
}

/** What making provider calls needs, whoever makes them. */
const callerOf = ({ options, clock, sql, directory, metrics, sessions }: Parts) => ({
  sql,
  sessions,
  settingsOf: async (installationId: string) =>
    (await directory.installationById(installationId))?.calls ?? defaultCallSettings,
  clock,
  logger: options.logger,
  worker: `${hostname()}/${process.pid}/${newId().slice(-6)}`,
  callTimeoutMs: options.providerTimeoutMs,
  leaseSeconds: leaseOf(options),
  maxConcurrency: options.groupConcurrency,
  random: Math.random,
  telemetry: metrics.telemetry,
})

const startWorking = (parts: Parts): Worker =>
  startWorker({
    ...callerOf(parts),
    wakeups: parts.wakeups,
    slots: parts.options.workerSlots,
    sweepIntervalMs: parts.options.sweepMs,
  })

/** Wakes what was put off for want of a working connection. Every process does: the second finds nothing left. */
const resume = ({ sql, wakeups }: Pick<Parts, 'sql' | 'wakeups'>, connectionId: string): Promise<void> =>
  sql.begin(async (tx) => wakeups.nudge(tx, await resumeLanesOfConnection(tx, connectionId)))

/** Transactions in which the deletion of an installation ends what waits before it answers; workers end the rest. */
const END_CHUNKS = 10

/** What a change of the set-up means for the other floors. */
const setupHooks = ({ options, sql, wakeups, directory, metrics }: Parts): SetupHooks => {
  // The change is made: what follows of it may come late, but is no reason to say that it failed.
  const after = (what: string, work: Promise<unknown>): Promise<void> =>
    work.then(
      () => undefined,
      (error: unknown) => options.logger.warn({ error: messageOf(error) }, what),
    )
  return {
    changed: () => directory.expire(),
    reconnected: (connectionId) =>
      after('what waited for another connection was not woken', resume({ sql, wakeups }, connectionId)),
    endWaiting: (installationId) =>
      after(
        'what waited for a deleted installation is left to the sweeps',
        endDeleted(sql, installationId, END_CHUNKS, metrics.telemetry),
      ),
  }
}

async function startTaking(parts: Parts) {
  const { options, clock, sql, wakeups, directory } = parts
  const { logger } = options
  const { telemetry } = parts.metrics
  const idempotency = createIdempotency(sql, logger, telemetry)
  const ingest: Ingest = startIngest({
    sql,
    nudge: wakeups.nudge,
    clock,
    logger,
    telemetry,
    idempotency,
    maxWaiting: options.maxWaiting,
  })
  const waiter: OutcomeWaiter = await startOutcomeWaiter({ sql, clock, logger })
  const sendNow = createSendNow({ ...callerOf(parts), nudge: wakeups.nudge, waiter })
  const setup = createSetup(sql, cipherOf(options), logger, setupHooks(parts))
  const accepting = {
    checkRoom: () => ingest.checkRoom(),
    submit: (submission: Submission) => ingest.submit(submission),
    installation: (integrationId: string, groupRef: string) =>
      directory.installation(integrationId, groupRef),
    idempotency,
    now: () => clock.now(),
  }
  const following = {
    ...createFollowing({ sql, nudge: wakeups.nudge }),
    installation: (integrationId: string, id: string) => setup.getInstallation(integrationId, id),
  }
  const connecting = wireConnect({
    ...{ sql, clock, logger, telemetry, cipher: cipherOf(options) },
    allowInsecure: options.allowInsecureProviders,
    publicUrl: () => options.publicUrl ?? parts.listening.url,
    changed: () => directory.expire(),
  })
  parts.stops.push(() => connecting.close())
  const reading = wireActions({
    ...{ sessions: parts.sessions, clock, installation: accepting.installation },
    pace: { ...callerOf(parts), nudge: wakeups.nudge },
    callTimeoutMs: options.providerTimeoutMs,
  })
  const writing: WritePort = {
    ...accepting,
    sendNow: (submission, timeMs) => sendNow.send(submission, timeMs),
  }
  let isEnding = false
  return {
    ingest,
    sendNow,
    /** Refuses what bulk calls still bring: it could not be answered in time. */
    endBulk: () => {
      isEnding = true
    },
    cutReads: () => reading.actions.cut(),
    waiter,
    access: directory,
    setup,
    allowInsecureProviders: options.allowInsecureProviders,
    pages: connecting.pages,
    routes: [
      writeRoutes(writing),
      recordsRoutes(writing),
      floqerUpsertRoutes({ ...writing, instanceUrlOf: reading.actions.instanceUrlOf }),
      ...reading.routes,
      callersWriteRoutes(writing),
      engagementRoutes(writing),
      bulkRoutes({ ...accepting, isEnding: () => isEnding, logger }),
      operationRoutes({
        read: createOperationReads(sql),
        attempts: (writeIds) => readAttempts(sql, writeIds),
        openBatches: (batchIds) => readOpenBatches(sql, batchIds),
        hands: (operationId) => readByHand(sql, operationId),
        wait: (id, ms) => waiter.wait(id, ms),
      }),
      operationListRoutes(following),
      batchRoutes(following),
      laneRoutes(following),
      operateRoutes({
        ...createOperate({ sql, nudge: wakeups.nudge, telemetry }),
        read: (projectId, id) => readOperation(sql, projectId, id),
      }),
      promoteRoutes(sendNow),
      parts.notifying.routes,
      connecting.routes,
    ],
  }
}
