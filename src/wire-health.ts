import type { HealthPort } from './api/health.ts'
import type { Sql } from './db/connect.ts'
import { readMigrations } from './db/migrate.ts'
import { findMissing } from './db/missing-migrations.ts'
import type { Clock } from './kernel/clock.ts'
import type { Logger } from './kernel/log.ts'
import { createMetrics, type Metrics } from './metrics/metrics.ts'
import { readOutbox } from './notify/read-outbox.ts'
import { createLoadReads } from './queue/read-load.ts'
import { readWorkers } from './queue/worker-seen.ts'

/** What a process's health is told from. */
export interface HealthParts {
  sql: Sql
  clock: Clock
  logger: Logger
  version: string
  role: string
  /** Milliseconds between two sweeps of a worker: it is seen at each. */
  sweepMs: number
}

/** A process's metrics and the answers of its health routes. */
export interface Health {
  metrics: Metrics
  port: HealthPort
}

/** Seconds after which a worker that has not been seen counts as missing. */
const seenSeconds = (sweepMs: number): number => Math.max(60, (3 * sweepMs) / 1000)

const noneSeen = { alive: 0, lastSeenAt: null }

/** Wires metrics and readiness to the database. */
export async function wireHealth({ sql, sweepMs, ...rest }: HealthParts): Promise<Health> {
  const workers = () => readWorkers(sql, seenSeconds(sweepMs))
  const queue = {
    ...createLoadReads(sql),
    workersAlive: async () => (await workers()).alive,
    outbox: () => readOutbox(sql),
  }
  const metrics = createMetrics({ ...rest, queue })
  const migrations = await readMigrations()
  const look = async () => {
    const missingMigrations = await findMissing(sql, migrations)
    // What the workers are seen by may be among them.
    return { missingMigrations, workers: missingMigrations.length > 0 ? noneSeen : await workers() }
  }
  return { metrics, port: { look, metricsText: () => metrics.text() } }
}
