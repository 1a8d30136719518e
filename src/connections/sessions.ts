import { setTimeout as sleep } from 'node:timers/promises'
import type { Sql } from '../db/connect.ts'
import { isDatabaseUnavailable } from '../db/pg-errors.ts'
import { fullJitter } from '../kernel/backoff.ts'
import { systemClock, type Clock } from '../kernel/clock.ts'
import { messageOf } from '../kernel/errors.ts'
import type { Logger } from '../kernel/log.ts'
import type { Credentials, MintedSession, Session } from '../model/credentials.ts'
import { DEFAULT_LEASE_SECONDS, graceSeconds } from '../model/lease.ts'
import { announcedConnection, SETUP_CHANNEL } from './announce.ts'
import { CipherError, type Cipher } from './cipher.ts'
import { credentialsPurpose, sessionPurpose } from './connections.ts'
import { Cooldowns } from './cooldowns.ts'
import { dropOldest, HeldSessions, type OpenSession } from './held-sessions.ts'
import { answerInTime, holdingRefresh, type RefreshLease } from './refresh-lease.ts'
import { ConnectionBroken, isMintFailure, SessionUnavailable } from './session-errors.ts'
import {
  breakConnection,
  claimRefresh,
  keepSession,
  lostAnswerReason,
  proveSession,
  readSession,
  releaseRefresh,
  type Claim,
  type ClaimAnswer,
} from './session-store.ts'

export type { OpenSession } from './held-sessions.ts'

/*
 * Sessions, shared by all processes.
 *
 * One process at a time refreshes a connection. Who may is decided under a lock of the connection's row,
 * and the right is a lease committed before the login host is called: a lock held during that call
 * would tie up a connection of the pool for as long as a slow login host likes, so that a few of them
 * could stop every other customer's writes, and a process that dies in the call would leave no trace. For
 * as long as it is at it, the process gives signs of life; silent for the length of the lease, it counts as
 * dead. Not before a process that was out of touch itself, or a server that was restarted, has left those
 * who live the time to say so. One that cannot give its signs stops its call when its lease runs out.
 *
 * What is minted is committed before anybody gets it. Under refresh token rotation (facts 1.2) the token
 * that was used is spent, so the new one is saved with all that the lease's time allows, and a token
 * known to be spent is never presented again.
 *
 * A lost answer is the hard case: whether the token was spent is not known. While rotation has not been
 * seen for the connection, the refresh is simply tried again. Once it has been seen, an answer that did
 * not come (cut off, timed out, the process died) breaks the connection: presenting a spent token
 * would read as theft and revoke the grant. Should a process live that was taken for dead, it mends that:
 * nobody else has presented the token, so its call goes on, and what it learns is saved. An answer that did come and says that the login host failed
 * (5xx) is tried again all the same: it handed out no token that it knows of, and breaking there would
 * turn each short outage of a login host into a new consent by every customer.
 *
 * A session that is refused again and again right after it was minted is refused for what it is, not for
 * its age: after three within a minute each, none of which the provider ever took, the connection is broken.
 *
 * New credentials take the lease from a refresh under way, which then can change nothing any more, and
 * nobody waits for it: whoever did asks anew.
 */

/**
 * Opens sessions at the provider; the signal says when its answer is of no use any more. Fails with an error
 * of the shape of `SessionError`.
 */
export type Mint = (provider: string, credentials: Credentials, signal: AbortSignal) => Promise<MintedSession>

export interface SessionsOptions {
  sql: Sql
  cipher: Cipher
  mint: Mint
  logger: Logger
  clock?: Clock
  /** Seconds without a sign of life after which a refresh under way counts as dead (default 30). The same for all processes. */
  leaseSeconds?: number
  /** The most sessions held in memory (default 20,000). */
  max?: number
}

/**
 * Both calls fail with {@link ConnectionBroken} when new credentials are needed, with
 * {@link SessionUnavailable} when trying later makes sense, and with the database's own error when it is
 * away: no session is minted that cannot be kept.
 */
export interface Sessions {
  /** The connection's session: from memory, from the database, or a new one. */
  get(connectionId: string): Promise<OpenSession>
  /** A session newer than the one that the provider refused: another process's, or a new one. */
  refresh(connectionId: string, staleVersion: number): Promise<OpenSession>
  /**
   * To be told of a session that the provider took, in whatever it then answered. Without it, sessions that
   * live for less than a minute look like sessions that never worked, and the connection is broken.
   */
  worked(connectionId: string, version: number): void
  /** Sets the listener that is told, in every process, that a connection has new credentials. */
  onRenewed(listener: (connectionId: string) => void): void
  /** Begins to listen for changed connections; until then a changed one is noticed when it is refused. */
  start(): Promise<void>
  stop(): Promise<void>
}

