import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { join } from 'node:path'
import { createClient, type Call, type Client } from '../../src/cli/demo/client.ts'
import type { Stops } from '../../src/cli/demo/parts.ts'
import { removeDataFolder } from '../../src/cli/demo/service-process.ts'
import { addCustomer, createProject, type Tenant } from '../../src/cli/demo/tenant.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import { startSimulator, type Simulator } from '../../src/simulator/start.ts'
import { startDatabase, type KillableDatabase } from './database.ts'
import { groupRefs, keyedObjects, objects, type Load } from './plan-load.ts'
import type { Target } from './plan-kills.ts'
import { Supervised, type OwnEnd } from './supervised.ts'

/** Seconds that a call to the org may take: short, so that a request that is never answered is no long wait. */
const PROVIDER_TIMEOUT_SECONDS = 8
/** Milliseconds that everything may take to be up again. */
const UP_MS = 120_000

/** The project that everything is written in. */
export type Project = Pick<Tenant, 'projectId' | 'integrationId' | 'key'>

/** All that a run works with. */
export interface Parts {
  simulator: Simulator
  database: KillableDatabase
  processes: ReadonlyMap<Target, Supervised>
  project: Project
  /** Ids of the held records, by the names of their subjects. */
  ids: Map<string, string>
  parentIds: string[]
  /** Calls, with the project's key, a process that is up, this one if it is; null when none is. */
  api: (preferred: number) => Call | null
  /** Resolves when every process and the database are up. */
  allUp: () => Promise<void>
}

/** Options of {@link startParts}. */
export interface PartsOptions {
  seed: number
  leaseSeconds: number
  load: Load
  /** Where the logs go, and the database's folder. */
  folder: string
  /** Ends every call. */
  signal: AbortSignal
  onOwnEnd: (end: OwnEnd) => void
}

/** Starts the org in this process, and PostgreSQL, two API processes and two workers in their own. */
export async function startParts(options: PartsOptions, stops: Stops): Promise<Parts> {
  const { seed, load, folder, signal } = options
  const simulator = await startSimulator({ seed })
  stops.add(() => simulator.close())
  const dataDir = join(folder, 'data')
  stops.add(() => removeDataFolder(dataDir))
  const database = await startDatabase(dataDir, silentLogger)
  stops.add(() => database.stop())
  const adminKey = randomBytes(24).toString('base64url')
  const addresses = new Addresses(signal)
  const processes = startProcesses(options, addresses, database.outages, {
    DATABASE_URL: database.url,
    WRITEBACK_ADMIN_KEY: adminKey,
    WRITEBACK_ENCRYPTION_KEY: randomBytes(32).toString('base64'),
    WRITEBACK_INSECURE_PROVIDERS: 'true',
    WRITEBACK_LEASE_SECONDS: String(options.leaseSeconds),
    WRITEBACK_PROVIDER_TIMEOUT_SECONDS: String(PROVIDER_TIMEOUT_SECONDS),
    WRITEBACK_DB_POOL: '8',
  })
  stops.add(() => Promise.all([...processes.values()].map((one) => one.stop())))
  await addresses.allUp([...processes.keys()])
  const admin = addresses.client(0, adminKey)
  const project = await createProject(admin)
  for (const groupRef of groupRefs)
    await addCustomer(admin, project, { groupRef, orgUrl: simulator.url, write: writeSettings })
  const create = ({ subject, values }: Load['held'][number]): [string, string] => [
    subject.name,
    simulator.org.create(subject.object, values),
  ]
  const ids = new Map(load.held.map(create))
  return {
    simulator,
    database,
    processes,
    project,
    ids,
    parentIds: load.parents.map(({ name }) => ids.get(name) ?? ''),
    api: (preferred) => addresses.clientOrNull(preferred, project.key),
    allUp: async () => {
      await database.up()
      await addresses.allUp([...processes.keys()])
    },
  }
}

/** Everything may be deleted; creates of some objects carry a key. */
const writeSettings = {
  objects: Object.fromEntries(
    objects.map((objectName) => [
      objectName,
      {
        objectName,
        deletionSettings: { enabled: true },
        ...(keyedObjects.includes(objectName) ? { idempotencyField: 'Write_Id__c' } : {}),
      },
    ]),
  ),
}

function startProcesses(
  { folder, onOwnEnd }: PartsOptions,
  addresses: Addresses,
  outages: KillableDatabase['outages'],
  env: Record<string, string>,
): Map<Target, Supervised> {
  const names = ['api-1', 'api-2', 'worker-1', 'worker-2'] as const
  return new Map(
    names.map((name) => [
      name,
      new Supervised({
        name,
        env: { ...env, WRITEBACK_ROLE: name.startsWith('api') ? 'api' : 'worker' },
        logFile: join(folder, `${name}.log`),
        onUrl: (url) => addresses.set(name, url),
        outages,
        onOwnEnd,
      }),
    ]),
  )
}

const apis: readonly Target[] = ['api-1', 'api-2']

/** Where the processes listen at present, and clients of them. */
class Addresses {
  readonly #clients = new Map<Target, Client>()
  readonly #signal: AbortSignal

  constructor(signal: AbortSignal) {
    this.#signal = signal
  }

  set(name: Target, url: string | null): void {
    this.#clients.get(name)?.close()
    if (url === null) this.#clients.delete(name)
    else this.#clients.set(name, createClient(url, this.#signal))
  }

  clientOrNull(preferred: number, key: string): Call | null {
    const client = [preferred, 1 - preferred].map((place) => this.#clients.get(apis[place] ?? 'api-1'))
    return client.find((one) => one !== undefined)?.as(key) ?? null
  }

  client(preferred: number, key: string): Call {
    const call = this.clientOrNull(preferred, key)
    if (call === null) throw new Error('no API process is up')
    return call
  }

  async allUp(names: readonly Target[]): Promise<void> {
    const until = performance.now() + UP_MS
    while (names.some((name) => !this.#clients.has(name))) {
      if (performance.now() > until) {
        const missing = names.filter((name) => !this.#clients.has(name))
        throw new Error(`not up after ${UP_MS / 1000} s: ${missing.join(', ')}`)
      }
      await delay(100, undefined, { signal: this.#signal })
    }
  }
}
