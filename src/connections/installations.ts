import { defaultCallSettings, type CallSettings, type ConfiguredObject } from '../model/object-entry.ts'
import type { Sql, Tx } from '../db/connect.ts'
import { WritebackError, type Issue } from '../kernel/errors.ts'
import { newId } from '../kernel/ids.ts'
import { announce } from './announce.ts'
import type { ConnectionStatus } from './connections.ts'
import { cutPage, type Page, type PageRequest } from './page.ts'

/** How one object may be written (contract section 4). */
export type WriteObject = ConfiguredObject

/** What an installation may do. Without `objects`, everything but deleting. */
export interface InstallationContent {
  provider: string
  write: { objects?: Record<string, WriteObject> } & Partial<CallSettings>
}

/** How an installation's calls are made, defaults applied. */
export const callSettingsOf = ({ write }: InstallationContent): CallSettings => ({
  packing: write.packing ?? defaultCallSettings.packing,
  apiBudgetPercent: write.apiBudgetPercent ?? defaultCallSettings.apiBudgetPercent,
})

/** An installation as it is kept, with what it takes from its connection. */
export interface InstallationRow {
  id: string
  projectId: string
  integrationId: string
  groupRef: string
  connectionId: string
  connectionStatus: ConnectionStatus
  configId: string
  content: InstallationContent
  createdAt: Date
}

export interface NewInstallation {
  groupRef: string
  connectionId?: string
  content: InstallationContent
}

/** The integration that is installed. */
export interface InstallationParent {
  projectId: string
  integrationId: string
  provider: string
}

interface Candidate {
  id: string
  groupRef: string
  provider: string
}

/** What the schema cannot say of a configuration: names that must agree. */
function contentIssues(content: InstallationContent, provider: string): Issue[] {
  const issues: Issue[] = []
  if (content.provider !== provider)
    issues.push({ path: '/config/content/provider', message: `must be the integration's own: ${provider}` })
  const seen = new Set<string>()
  for (const [name, entry] of Object.entries(content.write.objects ?? {})) {
    const path = `/config/content/write/objects/${name}`
    if (entry.objectName !== name)
      issues.push({ path: `${path}/objectName`, message: `must be the same as its key: ${name}` })
    // Salesforce takes object names in any case
    if (seen.has(name.toLowerCase()))
      issues.push({ path, message: 'is listed twice: case does not tell objects apart' })
    seen.add(name.toLowerCase())
  }
  return issues
}

/** The connection named, which must be the group's and the provider's, or else an issue. */
async function namedConnection(
  tx: Tx,
  parent: InstallationParent,
  groupRef: string,
  id: string,
): Promise<string | Issue> {
  const path = '/connectionId'
  const [found] = await tx<Candidate[]>`
    select id, group_ref as "groupRef", provider from connection
    where id = ${id} and project_id = ${parent.projectId} for key share`
  if (found === undefined) return { path, message: 'is not a connection of this project' }
  if (found.groupRef !== groupRef) return { path, message: 'is the connection of another groupRef' }
  if (found.provider !== parent.provider)
    return { path, message: `is a connection to ${found.provider}, not ${parent.provider}` }
  return found.id
}

/**
 * The group's own connection: the newest that works, and the newest at all when none does (the
 * installation is then unhealthy until new credentials come), or else an issue.
 */
async function groupConnection(
  tx: Tx,
  parent: InstallationParent,
  input: NewInstallation,
): Promise<string | Issue> {
  const [found] = await tx<{ id: string }[]>`
    select id from connection
    where project_id = ${parent.projectId} and group_ref = ${input.groupRef} and provider = ${parent.provider}
    order by status = 'working' desc, id desc
    limit 1 for key share`
  return found?.id ?? { path: '/groupRef', message: `has no connection to ${parent.provider} yet` }
}

const columns = (sql: Sql | Tx) => sql`
  i.id, i.project_id as "projectId", i.integration_id as "integrationId", i.group_ref as "groupRef",
  i.connection_id as "connectionId", c.status as "connectionStatus", i.config_id as "configId",
  i.config as content, i.created_at as "createdAt"`

async function insertInstallation(
  tx: Tx,
  parent: InstallationParent,
  input: NewInstallation,
  connectionId: string,
): Promise<InstallationRow> {
  const id = newId()
  const content = JSON.stringify(input.content)
  const made = await tx`
    insert into installation (id, project_id, integration_id, group_ref, connection_id, config_id, config)
    values (${id}, ${parent.projectId}, ${parent.integrationId}, ${input.groupRef}, ${connectionId},
      ${newId()}, ${content}::text::jsonb)
    on conflict (integration_id, group_ref) do nothing`
  if (made.count === 0)
    throw new WritebackError(
      'CONFLICT',
      `The integration is installed for groupRef ${JSON.stringify(input.groupRef)} already.`,
      { remedy: 'Use that installation.' },
    )
  return readInstallation(tx, id)
}