/** How long one waits for another process's refresh before looking again, in milliseconds. */
const waiting = { firstMs: 50, longestMs: 500 }
/** Milliseconds after which a login host's answer counts as lost, whatever the provider's own limits are. */
const MINT_MS = 45_000
/** Milliseconds for which a minted session is tried to be saved: a rotated token that is not costs the customer a new consent. */
const KEEP_MS = 45_000
/** Milliseconds after which a session in question is used although the database has not said yet how it is. */
const LOAD_PATIENCE_MS = 1_000

/** One run that several callers wait for. */
interface Flight {
  result: Promise<OpenSession>
  /** Resolves when its result is not worth waiting for any more. */
  overtaken: PromiseWithResolvers<null>
}

class SessionKeeper implements Sessions {
  readonly #options: Required<SessionsOptions>
  readonly #held: HeldSessions
  readonly #flights = new Map<string, Flight>()
  readonly #cooldowns: Cooldowns
  /** Versions of sessions whose predecessors were refused right away, until they have worked. */
  readonly #unproven = new Map<string, number>()
  #renewed: (connectionId: string) => void = () => undefined
  #listening: { unlisten: () => Promise<void> } | null = null
  /** When this process was last known to be out of touch with the database, by the monotonic clock. */
  #awayAt = -Infinity

  constructor(options: Required<SessionsOptions>) {
    this.#options = options
    this.#held = new HeldSessions(options.max)
    this.#cooldowns = new Cooldowns(options.clock, options.max)
  }

  async get(connectionId: string): Promise<OpenSession> {
    const held = this.#held.get(connectionId)
    if (held !== undefined && !this.#held.isInQuestion(connectionId)) return held
    const loaded = this.#once('get', connectionId, () => this.#load(connectionId))
    return held === undefined ? loaded : this.#loadedOr(connectionId, held, loaded)
  }

  async refresh(connectionId: string, staleVersion: number): Promise<OpenSession> {
    const held = this.#held.get(connectionId)
    if (held !== undefined && held.version > staleVersion) return held
    const open = await this.#once('renew', connectionId, () => this.#renew(connectionId, staleVersion))
    // the flight that was joined may have been for an older session than the one refused here
    return open.version > staleVersion ? open : this.refresh(connectionId, staleVersion)
  }

  worked(connectionId: string, version: number): void {
    if (this.#unproven.get(connectionId) !== version) return
    this.#unproven.delete(connectionId)
    const { sql, logger } = this.#options
    proveSession(sql, connectionId, version).catch((error: unknown) => {
      logger.warn({ connectionId, reason: messageOf(error) }, 'that a session works could not be saved')
    })
  }

  onRenewed(listener: (connectionId: string) => void): void {
    this.#renewed = listener
  }

  async start(): Promise<void> {
    const { sql } = this.#options
    let isFirst = true
    const connected = (): void => {
      if (!isFirst) this.#awayAt = this.#options.clock.monotonic()
      isFirst = false
      this.#questionAll()
    }
    this.#listening ??= await sql.listen(SETUP_CHANNEL, (payload) => this.#hear(payload), connected)
  }

  async stop(): Promise<void> {
    const ended = this.#listening
    this.#listening = null
    await ended?.unlisten()
  }

  #hear(payload: string): void {
    const connection = announcedConnection(payload)
    if (connection === null) return
    const { id, isRenewed } = connection
    this.#held.dropChanged(id)
    this.#cooldowns.forget(id)
    if (!isRenewed) return
    for (const what of ['get', 'renew'] as const) {
      this.#flights.get(`${what} ${id}`)?.overtaken.resolve(null)
      this.#flights.delete(`${what} ${id}`)
    }
    this.#renewed(id)
  }

  /** What was said meanwhile was missed. */
  #questionAll(): void {
    this.#held.questionAll()
    this.#cooldowns.forgetAll()
  }

