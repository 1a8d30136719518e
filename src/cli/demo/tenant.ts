import { demoApp } from '../../simulator/start.ts'
import { unexpected, type Call } from './client.ts'

/** A project of its own with one installation on the org. */
export interface Tenant {
  projectId: string
  integrationId: string
  installationId: string
  groupRef: string
  /** The project's key: it may write and read. */
  key: string
}

const makerOf =
  (admin: Call) =>
  async (path: string, body: unknown): Promise<{ id: string; key?: string }> => {
    const answer = await admin('POST', path, body)
    if (answer.status !== 201) throw unexpected('POST', path, answer)
    return answer.body as { id: string; key?: string }
  }

/** Sets up a tenant as a user would, by the service's own calls. */
export async function createTenant(admin: Call, orgUrl: string): Promise<Tenant> {
  const project = await createProject(admin)
  const groupRef = 'demo-customer'
  const installationId = await addCustomer(admin, project, { groupRef, orgUrl, write: {} })
  return { ...project, groupRef, installationId }
}

/** A project with one integration, and a key that may write and read. */
export async function createProject(
  admin: Call,
): Promise<Pick<Tenant, 'projectId' | 'integrationId' | 'key'>> {
  const made = makerOf(admin)
  const project = await made('/v1/projects', { name: 'demo' })
  const base = `/v1/projects/${project.id}`
  const { key = '' } = await made(`${base}/api-keys`, { label: 'demo', scopes: ['write', 'read'] })
  const integration = await made(`${base}/integrations`, { name: 'crm', provider: 'salesforce' })
  return { projectId: project.id, integrationId: integration.id, key }
}

/** What a project's customer has: the org, and the installation's `config.content.write`. */
export interface Customer {
  groupRef: string
  orgUrl: string
  write: object
}

/** Adds a customer with a connection to the org; returns the installation's id. */
export async function addCustomer(
  admin: Call,
  { projectId, integrationId }: Pick<Tenant, 'projectId' | 'integrationId'>,
  { groupRef, orgUrl, write }: Customer,
): Promise<string> {
  const made = makerOf(admin)
  const base = `/v1/projects/${projectId}`
  const connection = await made(`${base}/connections`, {
    groupRef,
    provider: 'salesforce',
    credentials: {
      type: 'oauth2-client-credentials',
      clientId: demoApp.clientId,
      clientSecret: demoApp.clientSecret,
      loginUrl: orgUrl,
    },
  })
  const installation = await made(`${base}/integrations/${integrationId}/installations`, {
    groupRef,
    connectionId: connection.id,
    config: { content: { provider: 'salesforce', write } },
  })
  return installation.id
}
