import type { FastifyInstance } from 'fastify'
import { Alive, MetricsText, Ready } from '../contract/health.ts'
import { WritebackError } from '../kernel/errors.ts'
import { problemAnswer, problems, withoutKey } from './openapi.ts'

/** What the health routes ask. */
export interface HealthPort {
  /** What the database says of its own state and of the workers; rejects when it does not answer. */
  look(): Promise<DatabaseLook>
  /** The metrics in Prometheus' text format. */
  metricsText(): string | Promise<string>
}

/** What readiness depends on. */
export interface DatabaseLook {
  /** Migrations that this release needs and the database does not have. */
  missingMigrations: string[]
  /** Processes that send queued writes: how many were seen lately, and when any was seen last. */
  workers: { alive: number; lastSeenAt: Date | null }
}

/** Milliseconds after which an unanswered look counts as failed; a probe must not hang with the database. */
const LOOK_TIMEOUT_MS = 2_000

async function lookInTime(port: HealthPort, timeoutMs: number): Promise<DatabaseLook> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer in time')), timeoutMs)
  })
  try {
    return await Promise.race([port.look(), late])
  } finally {
    clearTimeout(timer)
  }
}

const notReady = (detail: string, remedy: string, cause?: unknown): WritebackError =>
  new WritebackError('DATABASE_UNAVAILABLE', detail, { remedy, retryAfter: 2, cause })

/**
 * Without a worker the process is ready all the same: what it accepts is safe and waits. To take it out of the
 * load balancer for that would make an outage of a delay.
 */
const workersOf = ({ alive, lastSeenAt }: DatabaseLook['workers']) => ({
  status: alive > 0 ? 'seen' : 'missing',
  alive,
  ...(lastSeenAt === null ? {} : { lastSeenTime: lastSeenAt.toISOString() }),
})

const open = { tags: ['health'], ...withoutKey }

/** `/healthz`, `/readyz` and `/metrics`, for every role; no key needed (contract section 7). */
export function healthRoutes(app: FastifyInstance, port: HealthPort): void {
  const alive = { ...open, summary: 'Liveness', response: { 200: Alive, ...problems } }
  app.get('/healthz', { schema: alive }, () => ({ status: 'ok' }))

  const ready = {
    ...open,
    summary: 'Readiness; 503 with the database down',
    response: {
      200: Ready,
      503: problemAnswer('The process cannot serve now; `Retry-After` says when to ask again.'),
      ...problems,
    },
  }
  app.get('/readyz', { schema: ready }, async () => {
    const { missingMigrations, workers } = await lookInTime(port, LOOK_TIMEOUT_MS).catch((cause: unknown) => {
      throw notReady('This process cannot serve right now.', 'Ask again a little later.', cause)
    })
    if (missingMigrations.length > 0) {
      const names = missingMigrations.join(', ')
      throw notReady(`The database lacks migrations: ${names}.`, 'Run `writeback migrate`.')
    }
    return { status: 'ready', migrations: 'applied', workers: workersOf(workers) }
  })

  const metrics = {
    ...open,
    summary: "Metrics, in Prometheus' text format",
    response: {
      200: { description: 'The metrics.', content: { 'text/plain': { schema: MetricsText } } },
      ...problems,
    },
  }
  app.get('/metrics', { schema: metrics }, async (_, reply) => {
    reply.type('text/plain; version=0.0.4; charset=utf-8')
    return port.metricsText()
  })
}
