import { createHash, randomBytes } from 'node:crypto'
import type { Sql, Tx } from '../db/connect.ts'
import { mayBeCommitted } from '../db/pg-errors.ts'
import { newId } from '../kernel/ids.ts'
import type { Credentials } from '../model/credentials.ts'
import { CipherError, type Cipher } from './cipher.ts'
import { insertConnection, replaceCredentials, type ConnectionRow } from './connections.ts'
import { underParent } from './parent.ts'

/** Minutes that a link may be opened, and that a sign-in begun with it may take. */
const LINK_MINUTES = 15
/** Minutes for which it is known of an expired link that there was one; longer than a sign-in may take. */
const KNOWN_MINUTES = 60

/** The integrator's connected app. */
export interface LinkApp {
  clientId: string
  clientSecret?: string
}

/** What a link is made with. */
export interface NewLink {
  groupRef: string
  provider: string
  app: LinkApp
  /** Where the customer signs in; without it they choose. */
  loginUrl?: string
  /** Where they may go afterwards. */
  returnUrl?: string
}

/** A link as it is made; its token is in this answer only. */
export interface MadeLink {
  id: string
  token: string
  expiresAt: Date
}

/** A link as its page shows it. */
export interface Link {
  id: string
  projectName: string
  groupRef: string
  provider: string
  loginUrl: string | null
  returnUrl: string | null
  /** interrupted: a sign-in came back and nothing came of it; another can be begun. */
  status: 'open' | 'interrupted' | 'used' | 'expired'
}

/** What a sign-in is begun with. */
export interface NewAttempt {
  /** The login host that the browser is sent to, and that takes the code. */
  loginUrl: string
  redirectUri: string
  /** The link's, for whoever has to start again. */
  token: string
}

/** What a sign-in under way needs of the link, secrets included. */
export interface Attempt extends NewAttempt {
  linkId: string
  projectId: string
  projectName: string
  groupRef: string
  provider: string
  returnUrl: string | null
  app: LinkApp
  /** The text whose hash the login host was given (PKCE). */
  verifier: string
  state: string
}

/** Secrets of a sign-in that has begun: what goes to the login host, and what stays with the browser. */
export interface BegunAttempt {
  state: string
  verifier: string
  browser: string
  app: LinkApp
}

/**
 * Why a sign-in cannot be taken up. `done`: it has been, and the org is connected; `used`: it has been, and the
 * org is not, or not yet; `unreadable`: its secrets are encrypted with a key that is not configured.
 */
export type AttemptRefusal = 'unknown' | 'done' | 'used' | 'expired' | 'other_browser' | 'unreadable'

/** Thrown where it is certain that nothing was stored; the cause says why. */
export class NotStored extends Error {
  constructor(cause: unknown) {
    super('Nothing was stored.', { cause })
  }
}

/** The links by which customers connect their orgs. */
export interface ConnectLinks {
  /**
   * Makes a link.
   * @throws {WritebackError} NOT_FOUND when the project was deleted
   */
  create(projectId: string, input: NewLink): Promise<MadeLink>
  /** The link of a token; null when there is none, or has been none for a while. */
  find(token: string): Promise<Link | null>
  /**
   * Begins a sign-in; one that was begun before with the same link counts no more.
   *
   * @returns null when the link has been used or has expired meanwhile
   */
  begin(linkId: string, attempt: NewAttempt): Promise<BegunAttempt | null>
  /**
   * Takes up the sign-in that a state belongs to: once, and in the browser that began it. Another browser does
   * not use it up.
   *
   * @param browserOf what the browser at hand kept for a link
   */
  take(state: string, browserOf: (linkId: string) => string | null): Promise<Attempt | AttemptRefusal>
  /**
   * Ends a link with credentials, in one transaction: they become those of the group's connection, or of a new
   * one. Its secrets are gone then.
   *
   * @returns why nothing was stored: another sign-in has begun with the link meanwhile, or the project was deleted
   * @throws {NotStored} when the database refused; any other error leaves open whether it is all stored
   */
  complete(attempt: Attempt, credentials: Credentials): Promise<Connected | 'replaced' | 'deleted'>
}

