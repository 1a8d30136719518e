import type { Sql, Tx } from '../db/connect.ts'
import { WritebackError } from '../kernel/errors.ts'
import { newId } from '../kernel/ids.ts'
import type { Credentials } from '../model/credentials.ts'
import { graceSeconds } from '../model/lease.ts'
import { announce } from './announce.ts'

/** A session refused this soon after it was minted, in seconds, was refused for other reasons than its age. */
const QUICK_SECONDS = 60
/** That many quick refusals in a row end the refreshing: it does not help. */
const MAX_QUICK_REFUSALS = 3

/** The right to mint one session. */
export interface Claim {
  lease: string
  provider: string
  credentials: Buffer
  /** The version that the new session gets. */
  version: number
  rotates: boolean
  /** Sessions in a row, the one to be replaced included, that were refused right after they were minted. */
  refusals: number
}

/** What came of asking for the right to refresh. */
export type ClaimAnswer =
  | { kind: 'mint'; claim: Claim }
  /** Another process minted meanwhile. */
  | { kind: 'session'; session: Buffer; version: number; isUnproven: boolean }
  /** Another process is at it. */
  | { kind: 'wait' }
  | { kind: 'broken'; reason: string }

interface ConnectionState {
  provider: string
  status: 'working' | 'broken'
  reason: string | null
  credentialType: Credentials['type']
  credentials: Buffer
  session: Buffer | null
  version: number
  rotates: boolean
  quickRefusals: number
  /** Whether the session is younger than it would be if its age were what ended it. */
  isYoung: boolean
  lease: 'none' | 'held' | 'dead'
}

/** The session as it is kept; null when there is none yet. */
export interface StoredSession {
  status: 'working' | 'broken'
  reason: string | null
  session: Buffer | null
  version: number
  /** Whether the sessions before it were refused right after they were minted, and it has not worked yet either. */
  isUnproven: boolean
}

const noConnection = (id: string): WritebackError =>
  new WritebackError('NOT_FOUND', `There is no connection ${JSON.stringify(id)}.`)

/** @throws {WritebackError} NOT_FOUND */
export async function readSession(sql: Sql, id: string): Promise<StoredSession> {
  const [row] = await sql<StoredSession[]>`
    select status, status_reason as reason, session, session_version as version,
      quick_refusals > 0 as "isUnproven"
    from connection where id = ${id}`
  if (row === undefined) throw noConnection(id)
  return row
}

/** Locks the row, so that of all processes one decides at a time. Not for key: installations may still refer to it. */
async function lockState(tx: Tx, id: string, leaseSeconds: number): Promise<ConnectionState> {
  const [row] = await tx<ConnectionState[]>`
    select provider, status, status_reason as reason, credential_type as "credentialType", credentials, session,
      session_version as version, rotates, quick_refusals as "quickRefusals",
      session_at > now() - ${QUICK_SECONDS} * interval '1 second' as "isYoung",
      case when refresh_lease is null then 'none'
           when refresh_until > now() then 'held'
           -- after a restart of the server, those who live have had no way to say so
           when pg_postmaster_start_time() > now() - make_interval(secs => ${graceSeconds(leaseSeconds)}) then 'held'
           else 'dead' end as lease
    from connection where id = ${id}
    for no key update`
  if (row === undefined) throw noConnection(id)
  return row
}

const lostAnswer =
  'the answer to a token refresh was lost while refresh tokens rotate: the stored one may be used up, and using it again would revoke the grant'

/** Why no further refresh may be tried, or null. */
function hopeless(state: ConnectionState, refusals: number): string | null {
  if (state.session !== null && state.credentialType === 'access-token')
    return 'the access token was refused, and an access token cannot be renewed'
  if (refusals >= MAX_QUICK_REFUSALS)
    return `${refusals} sessions in a row were refused right after they were opened: the user or the app may not use the API`
  const isRefresh = state.credentialType === 'oauth2-refresh-token'
  if (state.lease === 'dead' && isRefresh && state.rotates) return lostAnswer
  return null
}

/** @param isLeft whether the lease stays with whoever had it: should they live, they know what became of the token */
async function breakLocked(tx: Tx, id: string, reason: string, isLeft = false): Promise<void> {
  await tx`
    update connection set status = 'broken', status_reason = ${reason}, session = null,
      refresh_lease = case when ${isLeft} then refresh_lease end,
      refresh_until = case when ${isLeft} then refresh_until end, quick_refusals = 0, updated_at = now()
    where id = ${id}`
  await announce(tx, 'connection', id)
}

/** Who asks for the right to refresh. */
export interface RefreshAsker {
  /** Seconds without a sign of life after which a refresh under way counts as dead. */
  leaseSeconds: number
  /** Whether this process has been in touch for long enough to judge others by their silence. */
  mayTake: boolean
}

