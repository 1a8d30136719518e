import type { FastifyInstance } from 'fastify'
import { Alive, MetricsText, Ready } from '../contract/health.ts'
import { WritebackError } from '../kernel/errors.ts'
import { problemAnswer, problems, withoutKey } from './openapi.ts'

/** What the health routes ask. */
export interface HealthPort {
  /** Resolves when the process can serve: the database answers, nothing is shutting down. */
  ping(): Promise<unknown>
  /** The metrics in Prometheus' text format. */
  metricsText(): string | Promise<string>
}

/** Milliseconds after which an unanswered ping counts as failed; a probe must not hang with the database. */
const PING_TIMEOUT_MS = 2_000

async function pingInTime(port: HealthPort, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer in time')), timeoutMs)
  })
  try {
    await Promise.race([port.ping(), late])
  } finally {
    clearTimeout(timer)
  }
}

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
    try {
      await pingInTime(port, PING_TIMEOUT_MS)
    } catch (cause) {
      throw new WritebackError('DATABASE_UNAVAILABLE', 'This process cannot serve right now.', {
        remedy: 'Ask again a little later.',
        retryAfter: 2,
        cause,
      })
    }
    return { status: 'ready' }
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
