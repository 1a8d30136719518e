import { randomBytes } from 'node:crypto'
import { startApp, type App, type AppOptions } from '../../src/app.ts'
import type { Operation } from '../../src/contract/operation.ts'
import { connect } from '../../src/db/connect.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import type { CallSettings } from '../../src/model/object-entry.ts'
import type { Packing } from '../../src/model/object-entry.ts'
import { startSimulator, type Simulator, type SimulatorOptions } from '../../src/simulator/start.ts'
import { migrateWakeups } from '../../src/wakeups/wakeups.ts'
import { createTestDatabase, type TestDatabase } from './database.ts'

/** The operator's key of every service under test. */
export const ADMIN_KEY = 'test-admin-key'

/** An HTTP answer, read whole. */
export interface Answer<T = unknown> {
  status: number
  headers: Headers
  body: T
}

/** Calls a service under test; `call('POST', '/v1/projects', {name})`. */
export type Call = <T = Record<string, unknown>>(
  method: string,
  path: string,
  body?: unknown,
  headers?: Record<string, string>,
) => Promise<Answer<T>>

export const caller =
  (url: string, key: string = ADMIN_KEY): Call =>
  async (method, path, body, headers = {}) => {
    const response = await fetch(url + path, {
      method,
      headers: {
        'x-api-key': key,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    return {
      status: response.status,
      headers: response.headers,
      body: (text === '' ? null : JSON.parse(text)) as never,
    }
  }

/** A database with everything in it that a process of the service expects. */
export async function createServiceDatabase(): Promise<TestDatabase> {
  const database = await createTestDatabase()
  const serial = connect({ url: database.url, max: 2 })
  await migrateWakeups(serial)
  await serial.end()
  return database
}

/** Options of a process under test: small, quick, and allowed to call the simulator. */
export const appOptions = (databaseUrl: string, part: Partial<AppOptions> = {}): AppOptions => ({
  role: 'all',
  host: '127.0.0.1',
  port: 0,
  databaseUrl,
  adminKey: ADMIN_KEY,
  encryptionKey: randomBytes(32),
  allowInsecureProviders: true,
  maxWaiting: 1_000_000,
  groupConcurrency: 4,
  workerSlots: 16,
  sweepMs: 500,
  databasePool: 5,
  providerTimeoutMs: 20_000,
  version: 'test',
  logger: silentLogger,
  ...part,
})

/** A project with one integration and one installation on the simulator. */
export interface Tenant {
  projectId: string
  integrationId: string
  installationId: string
  connectionId: string
  groupRef: string
  /** Calls with the project's own key, which may write and read. */
  call: Call
  /** Makes the write call with a body as it is, synchronous unless it says otherwise. */
  post: <T = Record<string, unknown>>(
    object: string,
    body: Record<string, unknown>,
    headers?: Record<string, string>,
  ) => Promise<Answer<T>>
  /** Posts one asynchronous write or batch; answers its operation's id, or throws what came instead. */
  write: (object: string, body: Record<string, unknown>) => Promise<string>
  /** The operation once it has ended, or after `wait` seconds. */
  operation: (id: string, wait?: number) => Promise<Operation>
}

let tenants = 0

/** How the tenant's calls are made, where not by default. */
export interface WriteSettings {
  packing?: Packing
  apiBudgetPercent?: number
}

/** Sets up a tenant by the service's own calls; `settings` are those of the installation's calls. */
export async function createTenant(
  url: string,
  simulatorUrl: string,
  objects?: Record<string, unknown>,
  settings: Partial<CallSettings> = {},
): Promise<Tenant> {
  const admin = caller(url)
  const made = async (path: string, body: unknown): Promise<Record<string, string>> => {
    const answer = await admin<Record<string, string>>('POST', path, body)
    if (answer.status !== 201) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return answer.body
  }
  tenants += 1
  const groupRef = `group-${tenants}`
  const project = await made('/v1/projects', { name: `project-${process.pid}-${tenants}-${Date.now()}` })
  const base = `/v1/projects/${project['id']!}`
  const { key } = await made(`${base}/api-keys`, { label: 'test', scopes: ['write', 'read'] })
  const integration = await made(`${base}/integrations`, { name: 'crm', provider: 'salesforce' })
  const connection = await made(`${base}/connections`, {
    groupRef,
    provider: 'salesforce',
    credentials: {
      type: 'oauth2-client-credentials',
      clientId: 'writeback-demo',
      clientSecret: 'demo-secret',
      loginUrl: simulatorUrl,
    },
  })
  const write = objects === undefined ? settings : { objects, ...settings }
  const installation = await made(`${base}/integrations/${integration['id']!}/installations`, {
    groupRef,
    connectionId: connection['id'],
    config: { content: { provider: 'salesforce', write } },
  })
  const call = caller(url, key)
  const post: Tenant['post'] = (object, body, headers) =>
    call(
      'POST',
      `${base}/integrations/${integration['id']!}/objects/${object}`,
      { groupRef, ...body },
      headers,
    )
  return {
    projectId: project['id']!,
    integrationId: integration['id']!,
    installationId: installation['id']!,
    connectionId: connection['id']!,
    groupRef,
    call,
    post,
    write: async (object, body) => {
      const answer = await post<{ operationId?: string }>(object, { mode: 'asynchronous', ...body })
      if (answer.status !== 200) throw new Error(`${answer.status} ${JSON.stringify(answer.body)}`)
      return answer.body.operationId!
    },
    operation: async (id, wait = 30) => {
      const answer = await call<Operation>(
        'GET',
        `${base}/operations/${id}${wait > 0 ? `?wait=${wait}` : ''}`,
      )
      if (answer.status !== 200) throw new Error(`${answer.status} ${JSON.stringify(answer.body)}`)
      return answer.body
    },
  }
}

/** A service under test with its database, its org and one tenant. */
export interface Service {
  database: TestDatabase
  simulator: Simulator
  app: App
  tenant: Tenant
  stop: () => Promise<void>
}

/** Starts one process of role `all` in this process, on a database and an org of its own. */
export async function startService(
  part: Partial<AppOptions> = {},
  simulatorOptions: SimulatorOptions = {},
  objects?: Record<string, unknown>,
  settings?: Partial<CallSettings>,
): Promise<Service> {
  const database = await createServiceDatabase()
  const simulator = await startSimulator(simulatorOptions)
  const app = await startApp(appOptions(database.url, part))
  const tenant = await createTenant(app.url, simulator.url, objects, settings)
  return {
    database,
    simulator,
    app,
    tenant,
    stop: async () => {
      await app.stop(5_000)
      await simulator.close()
      await database.drop()
    },
  }
}

/** Runs tasks with at most `width` at once; results in order. */
export async function concurrently<T, R>(
  items: T[],
  width: number,
  run: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length)
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < items.length) {
      const index = next
      next += 1
      results[index] = await run(items[index]!, index)
    }
  }
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, lane))
  return results
}