  /** The session in question while the database is away or slow; as it is there otherwise. */
  async #loadedOr(id: string, held: OpenSession, loaded: Promise<OpenSession>): Promise<OpenSession> {
    const { clock } = this.#options
    const { promise: patience, resolve } = Promise.withResolvers<null>()
    const cancel = clock.after(LOAD_PATIENCE_MS, () => resolve(null))
    try {
      const first = await Promise.race([loaded, patience])
      // Known to be no good by now, it is no longer held.
      return first ?? (this.#held.get(id) === held ? held : await loaded)
    } catch (error) {
      if (isDatabaseUnavailable(error) && this.#held.get(id) === held) return held
      throw error
    } finally {
      cancel()
    }
  }

  /** Shares one run among all who ask for the same meanwhile; one that is overtaken is made anew. */
  async #once(what: 'get' | 'renew', id: string, run: () => Promise<OpenSession>): Promise<OpenSession> {
    const key = `${what} ${id}`
    for (;;) {
      const flight = this.#flights.get(key) ?? this.#takeOff(key, run)
      const open = await Promise.race([flight.result, flight.overtaken.promise])
      if (open !== null) return open
    }
  }

  #takeOff(key: string, run: () => Promise<OpenSession>): Flight {
    const result = run().finally(() => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key)
    })
    const flight: Flight = { result, overtaken: Promise.withResolvers<null>() }
    this.#flights.set(key, flight)
    return flight
  }

  async #load(id: string): Promise<OpenSession> {
    const { changes } = this.#held
    const stored = await readSession(this.#options.sql, id)
    if (stored.status === 'broken' || stored.session === null) this.#held.drop(id)
    if (stored.status === 'broken') throw new ConnectionBroken(id, stored.reason ?? 'unknown')
    if (stored.session === null) return this.refresh(id, stored.version)
    return this.#held.keep(id, this.#readSession(id, { ...stored, session: stored.session }), changes)
  }

  async #renew(id: string, staleVersion: number): Promise<OpenSession> {
    this.#cooldowns.check(id)
    this.#held.drop(id)
    for (let waitMs = waiting.firstMs; ; waitMs = Math.min(waitMs * 2, waiting.longestMs)) {
      const { changes } = this.#held
      const askedAt = this.#options.clock.monotonic()
      const answer = await this.#claim(id, staleVersion)
      if (answer.kind === 'broken') throw new ConnectionBroken(id, answer.reason)
      if (answer.kind === 'session') return this.#held.keep(id, this.#readSession(id, answer), changes)
      if (answer.kind === 'mint') {
        const minted = await holdingRefresh(this.#options, id, answer.claim, askedAt, (lease) =>
          this.#mint(id, answer.claim, lease),
        )
        if (minted !== null) return this.#held.keep(id, minted, changes)
      } else await sleep(waitMs * (0.5 + Math.random()))
    }
  }

  async #claim(id: string, staleVersion: number): Promise<ClaimAnswer> {
    const { sql, clock, leaseSeconds } = this.#options
    const mayTake = clock.monotonic() - this.#awayAt >= graceSeconds(leaseSeconds) * 1000
    try {
      return await claimRefresh(sql, id, staleVersion, { leaseSeconds, mayTake })
    } catch (error) {
      if (isDatabaseUnavailable(error)) this.#awayAt = clock.monotonic()
      throw error
    }
  }

  /** A new session; null when the right to open one was lost meanwhile, so that the connection must be looked at again. */
  async #mint(id: string, claim: Claim, lease: RefreshLease): Promise<OpenSession | null> {
    const { cipher, logger } = this.#options
    let credentials: Credentials
    try {
      credentials = JSON.parse(cipher.decrypt(claim.credentials, credentialsPurpose(id))) as Credentials
    } catch (error) {
      await releaseRefresh(this.#options.sql, id, claim)
      throw this.#unreadable(id, error)
    }
    // held up for so long that another may be at it
    if (lease.leftMs() <= 0) {
      await releaseRefresh(this.#options.sql, id, claim)
      return null
    }
    const minted = await this.#callProvider(id, claim, credentials, lease)
    if (minted === null) return null
    const { rotatedRefreshToken, ...session } = minted
    const rotated =
      credentials.type === 'oauth2-refresh-token' && rotatedRefreshToken !== undefined
        ? JSON.stringify({ ...credentials, refreshToken: rotatedRefreshToken })
        : null
    const isKept = await this.#keepInTime(id, claim, {
      session: cipher.encrypt(JSON.stringify(session), sessionPurpose(id)),
      rotatedCredentials: rotated === null ? null : cipher.encrypt(rotated, credentialsPurpose(id)),
    })
    if (!isKept) return null
    this.#cooldowns.forget(id)
    this.#noteProof(id, claim.version, claim.refusals > 0)
    logger.info({ connectionId: id, version: claim.version, rotated: rotated !== null }, 'session opened')
    return { session, version: claim.version }
  }

  async #callProvider(
    id: string,
    claim: Claim,
    credentials: Credentials,
    lease: RefreshLease,
  ): Promise<MintedSession | null> {
    const { mint, clock } = this.#options
    const endsAt = clock.monotonic() + MINT_MS
    // With rotation nobody else presents the token, whoever counts as dead: then the answer is worth more than the lease.
    const leftMs = (): number => {
      const left = endsAt - clock.monotonic()
      return claim.rotates ? left : Math.min(left, lease.leftMs())
    }
    try {
      return await answerInTime(clock, leftMs, (signal) => mint(claim.provider, credentials, signal))
    } catch (error) {
      return await this.#fail(id, claim, credentials, error)
    }
  }

  /** Settles a mint that brought nothing: broken, or to be tried again. Null when that is not its to say any more. */
  async #fail(id: string, claim: Claim, credentials: Credentials, error: unknown): Promise<null> {
    const { sql, logger } = this.#options
    // anything else is a fault of ours; breaking customers' connections would not mend it
    const { kind, code } = isMintFailure(error) ? error : ({ kind: 'transient', code: 'UNKNOWN' } as const)
    logger.warn({ connectionId: id, kind, code, reason: messageOf(error) }, 'no session could be opened')
    const isLost =
      kind === 'ambiguous' &&
      !/^HTTP_5\d\d$/.test(code) &&
      claim.rotates &&
      credentials.type === 'oauth2-refresh-token'
    if (kind === 'permanent' || isLost) {
      const reason = isLost ? lostAnswerReason : messageOf(error)
      if (await breakConnection(sql, id, claim, reason)) throw new ConnectionBroken(id, reason)
      return null
    }
    if (!(await releaseRefresh(sql, id, claim))) return null
    throw this.#cooldowns.note(id, new SessionUnavailable(id, kind, messageOf(error), error))
  }

  /**
   * Saves a minted session, trying again while the database is away. Whoever took this refresh for dead
   * meanwhile has broken the connection, which this mends, or has another session, which stays.
   */
  async #keepInTime(id: string, claim: Claim, minted: Parameters<typeof keepSession>[3]): Promise<boolean> {
    const { sql, clock, logger } = this.#options
    const giveUpAt = clock.monotonic() + KEEP_MS
    for (let attempt = 1; ; attempt++) {
      try {
        return await keepSession(sql, id, claim, minted)
      } catch (error) {
        if (!isDatabaseUnavailable(error) || clock.monotonic() > giveUpAt) throw error
        logger.warn(
          { connectionId: id, attempt, reason: messageOf(error) },
          'an opened session is not saved yet',
        )
        await sleep(100 + fullJitter(attempt, { baseMs: 200, capMs: 2_000 }, Math.random()))
      }
    }
  }

  #readSession(id: string, stored: { session: Buffer; version: number; isUnproven: boolean }): OpenSession {
    try {
      const text = this.#options.cipher.decrypt(stored.session, sessionPurpose(id))
      this.#noteProof(id, stored.version, stored.isUnproven)
      return { session: JSON.parse(text) as Session, version: stored.version }
    } catch (error) {
      throw this.#unreadable(id, error)
    }
  }

  #noteProof(id: string, version: number, isUnproven: boolean): void {
    if (!isUnproven) this.#unproven.delete(id)
    else this.#unproven.set(id, version)
    dropOldest(this.#unproven, this.#options.max)
  }

  /** What cannot be decrypted is the operator's to mend (a missing key), not the customer's. */
  #unreadable(id: string, error: unknown): unknown {
    if (!(error instanceof CipherError)) return error
    this.#options.logger.error(
      { connectionId: id, reason: error.message },
      'stored credentials cannot be read',
    )
    return new SessionUnavailable(id, 'transient', 'the stored credentials cannot be read', error)
  }
}

/** Creates the sessions of one process; call `start` to have them follow changes at once. */
export const createSessions = (options: SessionsOptions): Sessions =>
  new SessionKeeper({ clock: systemClock, leaseSeconds: DEFAULT_LEASE_SECONDS, max: 20_000, ...options })
