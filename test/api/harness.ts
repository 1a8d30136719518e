import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import type { FastifyInstance, FastifyPluginAsync, InjectOptions, LightMyRequestResponse } from 'fastify'
import type { DatabaseLook } from '../../src/api/health.ts'
import { createServer } from '../../src/api/server.ts'
import { createCipher, keyIdOf, keysById } from '../../src/connections/cipher.ts'
import { createDirectory } from '../../src/connections/directory.ts'
import { createSetup } from '../../src/connections/setup.ts'
import type { Sql } from '../../src/db/connect.ts'
import { isDatabaseUnavailable } from '../../src/db/pg-errors.ts'
import type { Logger } from '../../src/kernel/log.ts'
import { createTestDatabase } from '../support/database.ts'

export const ADMIN_KEY = 'the-operator-key'

/** A logger that keeps every line as text, whatever its level. */
export function keepingLogger(): { logger: Logger; lines: string[] } {
  const lines: string[] = []
  const inner = (_: string, value: unknown): unknown =>
    value instanceof Error ? { ...Object.fromEntries(Object.entries(value)), text: inspect(value) } : value
  const keep =
    (level: string) =>
    (...args: unknown[]): void =>
      void lines.push(JSON.stringify([level, ...args], inner))
  const logger = Object.fromEntries(
    ['debug', 'info', 'warn', 'error', 'fatal'].map((level) => [level, keep(level)]),
  ) as unknown as Logger
  return { logger, lines }
}

export interface HarnessOptions {
  allowInsecureProviders?: boolean
  routes?: FastifyPluginAsync[]
  ping?: () => Promise<unknown>
  /** What readiness finds in the database; by default all is well. */
  look?: () => DatabaseLook
  timeouts?: { headers?: number; request?: number; checked?: number }
}

/** What a call is made with. */
export interface Call {
  key?: string | null
  body?: unknown
  headers?: Record<string, string>
}

export interface Harness {
  app: FastifyInstance
  sql: Sql
  /** Of its database. */
  url: string
  lines: string[]
  /** Calls with the admin key unless told otherwise; a body that is not text goes as JSON. */
  call: (method: InjectOptions['method'], url: string, options?: Call) => Promise<LightMyRequestResponse>
  close: () => Promise<void>
}

/** The whole HTTP floor on a database of its own. */
export async function startHarness(options: HarnessOptions = {}): Promise<Harness> {
  const database = await createTestDatabase()
  const { sql } = database
  const key = randomBytes(32)
  const cipher = createCipher({ keys: keysById(key), current: keyIdOf(key) })
  const { logger, lines } = keepingLogger()
  const directory = createDirectory(sql, { adminKey: ADMIN_KEY, logger })
  const app = createServer({
    logger,
    isDatabaseUnavailable,
    version: '0.0.0',
    health: {
      look: async () => {
        await (options.ping ?? (() => sql`select 1`))()
        return options.look?.() ?? { missingMigrations: [], workers: { alive: 1, lastSeenAt: new Date(0) } }
      },
      metricsText: () => 'up 1\n',
    },
    api: {
      access: directory,
      setup: createSetup(sql, cipher, logger, { changed: () => directory.expire() }),
      allowInsecureProviders: options.allowInsecureProviders ?? false,
      routes: options.routes ?? [],
    },
    ...(options.timeouts && { timeouts: options.timeouts }),
  })
  await app.ready()
  return {
    app,
    sql,
    url: database.url,
    lines,
    call: (method = 'GET', url, { key: given = ADMIN_KEY, body, headers = {} } = {}) =>
      app.inject({
        method,
        url,
        headers: {
          ...(given !== null && { 'x-api-key': given }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body !== undefined && { payload: typeof body === 'string' ? body : JSON.stringify(body) }),
      }),
    close: async () => {
      await app.close()
      await database.drop()
    },
  }
}

/** The body of an answer that holds an object. */
export const jsonOf = (answer: LightMyRequestResponse): Record<string, unknown> => answer.json()

/** Issues of a problem as `path message` lines. */
export const issuesOf = (answer: LightMyRequestResponse): string[] =>
  ((jsonOf(answer).issues ?? []) as { path: string; message: string }[])
    .map(({ path, message }) => `${path} ${message}`)
    .sort()
