import { timingSafeEqual } from 'node:crypto'
import type { Sql } from '../db/connect.ts'
import { isDatabaseUnavailable } from '../db/pg-errors.ts'
import { systemClock, type Clock } from '../kernel/clock.ts'
import { isUuid } from '../kernel/ids.ts'
import type { Logger } from '../kernel/log.ts'
import { SETUP_CHANNEL } from './announce.ts'
import { hashKey, isApiKey, type Scope } from './api-keys.ts'
import type { CallSettings } from '../model/object-entry.ts'
import { callSettingsOf, type InstallationContent, type WriteObject } from './installations.ts'
import { KnownKeys } from './known-keys.ts'
import { LoadingCache } from './loading-cache.ts'

/** Who calls (contract section 2). */
export type Caller =
  { kind: 'admin' } | { kind: 'project'; projectId: string; keyId: string; scopes: ReadonlySet<Scope> }

export interface ProjectRef {
  id: string
  name: string
}

export interface IntegrationRef {
  id: string
  projectId: string
  name: string
  provider: string
}

/** What a write needs to know of the installation it goes through. */
export interface InstallationRef {
  id: string
  projectId: string
  integrationId: string
  groupRef: string
  connectionId: string
  configId: string
  provider: string
  /** By object name; null: every object may be created, updated and upserted, none deleted. */
  objects: ReadonlyMap<string, WriteObject> | null
  calls: CallSettings
}

/**
 * Answers from memory what every request asks: whose key is this, what does this name mean. A miss costs
 * one query; a change anywhere is announced to all processes at its commit and expires what is held;
 * and since what is not there is never remembered, a new key works at once everywhere.
 */
export interface Directory {
  /** The caller whose key this is, or null. */
  authenticate(key: string): Promise<Caller | null>
  project(idOrName: string): Promise<ProjectRef | null>
  integration(projectId: string, idOrName: string): Promise<IntegrationRef | null>
  /** The installation of an integration for a group. */
  installation(integrationId: string, groupRef: string): Promise<InstallationRef | null>
  installationById(id: string): Promise<InstallationRef | null>
  /** Nothing held counts as fresh any more: to be called where something was changed, ahead of the announcement. */
  expire(): void
  /** Begins to listen for announcements; until then entries only age. */
  start(): Promise<void>
  stop(): Promise<void>
}

export interface DirectoryOptions {
  /** The operator's key; null or absent: nobody is admin. */
  adminKey?: string | null
  logger: Logger
  clock?: Clock
  /** Milliseconds that an entry is trusted without an announcement (default 10 s): the safety net for a lost one. */
  ttlMs?: number
  /** The most entries of each kind (default 50,000, some 50 MB of installations). */
  max?: number
}

interface InstallationRow extends Omit<InstallationRef, 'objects' | 'calls'> {
  content: InstallationContent
}

/** By the provider's name and by the caller's own. */
const byName = (objects: Record<string, WriteObject>): ReadonlyMap<string, WriteObject> =>
  new Map(
    Object.entries(objects).flatMap(([name, entry]): [string, WriteObject][] =>
      entry.mapToName === undefined
        ? [[name, entry]]
        : [
            [name, entry],
            [entry.mapToName, entry],
          ],
    ),
  )

const toRef = ({ content, ...row }: InstallationRow): InstallationRef => ({
  ...row,
  objects: content.write.objects === undefined ? null : byName(content.write.objects),
  calls: callSettingsOf(content),
})

async function loadCaller(sql: Sql, keyHash: Buffer): Promise<Caller | null> {
  const [row] = await sql<{ id: string; projectId: string; scopes: Scope[] }[]>`
    select id, project_id as "projectId", scopes from api_key where key_hash = ${keyHash}`
  return row === undefined
    ? null
    : { kind: 'project', projectId: row.projectId, keyId: row.id, scopes: new Set(row.scopes) }
}

async function loadProject(sql: Sql, idOrName: string): Promise<ProjectRef | null> {
  // a name never looks like an id, so one of the two is meant
  const [row] = isUuid(idOrName)
    ? await sql<ProjectRef[]>`select id, name from project where id = ${idOrName}`
    : await sql<ProjectRef[]>`select id, name from project where name = ${idOrName}`
  return row ?? null
}

async function loadIntegration(
  sql: Sql,
  projectId: string,
  idOrName: string,
): Promise<IntegrationRef | null> {
  const [row] = isUuid(idOrName)
    ? await sql<IntegrationRef[]>`
        select id, project_id as "projectId", name, provider from integration
        where id = ${idOrName} and project_id = ${projectId}`
    : await sql<IntegrationRef[]>`
        select id, project_id as "projectId", name, provider from integration
        where project_id = ${projectId} and name = ${idOrName}`
  return row ?? null
}

