import { mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { messageOf } from '../../kernel/errors.ts'
import { startSimulator, type Simulator } from '../../simulator/start.ts'
import { createClient, type Call } from './client.ts'
import type { Plan } from './plan.ts'
import { removeDataFolder, startServiceProcess, type ServiceProcess } from './service-process.ts'
import { createTenant, type Tenant } from './tenant.ts'

/** Everything that the demo runs on. */
export interface Parts {
  service: ServiceProcess
  simulator: Simulator
  tenant: Tenant
  /** Calls the service with the tenant's key. */
  call: Call
  /** Ids of the plan's held records, by their place. */
  heldIds: string[]
  dataDir: string
  adminKeyFile: string
}

/** Options of {@link startParts}. */
export interface PartsOptions {
  plan: Plan
  seed: number
  /** Whether the data folder stays after the end. */
  keep: boolean
  /** Ends every call to the service, and the wait for its start. */
  signal: AbortSignal
  /** Called when the service has ended, with an error that says how. */
  onLost: (error: Error) => void
}

/** What was started, in order; ended in the opposite one, however far the start came. */
export class Stops {
  readonly #stops: (() => Promise<unknown>)[] = []

  add(stop: () => Promise<unknown>): void {
    this.#stops.push(stop)
  }

  /** Ends everything, also when something does not end well; tells what did not. */
  async run(report: (message: string) => void): Promise<void> {
    for (const stop of this.#stops.splice(0).reverse())
      await stop().catch((error: unknown) => report(`could not clean up: ${messageOf(error)}`))
  }
}

/**
 * Starts the service with its own PostgreSQL in a process of its own, and the org in this one. The org
 * answers over HTTP all the same; here it can be asked for its records directly, and its share of the
 * work is a few milliseconds for each group.
 *
 * @param stops gets what has to be ended, from the first part on
 * @throws {Error} one line
 */
export async function startParts(options: PartsOptions, stops: Stops): Promise<Parts> {
  const { plan, seed, signal } = options
  const dataDir = await mkdtemp(join(tmpdir(), 'writeback-demo-'))
  if (!options.keep) stops.add(() => removeDataFolder(dataDir))
  const simulator = await startSimulator({ seed })
  stops.add(() => simulator.close())
  const heldIds = plan.held.map(({ object, values }) => simulator.org.create(object, values))
  const service = await startServiceProcess({ dataDir, signal, onEnd: options.onLost })
  stops.add(() => service.stop())
  const adminKeyFile = join(dataDir, 'admin-key')
  const adminKey = (await readFile(adminKeyFile, 'utf8')).trim()
  const client = createClient(service.url, signal)
  stops.add(() => {
    client.close()
    return Promise.resolve()
  })
  const tenant = await createTenant(client.as(adminKey), simulator.url)
  const call = client.as(tenant.key)
  return { service, simulator, tenant, call, heldIds, dataDir, adminKeyFile }
}

/** What is needed to go on by hand. */
export function keptLines({ service, simulator, tenant, dataDir, adminKeyFile }: Parts): string[] {
  const project = `${service.url}/v1/projects/${tenant.projectId}`
  const body = {
    groupRef: tenant.groupRef,
    type: 'create',
    mode: 'asynchronous',
    record: { LastName: 'Ngata', Email: 'ngata@example.com' },
    autoBatchPolicy: { maxDelaySeconds: 1 },
  }
  return [
    'Everything is still up, until Ctrl-C:',
    `  service       ${service.url}  (${service.url}/openapi.json)`,
    `  org           ${simulator.url}  (${simulator.url}/__admin/state)`,
    `  data folder   ${dataDir}  (service.log, PostgreSQL; it stays)`,
    `  admin key     in ${adminKeyFile}`,
    `  project key   ${tenant.key}`,
    `  project       ${tenant.projectId}`,
    `  integration   ${tenant.integrationId}`,
    `  installation  ${tenant.installationId}  (groupRef ${tenant.groupRef})`,
    '',
    'Another write, and what became of it:',
    '',
    `curl -s -X POST ${project}/integrations/${tenant.integrationId}/objects/Contact \\`,
    `  -H 'x-api-key: ${tenant.key}' -H 'content-type: application/json' \\`,
    `  -d '${JSON.stringify(body)}'`,
    `curl -s '${project}/operations/OPERATION_ID?wait=10' -H 'x-api-key: ${tenant.key}'`,
    '',
  ]
}
