import type { Sql, Tx } from '../db/connect.ts'
import { WritebackError } from '../kernel/errors.ts'
import { newId } from '../kernel/ids.ts'
import type { Credentials } from '../model/credentials.ts'
import { isForeignKeyViolation } from '../db/pg-errors.ts'
import { announce, announceRenewed } from './announce.ts'
import type { Cipher } from './cipher.ts'
import { cutPage, type Page, type PageRequest } from './page.ts'

export type ConnectionStatus = 'working' | 'broken'

/** A connection as others may see it: nothing of its credentials. */
export interface ConnectionRow {
  id: string
  groupRef: string
  provider: string
  status: ConnectionStatus
}

/** What the credentials of a connection are encrypted for. */
export const credentialsPurpose = (connectionId: string): string => `connection:${connectionId}:credentials`
/** What the session of a connection is encrypted for. */
export const sessionPurpose = (connectionId: string): string => `connection:${connectionId}:session`

/** URLs in one form, as the parser writes them, without a slash at the end. */
const tidyUrl = (url: string): string => new URL(url).href.replace(/\/+$/, '')

function withTidyUrls(credentials: Credentials): Credentials {
  if (credentials.type === 'access-token')
    return { ...credentials, instanceUrl: tidyUrl(credentials.instanceUrl) }
  if (credentials.loginUrl === undefined) return credentials
  return { ...credentials, loginUrl: tidyUrl(credentials.loginUrl) }
}

/** Keeps a connection, its credentials encrypted. They are taken as valid: the call's schema is their check. */
export const createConnection = (
  sql: Sql,
  cipher: Cipher,
  projectId: string,
  input: NewConnection,
): Promise<ConnectionRow> => sql.begin((tx) => insertConnection(tx, cipher, projectId, input))

/** What a connection is made with. */
export interface NewConnection {
  groupRef: string
  provider: string
  credentials: Credentials
}

/** The same in a transaction of the caller's. */
export async function insertConnection(
  tx: Tx,
  cipher: Cipher,
  projectId: string,
  input: NewConnection,
): Promise<ConnectionRow> {
  const id = newId()
  const credentials = JSON.stringify(withTidyUrls(input.credentials))
  const encrypted = cipher.encrypt(credentials, credentialsPurpose(id))
  const [row] = await tx<[ConnectionRow]>`
    insert into connection (id, project_id, group_ref, provider, credential_type, credentials)
    values (${id}, ${projectId}, ${input.groupRef}, ${input.provider}, ${input.credentials.type}, ${encrypted})
    returning id, group_ref as "groupRef", provider, status`
  await announce(tx, 'connection', id)
  return row
}

/**
 * Gives a connection new credentials; they are taken as valid, as at its creation. Its session goes, it
 * works again, and a refresh under way with the old credentials has lost the right to change anything.
 *
 * @returns null when the project has no such connection
 */
export const renewConnection = (
  sql: Sql,
  cipher: Cipher,
  projectId: string,
  id: string,
  credentials: Credentials,
): Promise<ConnectionRow | null> =>
  sql.begin((tx) => replaceCredentials(tx, cipher, projectId, id, credentials))

/** The same in a transaction of the caller's. */
export async function replaceCredentials(
  tx: Tx,
  cipher: Cipher,
  projectId: string,
  id: string,
  credentials: Credentials,
): Promise<ConnectionRow | null> {
  const encrypted = cipher.encrypt(JSON.stringify(withTidyUrls(credentials)), credentialsPurpose(id))
  // session_version stays: it only grows, so that no session of the old credentials can pass for a newer one
  const [row] = await tx<ConnectionRow[]>`
    update connection set credential_type = ${credentials.type}, credentials = ${encrypted},
      status = 'working', status_reason = null, session = null, session_at = null,
      refresh_lease = null, refresh_until = null, rotates = false, quick_refusals = 0, updated_at = now()
    where id = ${id} and project_id = ${projectId}
    returning id, group_ref as "groupRef", provider, status`
  if (row === undefined) return null
  await announceRenewed(tx, id)
  return row
}

/**
 * Deletes a connection that nothing writes through any more, its credentials and its session with it.
 *
 * @returns the connection that was; null when the project has no such connection
 * @throws {WritebackError} CONFLICT while an installation uses it
 */
export async function deleteConnection(
  sql: Sql,
  projectId: string,
  id: string,
): Promise<ConnectionRow | null> {
  const remove = sql.begin(async (tx) => {
    const [row] = await tx<ConnectionRow[]>`
      delete from connection where project_id = ${projectId} and id = ${id}
      returning id, group_ref as "groupRef", provider, status`
    if (row === undefined) return null
    await announce(tx, 'connection', id)
    return row
  })
  return remove.catch((error: unknown) => {
    if (!isForeignKeyViolation(error)) throw error
    throw new WritebackError('CONFLICT', 'Installations write through this connection.', {
      remedy: 'Give them another connection, or delete them first.',
    })
  })
}

export async function getConnection(sql: Sql, projectId: string, id: string): Promise<ConnectionRow | null> {
  const [row] = await sql<ConnectionRow[]>`
    select id, group_ref as "groupRef", provider, status from connection
    where project_id = ${projectId} and id = ${id}`
  return row ?? null
}

export async function listConnections(
  sql: Sql,
  projectId: string,
  page: PageRequest,
): Promise<Page<ConnectionRow>> {
  const rows = await sql<ConnectionRow[]>`
    select id, group_ref as "groupRef", provider, status from connection
    where project_id = ${projectId} and (${page.after}::uuid is null or id < ${page.after}::uuid)
    order by id desc
    limit ${page.size + 1}`
  return cutPage(rows, page.size)
}
