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

/**
 * Sets up a tenant as a user would, by the service's own calls.
 * @param write the installation's `config.content.write`
 */
export async function createTenant(admin: Call, orgUrl: string, write: object = {}): Promise<Tenant> {
  const made = async (path: string, body: unknown): Promise<{ id: string; key?: string }> => {
    const answer = await admin('POST', path, body)
    if (answer.status !== 201) throw unexpected('POST', path, answer)
    return answer.body as { id: string; key?: string }
  }
  const groupRef = 'demo-customer'
  const project = await made('/v1/projects', { name: 'demo' })
  const base = `/v1/projects/${project.id}`
  const { key = '' } = await made(`${base}/api-keys`, { label: 'demo', scopes: ['write', 'read'] })
  const integration = await made(`${base}/integrations`, { name: 'crm', provider: 'salesforce' })
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
  const installation = await made(`${base}/integrations/${integration.id}/installations`, {
    groupRef,
    connectionId: connection.id,
    config: { content: { provider: 'salesforce', write } },
  })
  return {
    projectId: project.id,
    integrationId: integration.id,
    installationId: installation.id,
    groupRef,
    key,
  }
}
