import { setTimeout as sleep } from 'node:timers/promises'
import type { Sql } from '../db/connect.ts'
import { isDatabaseUnavailable } from '../db/pg-errors.ts'
import { fullJitter } from '../kernel/backoff.ts'
import { systemClock, type Clock } from '../kernel/clock.ts'
import { messageOf } from '../kernel/errors.ts'
import type { Logger } from '../kernel/log.ts'
import type { Credentials, MintedSession, Session } from '../model/credentials.ts'
import { announcedConnection, SETUP_CHANNEL } from './announce.ts'
import { CipherError, type Cipher } from './cipher.ts'
import { credentialsPurpose, sessionPurpose } from './connections.ts'
import { ConnectionBroken, isMintFailure, SessionUnavailable, type MintFailure } from './session-errors.ts'
import {
  breakConnection,
  claimRefresh,
  keepSession,
  LEASE_SECONDS,
  lostAnswerReason,
  proveSession,
  readSession,
  releaseRefresh,
  type Claim,
} from './session-store.ts'

/*
 * Sessions, shared by all processes.
 *
 * One process at a time refreshes a connection. Who may is decided under a lock of the connection's row,
 * and the right is a lease committed before the login host is called: a lock held during that call
 * would tie up a connection of the pool for as long as a slow login host likes, so that a few of them
 * could stop every other customer's writes, and a process that dies in the call would leave no trace.
 *
 * What is minted is committed before anybody gets it. Under refresh token rotation (facts 1.2) the token
 * that was used is spent, so the new one is saved with all that the lease's time allows, and a token
 * known to be spent is never presented again.
 *
 * A lost answer is the hard case: whether the token was spent is not known. While rotation has not been
 * seen for the connection, the refresh is simply tried again. Once it has been seen, an answer that did
 * not come (cut off, timed out, the process died) breaks the connection: presenting a spent token
 * would read as theft and revoke the grant. An answer that did come and says that the login host failed
 * (5xx) is tried again all the same: it handed out no token that it knows of, and breaking there would
 * turn each short outage of a login host into a new consent by every customer.
 *
 * A session that is refused again and again right after it was minted is refused for what it is, not for
 * its age: after three within a minute each, none of which the provider ever took, the connection is broken.
 *
 * New credentials take the lease from a refresh under way, which then can change nothing any more, and
 * nobody waits for it: whoever did asks anew.
 */

/** A session and its number; the number says which one was refused when a new one is asked for. */
export interface OpenSession {
  session: Session
  version: number
}

/** Opens sessions at the provider. Fails with an error of the shape of `SessionError`. */
export type Mint = (provider: string, credentials: Credentials) => Promise<MintedSession>

export interface SessionsOptions {
  sql: Sql
  cipher: Cipher
  mint: Mint
  logger: Logger
  clock?: Clock
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
/** Bounds of the wait after a failure that is not the credentials' fault: login hosts limit log-ins too. */
const cooldown = { baseMs: 1_000, capMs: 30_000 }

interface Cooldown {
  until: number
  failures: number
  error: SessionUnavailable
}

/** Keeps a map within its bound by dropping what was put in first. */
function dropOldest(map: Map<string, unknown>, max: number): void {
  if (map.size <= max) return
  const [oldest] = map.keys()
  if (oldest !== undefined) map.delete(oldest)
}

/** One run that several callers wait for. */
interface Flight {
  result: Promise<OpenSession>
  /** Resolves when its result is not worth waiting for any more. */
  overtaken: PromiseWithResolvers<null>
}

class SessionKeeper implements Sessions {
  readonly #options: Required<SessionsOptions>
  readonly #open = new Map<string, OpenSession>()
  readonly #flights = new Map<string, Flight>()
  readonly #cooldowns = new Map<string, Cooldown>()
  /** Versions of sessions whose predecessors were refused right away, until they have worked. */
  readonly #unproven = new Map<string, number>()
  #renewed: (connectionId: string) => void = () => undefined
  /** Counts what was dropped, so that a load that began before is not kept after. */
  #drops = 0
  #listening: { unlisten: () => Promise<void> } | null = null

  constructor(options: Required<SessionsOptions>) {
    this.#options = options
  }

  async get(connectionId: string): Promise<OpenSession> {
    return (
      this.#open.get(connectionId) ?? (await this.#once('get', connectionId, () => this.#load(connectionId)))
    )
  }

  async refresh(connectionId: string, staleVersion: number): Promise<OpenSession> {
    const held = this.#open.get(connectionId)
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
    this.#listening ??= await sql.listen(
      SETUP_CHANNEL,
      (payload) => this.#hear(payload),
      () => this.#dropAll(),
    )
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
    this.#drops++
    this.#open.delete(id)
    this.#cooldowns.delete(id)
    if (!isRenewed) return
    for (const what of ['get', 'renew'] as const) {
      this.#flights.get(`${what} ${id}`)?.overtaken.resolve(null)
      this.#flights.delete(`${what} ${id}`)
    }
    this.#renewed(id)
  }

