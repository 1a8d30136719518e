import type { Sql } from '../db/connect.ts'
import { silentLogger, type Logger } from '../kernel/log.ts'
import type { Credentials } from '../model/credentials.ts'
import {
  createApiKey,
  deleteApiKey,
  getApiKey,
  listApiKeys,
  updateApiKey,
  type ApiKeyRow,
  type Scope,
} from './api-keys.ts'
import type { Cipher } from './cipher.ts'
import {
  createConnection,
  deleteConnection,
  getConnection,
  listConnections,
  renewConnection,
  type ConnectionRow,
} from './connections.ts'
import {
  createInstallation,
  deleteInstallation,
  getInstallation,
  listInstallations,
  updateInstallation,
  type InstallationChange,
  type InstallationParent,
  type InstallationRow,
  type NewInstallation,
} from './installations.ts'
import {
  createIntegration,
  deleteIntegration,
  getIntegration,
  listIntegrations,
  updateIntegration,
  type IntegrationRow,
} from './integrations.ts'
import type { Page, PageRequest } from './page.ts'
import { underParent } from './parent.ts'
import {
  createProject,
  deleteProject,
  getProject,
  listProjects,
  updateProject,
  type ProjectRow,
} from './projects.ts'

/** Who changes something, for the log. */
export interface ChangedBy {
  /** Id of the project key, or `admin`. */
  key: string
  requestId: string
}

/**
 * The calls that set up who may write where (contract section 4). A `get`, and every change of one thing,
 * answers null for what is not there; a delete answers with what was.
 */
export interface Setup {
  createProject(input: { name: string }): Promise<ProjectRow>
  getProject(id: string): Promise<ProjectRow | null>
  listProjects(page: PageRequest): Promise<Page<ProjectRow>>
  updateProject(id: string, change: { name: string }, by: ChangedBy): Promise<ProjectRow | null>
  /** With its keys, integrations and connections; throws a conflict while anything is installed in it. */
  deleteProject(id: string, by: ChangedBy): Promise<ProjectRow | null>
  createApiKey(
    projectId: string,
    input: { label: string; scopes: Scope[] },
  ): Promise<ApiKeyRow & { key: string }>
  getApiKey(projectId: string, id: string): Promise<ApiKeyRow | null>
  listApiKeys(projectId: string, page: PageRequest): Promise<Page<ApiKeyRow>>
  updateApiKey(
    projectId: string,
    id: string,
    change: { label?: string; scopes?: Scope[] },
    by: ChangedBy,
  ): Promise<ApiKeyRow | null>
  /** Revokes a key. */
  deleteApiKey(projectId: string, id: string, by: ChangedBy): Promise<ApiKeyRow | null>
  createIntegration(projectId: string, input: { name: string; provider: string }): Promise<IntegrationRow>
  getIntegration(projectId: string, id: string): Promise<IntegrationRow | null>
  listIntegrations(projectId: string, page: PageRequest): Promise<Page<IntegrationRow>>
  updateIntegration(
    projectId: string,
    id: string,
    change: { name: string },
    by: ChangedBy,
  ): Promise<IntegrationRow | null>
  /** Throws a conflict while it is installed. */
  deleteIntegration(projectId: string, id: string, by: ChangedBy): Promise<IntegrationRow | null>
  createConnection(
    projectId: string,
    input: { groupRef: string; provider: string; credentials: Credentials },
  ): Promise<ConnectionRow>
  getConnection(projectId: string, id: string): Promise<ConnectionRow | null>
  listConnections(projectId: string, page: PageRequest): Promise<Page<ConnectionRow>>
  /** Replaces the credentials, which makes a broken connection work again. */
  renewConnection(
    projectId: string,
    id: string,
    credentials: Credentials,
    by: ChangedBy,
  ): Promise<ConnectionRow | null>
  /** Throws a conflict while an installation uses it. */
  deleteConnection(projectId: string, id: string, by: ChangedBy): Promise<ConnectionRow | null>
  createInstallation(parent: InstallationParent, input: NewInstallation): Promise<InstallationRow>
  getInstallation(integrationId: string, id: string): Promise<InstallationRow | null>
  listInstallations(integrationId: string, page: PageRequest): Promise<Page<InstallationRow>>
  updateInstallation(
    parent: InstallationParent,
    id: string,
    change: InstallationChange,
    by: ChangedBy,
  ): Promise<InstallationRow | null>
  /**
   * Deletes an installation and ends what waits for it; of very much, a first part before it answers.
   *
   * @returns false when the integration has no such installation
   */
  deleteInstallation(
    integration: { id: string; projectId: string },
    id: string,
    by: ChangedBy,
  ): Promise<boolean>
}

/** What else happens when something is changed; other processes learn of it by its announcement. */
export interface SetupHooks {
  /** Something was changed or deleted: what this process holds of it is out of date. */
  changed?: () => void
  /** Something now writes through this connection that wrote through another one before. */
  reconnected?: (connectionId: string) => Promise<void>
  /** An installation was deleted: ends what waits for it. */
  endWaiting?: (installationId: string) => Promise<void>
}

