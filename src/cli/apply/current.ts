import type { ApiKey } from '../../contract/api-keys.ts'
import type { Connection } from '../../contract/connections.ts'
import type { Destination } from '../../contract/destinations.ts'
import type { Installation } from '../../contract/installations.ts'
import type { Integration } from '../../contract/integrations.ts'
import { path, type Api } from '../api.ts'
import type { WantedProject } from './desired.ts'

/** An integration as it is there, with what is installed of it. */
export interface CurrentIntegration extends Integration {
  installations: Installation[]
}

/** A project as it is there; only what the files speak of is read. */
export interface CurrentProject {
  apiKeys: ApiKey[]
  connections: Connection[]
  integrations: CurrentIntegration[]
  destinations: Destination[]
}

/** Reads what is there of a project; null when it is not. */
export async function readCurrent(api: Api, wanted: WantedProject): Promise<CurrentProject | null> {
  const base = path`/v1/projects/${wanted.name}`
  const { status } = await api.call('GET', base, { accept: [404] })
  if (status === 404) return null
  const list = <T>(section: unknown, name: string): Promise<T[]> =>
    section === null ? Promise.resolve([]) : api.all<T>(`${base}/${name}`)
  const integrations = await list<Integration>(wanted.integrations, 'integrations')
  const withInstallations: CurrentIntegration[] = []
  for (const integration of integrations) {
    const installations = await api.all<Installation>(`${base}/integrations/${integration.id}/installations`)
    withInstallations.push({ ...integration, installations })
  }
  // Installations are checked for their group's connection.
  const needsConnections = wanted.connections ?? wanted.integrations
  return {
    apiKeys: await list<ApiKey>(wanted.apiKeys, 'api-keys'),
    connections: await list<Connection>(needsConnections, 'connections'),
    destinations: await list<Destination>(wanted.destinations, 'destinations'),
    integrations: withInstallations,
  }
}

/** Whether the service has destinations: it describes its own calls. */
export async function hasDestinations(api: Api): Promise<boolean> {
  const { paths = {} } = await api.get<{ paths?: Record<string, unknown> }>('/openapi.json')
  return '/v1/projects/{project}/destinations' in paths
}
