import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { createClient, type Call } from '../../src/cli/demo/client.ts'
import { writePath } from '../../src/cli/demo/post.ts'
import { addCustomer, createProject, type Tenant } from '../../src/cli/demo/tenant.ts'
import { startServe } from '../chaos/serve-process.ts'
import type { Bench } from '../harness/bench.ts'
import { stopper } from './child.ts'
import type { OwnDatabase } from './database.ts'
import type { WriteTarget } from './writes.ts'

/** A process of the service. */
export interface ServiceProcess {
  url: string
  pid: number
  stop: () => Promise<void>
}

/** The service on a database of its own, with a project that any number of customers can be added to. */
export interface Ours {
  database: OwnDatabase
  project: Pick<Tenant, 'projectId' | 'integrationId' | 'key'>
  /** The first process, which takes calls. */
  first: ServiceProcess
  /** Calls with the project's key. */
  call: Call
  /** Starts another process on the same database. */
  start: (role: Role) => Promise<ServiceProcess>
  /** Adds a customer whose org is there; where its writes go to, and its installation. */
  addCustomer: (groupRef: string, orgUrl: string) => Promise<Customer>
}

export type Role = 'all' | 'api' | 'worker'

/** A customer of the project. */
export interface Customer {
  installationId: string
  target: WriteTarget
}

/** Starts the service with its default settings; it ends with the question. */
export async function startOurs(
  bench: Bench,
  role: Exclude<Role, 'worker'>,
  settings: Record<string, string> = {},
): Promise<Ours> {
  const database = await bench.server.create('ours')
  bench.stops.add(database.drop)
  const adminKey = randomBytes(24).toString('base64url')
  const env = {
    DATABASE_URL: database.url,
    WRITEBACK_ADMIN_KEY: adminKey,
    WRITEBACK_ENCRYPTION_KEY: randomBytes(32).toString('base64'),
    WRITEBACK_INSECURE_PROVIDERS: 'true',
    ...settings,
  }
  const start = (own: Role): Promise<ServiceProcess> => startProcess(bench, { ...env, WRITEBACK_ROLE: own })
  const first = await start(role)
  const client = createClient(first.url, bench.signal)
  bench.stops.add(() => {
    client.close()
    return Promise.resolve()
  })
  const admin = client.as(adminKey)
  const project = await createProject(admin)
  return {
    database,
    project,
    first,
    call: client.as(project.key),
    start,
    addCustomer: async (groupRef, orgUrl) => ({
      installationId: await addCustomer(admin, project, { groupRef, orgUrl, write: {} }),
      target: {
        url: first.url,
        pathOf: (object) => writePath(project, object),
        headers: { 'x-api-key': project.key },
        groupRef,
      },
    }),
  }
}

async function startProcess(bench: Bench, env: Record<string, string>): Promise<ServiceProcess> {
  const { child, url, ended } = startServe({ env, logFile: join(bench.folder, 'service.log') })
  const stop = stopper(child, ended)
  bench.stops.add(stop)
  return { url: await url, pid: child.pid ?? 0, stop }
}