const installationColumns = (sql: Sql) => sql`
  i.id, i.project_id as "projectId", i.integration_id as "integrationId", i.group_ref as "groupRef",
  i.connection_id as "connectionId", i.config_id as "configId", n.provider, i.config as content`

async function loadInstallation(
  sql: Sql,
  integrationId: string,
  groupRef: string,
): Promise<InstallationRef | null> {
  const [row] = await sql<InstallationRow[]>`
    select ${installationColumns(sql)} from installation i join integration n on n.id = i.integration_id
    where i.integration_id = ${integrationId} and i.group_ref = ${groupRef}`
  return row === undefined ? null : toRef(row)
}

async function loadInstallationById(sql: Sql, id: string): Promise<InstallationRef | null> {
  const [row] = await sql<InstallationRow[]>`
    select ${installationColumns(sql)} from installation i join integration n on n.id = i.integration_id
    where i.id = ${id}`
  return row === undefined ? null : toRef(row)
}

/** Text that PostgreSQL takes; nothing of ours has any other name. */
const isStorable = (text: string): boolean => text.isWellFormed() && !text.includes('\0')

/** A key's hash, and its text for the caches. */
interface KeyHash {
  bytes: Buffer
  text: string
}

function hashOf(key: string): KeyHash {
  const bytes = hashKey(key)
  return { bytes, text: bytes.toString('base64') }
}

/** Keys whose hash is not made again for each request, and for how long: some 10 MB at most. */
const MAX_KNOWN_KEYS = 50_000
const KNOWN_KEY_MS = 5_000

/** Compares hashes in constant time; both sides have the same length by being hashes. */
function isAdminKey(hash: Buffer, adminHash: Buffer | null): boolean {
  return adminHash !== null && timingSafeEqual(hash, adminHash)
}

/** Creates a directory; call `start` to have it listen. */
export function createDirectory(sql: Sql, options: DirectoryOptions): Directory {
  const { logger, clock = systemClock, ttlMs = 10_000, max = 50_000 } = options
  const adminHash = options.adminKey ? hashKey(options.adminKey) : null
  const admin: Caller = { kind: 'admin' }
  const settings = { max, ttlMs, clock, patienceMs: 1_000, mayServeOld: isDatabaseUnavailable }
  const callers = new LoadingCache<Caller>(settings)
  const knownKeys = new KnownKeys<KeyHash>({ max: MAX_KNOWN_KEYS, ttlMs: KNOWN_KEY_MS, clock })
  const projects = new LoadingCache<ProjectRef>(settings)
  const integrations = new LoadingCache<IntegrationRef>(settings)
  const installations = new LoadingCache<InstallationRef>(settings)
  const expireAll = (): void => {
    for (const cache of [callers, projects, integrations, installations]) cache.expireAll()
  }
  let listening: { unlisten: () => Promise<void> } | null = null

  return {
    authenticate(key) {
      const known = knownKeys.get(key)
      const hash = known ?? hashOf(key)
      const keepValid = (caller: Caller | null): Caller | null => {
        if (caller !== null && known === undefined) knownKeys.keep(key, hash)
        return caller
      }
      if (isAdminKey(hash.bytes, adminHash)) return Promise.resolve(keepValid(admin))
      if (!isApiKey(key)) return Promise.resolve(null)
      // found by its hash: how long that takes tells nothing of the key
      const found = callers.get(hash.text, () => loadCaller(sql, hash.bytes))
      return known === undefined ? found.then(keepValid) : found
    },
    project(idOrName) {
      if (!isStorable(idOrName)) return Promise.resolve(null)
      return projects.get(idOrName, () => loadProject(sql, idOrName))
    },
    integration(projectId, idOrName) {
      if (!isStorable(idOrName)) return Promise.resolve(null)
      return integrations.get(`${projectId} ${idOrName}`, () => loadIntegration(sql, projectId, idOrName))
    },
    installation(integrationId, groupRef) {
      if (!isStorable(groupRef)) return Promise.resolve(null)
      const load = () => loadInstallation(sql, integrationId, groupRef)
      return installations.get(`${integrationId} ${groupRef}`, load)
    },
    installationById(id) {
      if (!isUuid(id)) return Promise.resolve(null)
      return installations.get(id, () => loadInstallationById(sql, id))
    },
    expire: expireAll,
    async start() {
      // called again after every reconnection: what was announced meanwhile is lost, so nothing is fresh
      const connected = (): void => {
        expireAll()
        logger.debug({ channel: SETUP_CHANNEL }, 'listening for changes of the set-up')
      }
      listening ??= await sql.listen(SETUP_CHANNEL, expireAll, connected)
    },
    async stop() {
      const ended = listening
      listening = null
      await ended?.unlisten()
    },
  }
}