async function readInstallation(tx: Tx, id: string): Promise<InstallationRow> {
  const [row] = await tx<[InstallationRow]>`
    select ${columns(tx)} from installation i join connection c on c.id = i.connection_id where i.id = ${id}`
  return row
}

/** The connection's id, unless anything does not fit: then every issue at once. */
function refuseMisfit(
  connection: string | Issue,
  content: InstallationContent | undefined,
  provider: string,
): string {
  const issues = content === undefined ? [] : contentIssues(content, provider)
  if (typeof connection !== 'string') issues.unshift(connection)
  else if (issues.length === 0) return connection
  throw new WritebackError('INVALID_REQUEST', 'The installation does not fit its surroundings.', {
    issues,
    remedy: 'Correct what issues names; a group needs a connection before it can be installed.',
  })
}

/**
 * Installs an integration for a group.
 *
 * @throws {WritebackError} INVALID_REQUEST with every issue of the configuration and the connection,
 *   CONFLICT when the group has the integration already
 */
export async function createInstallation(
  sql: Sql,
  parent: InstallationParent,
  input: NewInstallation,
): Promise<InstallationRow> {
  return sql.begin(async (tx) => {
    const connection =
      input.connectionId === undefined
        ? await groupConnection(tx, parent, input)
        : await namedConnection(tx, parent, input.groupRef, input.connectionId)
    const connectionId = refuseMisfit(connection, input.content, parent.provider)
    const row = await insertInstallation(tx, parent, input, connectionId)
    await announce(tx, 'installation', row.id)
    return row
  })
}

/** What may be changed of an installation; what is not given stays. */
export interface InstallationChange {
  connectionId?: string
  content?: InstallationContent
}

/** An installation before and after a change. */
export interface ChangedInstallation {
  row: InstallationRow
  /** Whether it writes through another connection now. */
  reconnected: boolean
}

/**
 * Changes an installation, in every process within a second. A configuration is replaced as a whole and has
 * a new id from then on.
 *
 * @returns null when the integration has no such installation
 * @throws {WritebackError} INVALID_REQUEST with every issue of the configuration and the connection
 */
export async function updateInstallation(
  sql: Sql,
  parent: InstallationParent,
  id: string,
  change: InstallationChange,
): Promise<ChangedInstallation | null> {
  return sql.begin(async (tx) => {
    const [before] = await tx<{ groupRef: string; connectionId: string }[]>`
      select group_ref as "groupRef", connection_id as "connectionId" from installation
      where id = ${id} and integration_id = ${parent.integrationId} for no key update`
    if (before === undefined) return null
    const connection =
      change.connectionId === undefined
        ? before.connectionId
        : await namedConnection(tx, parent, before.groupRef, change.connectionId)
    const connectionId = refuseMisfit(connection, change.content, parent.provider)
    const configId = change.content === undefined ? null : newId()
    const content = change.content === undefined ? null : JSON.stringify(change.content)
    await tx`
      update installation set connection_id = ${connectionId}, config_id = coalesce(${configId}::uuid, config_id),
        config = coalesce(${content}::text::jsonb, config)
      where id = ${id}`
    await announce(tx, 'installation', id)
    return { row: await readInstallation(tx, id), reconnected: connectionId !== before.connectionId }
  })
}

/**
 * Deletes an installation. Nothing is accepted for it from then on; what waits for it is the queue's to end,
 * which finds it by the note that is left here.
 *
 * @returns false when the integration has no such installation
 */
export async function deleteInstallation(sql: Sql, integrationId: string, id: string): Promise<boolean> {
  return sql.begin(async (tx) => {
    const deleted = await tx`
      with gone as (
        delete from installation where id = ${id} and integration_id = ${integrationId}
        returning id, project_id, integration_id, connection_id, group_ref
      )
      insert into deleted_installation (id, project_id, provider, integration_name, connection_id, group_ref)
      select g.id, g.project_id, i.provider, i.name, g.connection_id, g.group_ref
      from gone g join integration i on i.id = g.integration_id
      returning id`
    if (deleted.length === 0) return false
    await announce(tx, 'installation', id)
    return true
  })
}

export async function getInstallation(
  sql: Sql,
  integrationId: string,
  id: string,
): Promise<InstallationRow | null> {
  const [row] = await sql<InstallationRow[]>`
    select ${columns(sql)} from installation i join connection c on c.id = i.connection_id
    where i.integration_id = ${integrationId} and i.id = ${id}`
  return row ?? null
}

export async function listInstallations(
  sql: Sql,
  integrationId: string,
  page: PageRequest,
): Promise<Page<InstallationRow>> {
  const rows = await sql<InstallationRow[]>`
    select ${columns(sql)} from installation i join connection c on c.id = i.connection_id
    where i.integration_id = ${integrationId} and (${page.after}::uuid is null or i.id < ${page.after}::uuid)
    order by i.id desc
    limit ${page.size + 1}`
  return cutPage(rows, page.size)
}