interface Parts {
  sql: Sql
  cipher: Cipher
  /** Notes a change once it is made, and what of. A change of nothing is none. */
  changed: <T>(change: Promise<T | null>, what: string, facts: object) => Promise<T | null>
  hooks: SetupHooks
}

/**
 * Binds the set-up calls to one database and one cipher.
 *
 * @param logger gets a line for each change and deletion: of what, by whom, and nothing of any secret
 */
export function createSetup(
  sql: Sql,
  cipher: Cipher,
  logger: Logger = silentLogger,
  hooks: SetupHooks = {},
): Setup {
  const changed: Parts['changed'] = async (change, what, facts) => {
    const made = await change
    if (made === null) return null
    hooks.changed?.()
    logger.info(facts, what)
    return made
  }
  const parts: Parts = { sql, cipher, changed, hooks }
  return {
    ...projectCalls(parts),
    ...apiKeyCalls(parts),
    ...integrationCalls(parts),
    ...connectionCalls(parts),
    ...installationCalls(parts),
  }
}

const projectCalls = ({ sql, changed }: Parts) =>
  ({
    createProject: (input) => createProject(sql, input),
    getProject: (id) => getProject(sql, id),
    listProjects: (page) => listProjects(sql, page),
    updateProject: (id, change, by) =>
      changed(updateProject(sql, id, change), 'a project was renamed', { projectId: id, ...by }),
    deleteProject: (id, by) =>
      changed(deleteProject(sql, id), 'a project was deleted', { projectId: id, ...by }),
  }) satisfies Partial<Setup>

const apiKeyCalls = ({ sql, changed }: Parts) =>
  ({
    createApiKey: (projectId, input) => underParent(createApiKey(sql, projectId, input)),
    getApiKey: (projectId, id) => getApiKey(sql, projectId, id),
    listApiKeys: (projectId, page) => listApiKeys(sql, projectId, page),
    updateApiKey: (projectId, id, change, by) =>
      changed(updateApiKey(sql, projectId, id, change), 'an API key was changed', {
        projectId,
        keyId: id,
        ...by,
      }),
    deleteApiKey: (projectId, id, by) =>
      changed(deleteApiKey(sql, projectId, id), 'an API key was revoked', {
        projectId,
        keyId: id,
        ...by,
      }),
  }) satisfies Partial<Setup>

const integrationCalls = ({ sql, changed }: Parts) =>
  ({
    createIntegration: (projectId, input) => underParent(createIntegration(sql, projectId, input)),
    getIntegration: (projectId, id) => getIntegration(sql, projectId, id),
    listIntegrations: (projectId, page) => listIntegrations(sql, projectId, page),
    updateIntegration: (projectId, id, change, by) =>
      changed(updateIntegration(sql, projectId, id, change), 'an integration was renamed', {
        projectId,
        integrationId: id,
        ...by,
      }),
    deleteIntegration: (projectId, id, by) =>
      changed(deleteIntegration(sql, projectId, id), 'an integration was deleted', {
        projectId,
        integrationId: id,
        ...by,
      }),
  }) satisfies Partial<Setup>

const connectionCalls = ({ sql, cipher, changed }: Parts) =>
  ({
    createConnection: (projectId, input) => underParent(createConnection(sql, cipher, projectId, input)),
    getConnection: (projectId, id) => getConnection(sql, projectId, id),
    listConnections: (projectId, page) => listConnections(sql, projectId, page),
    renewConnection: (projectId, id, credentials, by) =>
      changed(
        renewConnection(sql, cipher, projectId, id, credentials),
        'a connection was given new credentials',
        { projectId, connectionId: id, credentialType: credentials.type, ...by },
      ),
    deleteConnection: (projectId, id, by) =>
      changed(deleteConnection(sql, projectId, id), 'a connection was deleted', {
        projectId,
        connectionId: id,
        ...by,
      }),
  }) satisfies Partial<Setup>

const installationCalls = ({ sql, changed, hooks }: Parts) =>
  ({
    createInstallation: (parent, input) => underParent(createInstallation(sql, parent, input)),
    getInstallation: (integrationId, id) => getInstallation(sql, integrationId, id),
    listInstallations: (integrationId, page) => listInstallations(sql, integrationId, page),
    updateInstallation: async (parent, id, change, by) => {
      const facts = { projectId: parent.projectId, installationId: id, ...by }
      const update = updateInstallation(sql, parent, id, change)
      const updated = await changed(update, 'an installation was changed', facts)
      if (updated === null) return null
      if (updated.reconnected) await hooks.reconnected?.(updated.row.connectionId)
      return updated.row
    },
    deleteInstallation: async ({ id: integrationId, projectId }, id, by) => {
      const facts = { projectId, integrationId, installationId: id, ...by }
      const removal = deleteInstallation(sql, integrationId, id).then((deleted) => deleted || null)
      if ((await changed(removal, 'an installation was deleted', facts)) === null) return false
      await hooks.endWaiting?.(id)
      return true
    },
  }) satisfies Partial<Setup>