/**
 * Asks for the right to mint a session because the one of `staleVersion` is no good. Granting it leaves a
 * committed mark, so nothing is held open while the login host is called, and a refresh that died
 * leaves a trace.
 *
 * @throws {WritebackError} NOT_FOUND
 */
export async function claimRefresh(
  sql: Sql,
  id: string,
  staleVersion: number,
  { leaseSeconds, mayTake }: RefreshAsker,
): Promise<ClaimAnswer> {
  return sql.begin(async (tx): Promise<ClaimAnswer> => {
    const state = await lockState(tx, id, leaseSeconds)
    if (state.status === 'broken') return { kind: 'broken', reason: state.reason ?? 'unknown' }
    if (state.session !== null && state.version > staleVersion)
      return {
        kind: 'session',
        session: state.session,
        version: state.version,
        isUnproven: state.quickRefusals > 0,
      }
    if (state.lease === 'held' || (state.lease === 'dead' && !mayTake)) return { kind: 'wait' }
    const refusals = state.session !== null && state.isYoung ? state.quickRefusals + 1 : 0
    const reason = hopeless(state, refusals)
    if (reason !== null) {
      await breakLocked(tx, id, reason, reason === lostAnswer)
      return { kind: 'broken', reason }
    }
    const lease = newId()
    await tx`
      update connection set refresh_lease = ${lease},
        refresh_until = now() + make_interval(secs => ${leaseSeconds})
      where id = ${id}`
    const { provider, credentials, rotates } = state
    return {
      kind: 'mint',
      claim: {
        lease,
        provider,
        credentials,
        version: Math.max(state.version, staleVersion) + 1,
        rotates,
        refusals,
      },
    }
  })
}

/**
 * A sign of life of the one who may refresh. One that has run out and that nobody has taken since is
 * taken up again.
 *
 * @returns false when it was lost meanwhile
 */
export async function extendRefresh(
  sql: Sql,
  id: string,
  claim: Claim,
  leaseSeconds: number,
): Promise<boolean> {
  const extended = await sql`
    update connection set refresh_until = now() + make_interval(secs => ${leaseSeconds})
    where id = ${id} and refresh_lease = ${claim.lease} and status = 'working'`
  return extended.count > 0
}

/** What a mint brought, encrypted. */
export interface MintedRow {
  session: Buffer
  /** The credentials with the new refresh token, when the old one is used up. */
  rotatedCredentials: Buffer | null
}

/**
 * Keeps a minted session and what replaces the credentials, in one statement. May be repeated when it is
 * not known whether it was committed. A connection that was broken because this refresh was taken for dead
 * works again: nobody has presented its token since.
 *
 * @returns whether it is kept; false when the right to do so was lost meanwhile
 */
export async function keepSession(sql: Sql, id: string, claim: Claim, minted: MintedRow): Promise<boolean> {
  const kept = await sql`
    update connection set session = ${minted.session}, session_version = ${claim.version}, session_at = now(),
      credentials = coalesce(${minted.rotatedCredentials}::bytea, credentials),
      rotates = ${minted.rotatedCredentials !== null}, quick_refusals = ${claim.refusals},
      status = 'working', status_reason = null, refresh_lease = null, refresh_until = null, updated_at = now()
    where id = ${id} and (refresh_lease = ${claim.lease} or session = ${minted.session})`
  return kept.count > 0
}

/**
 * Gives the right to refresh back with the token as good as before; a connection that was broken because
 * this refresh was taken for dead works again.
 *
 * @returns false when it was lost meanwhile
 */
export async function releaseRefresh(sql: Sql, id: string, claim: Claim): Promise<boolean> {
  const released = await sql`
    update connection set status = 'working', status_reason = null, refresh_lease = null, refresh_until = null
    where id = ${id} and refresh_lease = ${claim.lease}`
  return released.count > 0
}

/** Notes that the provider took the session of this version: those refused before it count no more. */
export async function proveSession(sql: Sql, id: string, version: number): Promise<void> {
  await sql`
    update connection set quick_refusals = 0
    where id = ${id} and session_version = ${version} and quick_refusals > 0`
}

/**
 * Marks a connection broken, unless it was changed or is being refreshed by somebody else by now.
 *
 * @returns whether it is marked, and committed
 */
export async function breakConnection(sql: Sql, id: string, claim: Claim, reason: string): Promise<boolean> {
  return sql.begin(async (tx) => {
    const [held] = await tx`
      select 1 from connection where id = ${id} and refresh_lease = ${claim.lease} for no key update`
    if (held !== undefined) await breakLocked(tx, id, reason)
    return held !== undefined
  })
}

/** The reason given when a refresh's answer was lost under rotation. */
export const lostAnswerReason = lostAnswer