/** Binds the links to a database and a cipher. */
export const createConnectLinks = (sql: Sql, cipher: Cipher): ConnectLinks => ({
  create: (projectId, input) => underParent(createLink(sql, cipher, projectId, input)),
  find: (token) => findLink(sql, token),
  begin: (linkId, attempt) => beginAttempt(sql, cipher, linkId, attempt),
  take: (state, browserOf) => takeAttempt(sql, cipher, state, browserOf),
  complete: (attempt, credentials) =>
    sql
      .begin((tx) => completeLink(tx, cipher, attempt, credentials))
      .catch((error: unknown) => {
        throw mayBeCommitted(error) ? error : new NotStored(error)
      }),
})

/** 256 random bits, fit for URLs and cookies. */
const newSecret = (): string => randomBytes(32).toString('base64url')
const secretPattern = /^[A-Za-z0-9_-]{43}$/
/** Whether a text could be a secret of ours at all; anything else need not be looked up. */
const isSecret = (text: string): boolean => secretPattern.test(text)
/** What is kept of one. There is nothing to guess in 256 random bits, so a fast hash does. */
const hashOf = (secret: string): Buffer => createHash('sha256').update(secret).digest()

const appPurpose = (linkId: string): string => `connect-link:${linkId}:app`
const attemptPurpose = (linkId: string): string => `connect-link:${linkId}:attempt`

/** Makes a link, its secrets encrypted, and removes those that nobody asks about any more. */
async function createLink(
  sql: Sql,
  cipher: Cipher,
  projectId: string,
  { groupRef, provider, app, loginUrl, returnUrl }: NewLink,
): Promise<MadeLink> {
  await removeOldLinks(sql)
  const id = newId()
  const token = newSecret()
  const encrypted = cipher.encrypt(JSON.stringify(app), appPurpose(id))
  const [row] = await sql<[{ expiresAt: Date }]>`
    insert into connect_link (id, project_id, group_ref, provider, token_hash, login_url, return_url, app, expires_at)
    values (${id}, ${projectId}, ${groupRef}, ${provider}, ${hashOf(token)}, ${loginUrl ?? null},
      ${returnUrl ?? null}, ${encrypted}, now() + make_interval(mins => ${LINK_MINUTES}))
    returning expires_at as "expiresAt"`
  return { id, token, expiresAt: row.expiresAt }
}

/** Removes links with their secrets some time after they expired, used or not. */
export async function removeOldLinks(sql: Sql): Promise<void> {
  await sql`delete from connect_link where expires_at < now() - make_interval(mins => ${KNOWN_MINUTES})`
}

async function findLink(sql: Sql, token: string): Promise<Link | null> {
  if (!isSecret(token)) return null
  const [row] = await sql<Link[]>`
    select l.id, p.name as "projectName", l.group_ref as "groupRef", l.provider, l.login_url as "loginUrl",
      l.return_url as "returnUrl",
      case when l.used_at is not null then 'used' when l.expires_at <= now() then 'expired'
        when l.taken_at is not null then 'interrupted' else 'open' end as status
    from connect_link l join project p on p.id = l.project_id
    where l.token_hash = ${hashOf(token)}`
  return row ?? null
}

async function beginAttempt(
  sql: Sql,
  cipher: Cipher,
  linkId: string,
  attempt: NewAttempt,
): Promise<BegunAttempt | null> {
  const [state, browser, verifier] = [newSecret(), newSecret(), newSecret()]
  const encrypted = cipher.encrypt(JSON.stringify({ ...attempt, verifier }), attemptPurpose(linkId))
  const [row] = await sql<{ app: Buffer }[]>`
    update connect_link set attempt = ${encrypted}, state_hash = ${hashOf(state)},
      browser_hash = ${hashOf(browser)}, begun_at = now(), taken_at = null
    where id = ${linkId} and used_at is null and expires_at > now()
    returning app`
  if (row === undefined) return null
  const app = JSON.parse(cipher.decrypt(row.app, appPurpose(linkId))) as LinkApp
  return { state, browser, verifier, app }
}

