import type { Sql } from '../db/connect.ts'
import { silentLogger, type Logger } from '../kernel/log.ts'
import type { Credentials } from '../model/credentials.ts'
import { createApiKey, getApiKey, listApiKeys, type ApiKeyRow, type Scope } from './api-keys.ts'
import type { Cipher } from './cipher.ts'
import {
  createConnection,
  getConnection,
  listConnections,
  renewConnection,
  type ConnectionRow,
} from './connections.ts'
import {
  createInstallation,
  getInstallation,
  listInstallations,
  type InstallationParent,
  type InstallationRow,
  type NewInstallation,
} from './installations.ts'
import { createIntegration, getIntegration, listIntegrations, type IntegrationRow } from './integrations.ts'
import type { Page, PageRequest } from './page.ts'
import { createProject, getProject, listProjects, type ProjectRow } from './projects.ts'

/** Who changes something, for the log. */
export interface ChangedBy {
  /** Id of the project key, or `admin`. */
  key: string
  requestId: string
}

/** The calls that set up who may write where (contract section 4). A `get` answers null for what is not there. */
export interface Setup {
  createProject(input: { name: string }): Promise<ProjectRow>
  getProject(id: string): Promise<ProjectRow | null>
  listProjects(page: PageRequest): Promise<Page<ProjectRow>>
  createApiKey(
    projectId: string,
    input: { label: string; scopes: Scope[] },
  ): Promise<ApiKeyRow & { key: string }>
  getApiKey(projectId: string, id: string): Promise<ApiKeyRow | null>
  listApiKeys(projectId: string, page: PageRequest): Promise<Page<ApiKeyRow>>
  createIntegration(projectId: string, input: { name: string; provider: string }): Promise<IntegrationRow>
  getIntegration(projectId: string, id: string): Promise<IntegrationRow | null>
  listIntegrations(projectId: string, page: PageRequest): Promise<Page<IntegrationRow>>
  createConnection(
    projectId: string,
    input: { groupRef: string; provider: string; credentials: Credentials },
  ): Promise<ConnectionRow>
  getConnection(projectId: string, id: string): Promise<ConnectionRow | null>
  listConnections(projectId: string, page: PageRequest): Promise<Page<ConnectionRow>>
  /** Replaces the credentials, which makes a broken connection work again; null for what is not there. */
  renewConnection(
    projectId: string,
    id: string,
    credentials: Credentials,
    by: ChangedBy,
  ): Promise<ConnectionRow | null>
  createInstallation(parent: InstallationParent, input: NewInstallation): Promise<InstallationRow>
  getInstallation(integrationId: string, id: string): Promise<InstallationRow | null>
  listInstallations(integrationId: string, page: PageRequest): Promise<Page<InstallationRow>>
}

/**
 * Binds the set-up calls to one database and one cipher.
 *
 * @param logger gets a line for each change of credentials: whose, by whom, and nothing of them
 */
export const createSetup = (sql: Sql, cipher: Cipher, logger: Logger = silentLogger): Setup => ({
  createProject: (input) => createProject(sql, input),
  getProject: (id) => getProject(sql, id),
  listProjects: (page) => listProjects(sql, page),
  createApiKey: (projectId, input) => createApiKey(sql, projectId, input),
  getApiKey: (projectId, id) => getApiKey(sql, projectId, id),
  listApiKeys: (projectId, page) => listApiKeys(sql, projectId, page),
  createIntegration: (projectId, input) => createIntegration(sql, projectId, input),
  getIntegration: (projectId, id) => getIntegration(sql, projectId, id),
  listIntegrations: (projectId, page) => listIntegrations(sql, projectId, page),
  createConnection: (projectId, input) => createConnection(sql, cipher, projectId, input),
  getConnection: (projectId, id) => getConnection(sql, projectId, id),
  listConnections: (projectId, page) => listConnections(sql, projectId, page),
  renewConnection: async (projectId, id, credentials, by) => {
    const renewed = await renewConnection(sql, cipher, projectId, id, credentials)
    if (renewed !== null)
      logger.info(
        { projectId, connectionId: id, credentialType: credentials.type, ...by },
        'a connection was given new credentials',
      )
    return renewed
  },
  createInstallation: (parent, input) => createInstallation(sql, parent, input),
  getInstallation: (integrationId, id) => getInstallation(sql, integrationId, id),
  listInstallations: (integrationId, page) => listInstallations(sql, integrationId, page),
})