  #dropAll(): void {
    this.#drops++
    this.#open.clear()
    this.#cooldowns.clear()
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
    const drops = this.#drops
    const stored = await readSession(this.#options.sql, id)
    if (stored.status === 'broken') throw new ConnectionBroken(id, stored.reason ?? 'unknown')
    if (stored.session === null) return this.refresh(id, stored.version)
    return this.#hold(id, this.#readSession(id, { ...stored, session: stored.session }), drops)
  }

  /** Keeps a session in memory, unless the connection changed since `drops` was read. */
  #hold(id: string, open: OpenSession, drops: number): OpenSession {
    const held = this.#open.get(id)
    if (held !== undefined && held.version > open.version) return held
    if (drops !== this.#drops) return open
    this.#open.set(id, open)
    dropOldest(this.#open, this.#options.max)
    return open
  }

  async #renew(id: string, staleVersion: number): Promise<OpenSession> {
    const cooling = this.#cooldowns.get(id)
    if (cooling !== undefined && cooling.until > this.#options.clock.monotonic()) throw cooling.error
    this.#open.delete(id)
    for (let waitMs = waiting.firstMs; ; waitMs = Math.min(waitMs * 2, waiting.longestMs)) {
      const drops = this.#drops
      const answer = await claimRefresh(this.#options.sql, id, staleVersion)
      if (answer.kind === 'broken') throw new ConnectionBroken(id, answer.reason)
      if (answer.kind === 'session') return this.#hold(id, this.#readSession(id, answer), drops)
      if (answer.kind === 'mint') {
        const minted = await this.#mint(id, answer.claim)
        if (minted !== null) return this.#hold(id, minted, drops)
      } else await sleep(waitMs * (0.5 + Math.random()))
    }
  }

  /** A new session; null when the right to open one was lost meanwhile, so that the connection must be looked at again. */
  async #mint(id: string, claim: Claim): Promise<OpenSession | null> {
    const { cipher, logger } = this.#options
    let credentials: Credentials
    try {
      credentials = JSON.parse(cipher.decrypt(claim.credentials, credentialsPurpose(id))) as Credentials
    } catch (error) {
      await releaseRefresh(this.#options.sql, id, claim)
      throw this.#unreadable(id, error)
    }
    const minted = await this.#callProvider(id, claim, credentials)
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
    this.#cooldowns.delete(id)
    this.#noteProof(id, claim.version, claim.refusals > 0)
    logger.info({ connectionId: id, version: claim.version, rotated: rotated !== null }, 'session opened')
    return { session, version: claim.version }
  }

  async #callProvider(id: string, claim: Claim, credentials: Credentials): Promise<MintedSession | null> {
    const { mint, clock } = this.#options
    let cancel: () => void = () => undefined
    // ends well before the lease does, whatever the provider's own limits are
    const late = new Promise<never>((_, reject) => {
      const error: Error & Partial<MintFailure> = new Error('The login host did not answer in time')
      Object.assign(error, { name: 'SessionError', kind: 'ambiguous', code: 'TIMEOUT' })
      cancel = clock.after((LEASE_SECONDS * 1000) / 2, () => reject(error))
    })
    try {
      return await Promise.race([mint(claim.provider, credentials), late])
    } catch (error) {
      return await this.#fail(id, claim, credentials, error)
    } finally {
      cancel()
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
    throw this.#cool(id, new SessionUnavailable(id, kind, messageOf(error), error))
  }

  /** Remembers a failure, so that what waits for the connection does not besiege its login host. */
  #cool(id: string, error: SessionUnavailable): SessionUnavailable {
    const failures = (this.#cooldowns.get(id)?.failures ?? 0) + 1
    const waitMs = cooldown.baseMs / 2 + fullJitter(failures, cooldown, Math.random())
    this.#cooldowns.set(id, { until: this.#options.clock.monotonic() + waitMs, failures, error })
    dropOldest(this.#cooldowns, this.#options.max)
    return error
  }

  /**
   * Saves a minted session. With the database away it tries for as long as the lease lasts: a rotated
   * token that is not saved costs the customer a new consent.
   */
  async #keepInTime(id: string, claim: Claim, minted: Parameters<typeof keepSession>[3]): Promise<boolean> {
    const { sql, clock, logger } = this.#options
    const giveUpAt = clock.monotonic() + (LEASE_SECONDS * 1000) / 2
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
  new SessionKeeper({ clock: systemClock, max: 20_000, ...options })