interface TakenRow {
  linkId: string
  projectId: string
  projectName: string
  groupRef: string
  provider: string
  returnUrl: string | null
  app: Buffer
  attempt: Buffer
}

async function takeAttempt(
  sql: Sql,
  cipher: Cipher,
  state: string,
  browserOf: (linkId: string) => string | null,
): Promise<Attempt | AttemptRefusal> {
  if (!isSecret(state)) return 'unknown'
  const [found] = await sql<{ id: string }[]>`select id from connect_link where state_hash = ${hashOf(state)}`
  if (found === undefined) return 'unknown'
  const browser = hashOf(browserOf(found.id) ?? '')
  const [row] = await sql<TakenRow[]>`
    update connect_link l set taken_at = now() from project p
    where p.id = l.project_id and l.id = ${found.id} and l.state_hash = ${hashOf(state)}
      and l.browser_hash = ${browser} and l.taken_at is null
      and l.begun_at > now() - make_interval(mins => ${LINK_MINUTES})
    returning l.id as "linkId", l.project_id as "projectId", p.name as "projectName",
      l.group_ref as "groupRef", l.provider, l.return_url as "returnUrl", l.app, l.attempt`
  if (row === undefined) return refusalOf(sql, state, browser)
  try {
    return { ...decrypted(cipher, row), state }
  } catch (error) {
    if (error instanceof CipherError) return 'unreadable'
    throw error
  }
}

function decrypted(cipher: Cipher, { app, attempt, ...rest }: TakenRow): Omit<Attempt, 'state'> {
  const secrets = cipher.decrypt(attempt, attemptPurpose(rest.linkId))
  return {
    ...rest,
    ...(JSON.parse(secrets) as NewAttempt & { verifier: string }),
    app: JSON.parse(cipher.decrypt(app, appPurpose(rest.linkId))) as LinkApp,
  }
}

/** Why a guarded update took nothing; in a browser that has no part in it nothing else is told. */
async function refusalOf(sql: Sql, state: string, browser: Buffer): Promise<AttemptRefusal> {
  const [row] = await sql<{ refusal: AttemptRefusal }[]>`
    select case when browser_hash <> ${browser} then 'other_browser' when used_at is not null then 'done'
      when taken_at is not null then 'used' else 'expired' end as refusal
    from connect_link where state_hash = ${hashOf(state)}`
  return row?.refusal ?? 'unknown'
}

/** What a link came to. */
export interface Connected {
  connection: ConnectionRow
  /** Whether there was none before. */
  isNew: boolean
}

async function completeLink(
  tx: Tx,
  cipher: Cipher,
  { linkId, projectId, groupRef, provider, state }: Attempt,
  credentials: Credentials,
): Promise<Connected | 'replaced' | 'deleted'> {
  // of two links of one group, the second finds what the first has made
  const project = await tx`select from project where id = ${projectId} for no key update`
  if (project.count === 0) return 'deleted'
  const link = await tx`
    update connect_link set used_at = now(), app = null, attempt = null
    where id = ${linkId} and state_hash = ${hashOf(state)} and used_at is null`
  if (link.count === 0) return 'replaced'
  const existing = await findOwn(tx, projectId, groupRef, provider)
  const renewed =
    existing === null ? null : await replaceCredentials(tx, cipher, projectId, existing, credentials)
  if (renewed !== null) return { connection: renewed, isNew: false }
  const connection = await insertConnection(tx, cipher, projectId, { groupRef, provider, credentials })
  return { connection, isNew: true }
}

/** The group's connection: of several one that is written through, of those a broken one, the newest. */
async function findOwn(
  tx: Tx,
  projectId: string,
  groupRef: string,
  provider: string,
): Promise<string | null> {
  const [row] = await tx<{ id: string }[]>`
    select c.id from connection c
    where c.project_id = ${projectId} and c.group_ref = ${groupRef} and c.provider = ${provider}
    order by exists (select from installation i where i.connection_id = c.id) desc, c.status = 'broken' desc,
      c.id desc
    limit 1`
  return row?.id ?? null
}
