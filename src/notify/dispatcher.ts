import type { Sql } from '../db/connect.ts'
import type { Clock } from '../kernel/clock.ts'
import { messageOf } from '../kernel/errors.ts'
import { newId } from '../kernel/ids.ts'
import type { Logger } from '../kernel/log.ts'
import type { Telemetry } from '../kernel/telemetry.ts'
import { NOTIFICATION_CHANNEL } from '../model/notification.ts'
import { claimMessages, type ClaimedMessage } from './claim-messages.ts'
import { bodyOf, postSigned } from './message.ts'
import { TIMEOUT_MS, type Posted, type Poster } from './post-message.ts'
import type { SecretCipher } from './secrets.ts'
import { releaseMessages, settleDelivered, settleFailed, type FailedAttempt } from './settle-message.ts'

/*
 * Who sends what is in the outbox. Any number of processes do, each as follows: claim what is due and has room,
 * post each message, record what came of it, claim again.
 *
 * - What is due leaves in the order in which it became due, for each destination by itself: a new event becomes
 *   due when its operation ends, a message that failed at the end of its backoff. So new events begin in their
 *   order, and one that the receiver will never take holds nobody up. Since several are under way at once, they
 *   may still arrive in another order.
 * - A message that failed for the first time is not part of that: it is tried again as soon as it is due, before
 *   anything else of any destination (see claim-messages.ts). What a receiver asks for (`Retry-After`) is done as
 *   far as the first retry stays within its 30 s.
 * - One destination has a bounded number of messages under way, in all processes together, and only a few once
 *   an attempt has failed. A process has a bounded number of slots: it takes that many hanging receivers to use
 *   them up.
 * - A claim runs out some time after the attempt must have ended. Whoever died in between has sent the message
 *   or has not: it is sent again, with the same webhook-id.
 */

/** How messages are sent. */
export interface DispatchSettings {
  /** Milliseconds between two looks at the outbox for what no hint announced. */
  pollMs: number
  /** Messages that this process may have under way. */
  slots: number
  /** Messages that a destination may have under way, and one whose last attempt failed; first retries aside. */
  perDestination: number
  whileFailing: number
  /** Messages of a destination that may be between their first try and the end of their first retry. */
  firstRetries: number
  /** Seconds after which a claim is taken for lost; more than an attempt may take. */
  leaseSeconds: number
  /**
   * Upper bounds of the waits between attempts, in seconds: the first, by what each next one grows, and the last;
   * and what a receiver may ask the first wait to be.
   */
  retry: { firstSeconds: number; factor: number; maxSeconds: number; askedFirstSeconds: number }
}

/**
 * The first retry is due after 10 s at most, or 13 where the receiver asks for it: with a poll, and an attempt that
 * has to end before a slot is free, it comes within 30. About twenty attempts fit into a day.
 */
export const defaultDispatch: DispatchSettings = {
  pollMs: 1_000,
  slots: 256,
  perDestination: 8,
  whileFailing: 2,
  firstRetries: 32,
  leaseSeconds: TIMEOUT_MS / 1000 + 15,
  retry: { firstSeconds: 10, factor: 2.5, maxSeconds: 7_200, askedFirstSeconds: 13 },
}

/** What {@link startDispatcher} needs. */
export interface DispatcherOptions {
  sql: Sql
  cipher: SecretCipher
  poster: Poster
  clock: Clock
  logger: Logger
  random: () => number
  telemetry?: Pick<Telemetry, 'delivered' | 'deliveryGivenUp' | 'destinationOff'>
  settings?: Partial<DispatchSettings>
}

/** Sends what is in the outbox, until it is stopped. */
export interface Dispatcher {
  /** Messages under way. */
  readonly active: number
  /** Claims nothing more, lets what is under way end for at most `drainMs`, then cuts it off and gives it back. */
  stop: (drainMs?: number) => Promise<void>
}

/** Milliseconds that what is under way may take to end when the process stops. */
const DRAIN_MS = TIMEOUT_MS
/** How often an outcome is recorded in vain before the claim is left to run out, and the pause between. */
const RECORDING = { tries: 5, pauseMs: 500 }

/** Begins to send. */
export async function startDispatcher(options: DispatcherOptions): Promise<Dispatcher> {
  const dispatching = new Dispatching(options)
  const subscription = await options.sql.listen(
    NOTIFICATION_CHANNEL,
    (destinationId) => dispatching.wake(destinationId),
    () => dispatching.wake(null),
  )
  return {
    get active() {
      return dispatching.active
    },
    stop: async (drainMs = DRAIN_MS) => {
      const draining = dispatching.stop(drainMs)
      await subscription.unlisten()
      await draining
    },
  }
}

/** Seconds until the next attempt: between half and all of a bound that grows with each. */
export function retryDelay(
  attempts: number,
  { retry }: Pick<DispatchSettings, 'retry'>,
  random: number,
): number {
  const bound = Math.min(retry.maxSeconds, retry.firstSeconds * retry.factor ** Math.min(attempts - 1, 40))
  return bound * (0.5 + random / 2)
}

/** Seconds that a receiver may keep the next attempt off: not past the last wait, nor the first retry past its time. */
const askedDelay = (
  attempts: number,
  { retry }: Pick<DispatchSettings, 'retry'>,
  retryAfterSeconds: number | null,
): number => Math.min(retryAfterSeconds ?? 0, attempts === 1 ? retry.askedFirstSeconds : retry.maxSeconds)

class Dispatching {
  readonly #options: DispatcherOptions
  readonly #settings: DispatchSettings
  /** By the claim, not by the message: one whose claim ran out here may be claimed here again. */
  readonly #underWay = new Map<ClaimedMessage, Promise<void>>()
  readonly #cut = new AbortController()
  /** Destinations that a hint named since the last look; `all` after a gap. */
  #hinted: Set<string> | 'all' = new Set()
  #looking: Promise<void> | null = null
  #isStopping = false
  #cancelPoll: () => void = () => undefined
  #isAway = false

  constructor(options: DispatcherOptions) {
    this.#options = options
    this.#settings = { ...defaultDispatch, ...options.settings }
  }

  get active(): number {
    return this.#underWay.size
  }

  /** Looks for what is due, for one destination or for all of them. */
  wake(destinationId: string | null): void {
    if (destinationId === null) this.#hinted = 'all'
    else if (this.#hinted !== 'all') this.#hinted.add(destinationId)
    if (this.#isStopping || this.active >= this.#settings.slots) return
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null
      if (this.#isStopping) return
      if (this.#hasHints() && this.active < this.#settings.slots && !this.#isAway) this.wake(null)
      else this.#poll()
    })
  }

  #hasHints(): boolean {
    return this.#hinted === 'all' || this.#hinted.size > 0
  }

  #poll(): void {
    this.#cancelPoll()
    this.#cancelPoll = this.#options.clock.after(this.#settings.pollMs, () => this.wake(null))
  }

  async #look(): Promise<void> {
    while (!this.#isStopping && this.#hasHints()) {
      const slots = this.#settings.slots - this.active
      if (slots <= 0) return
      const only = this.#hinted === 'all' ? null : [...this.#hinted]
      this.#hinted = new Set()
      const claimed = await this.#claim(slots, only)
      for (const message of claimed) this.#begin(message)
      // There may be more of it.
      if (claimed.length === slots) this.#hinted = 'all'
    }
  }

  async #claim(slots: number, only: string[] | null): Promise<ClaimedMessage[]> {
    const { sql, logger } = this.#options
    try {
      const claimed = await claimMessages(sql, newId(), { ...this.#settings, slots }, only)
      this.#isAway = false
      return claimed
    } catch (error) {
      const line = { error: messageOf(error) }
      if (this.#isAway) logger.debug(line, 'the outbox could not be read')
      else logger.warn(line, 'the outbox could not be read; it is tried again')
      this.#isAway = true
      return []
    }
  }

  #begin(message: ClaimedMessage): void {
    const { logger } = this.#options
    const end = this.#deliver(message)
      .catch((error: unknown) => {
        logger.error({ err: error, notificationId: message.id }, 'a delivery failed inside the service')
      })
      .finally(() => {
        this.#underWay.delete(message)
        this.wake(message.target.id)
      })
    this.#underWay.set(message, end)
  }

  async #deliver(message: ClaimedMessage): Promise<void> {
    const { clock } = this.#options
    const begun = clock.monotonic()
    const posted = await this.#post(message)
    if (posted.error !== null && this.#cut.signal.aborted) return
    const durationMs = Math.round(clock.monotonic() - begun)
    const result = posted.error === null ? 'delivered' : posted.status === null ? 'unanswered' : 'refused'
    this.#options.telemetry?.delivered(result, durationMs / 1000)
    if (posted.error === null) await this.#delivered(message, posted, durationMs)
    else await this.#failed(message, posted, posted.error, durationMs)
  }

  #post({ id, target, events, isDigest }: ClaimedMessage): Promise<Posted> {
    const { cipher, poster, clock } = this.#options
    const message = { id, body: bodyOf(events, isDigest) }
    return postSigned({ poster, cipher, now: clock.now() }, target, message, this.#cut.signal)
  }

  async #delivered(message: ClaimedMessage, { status }: Posted, durationMs: number): Promise<void> {
    const { sql, logger } = this.#options
    const recorded = await this.#record(() => settleDelivered(sql, { ...message, status }))
    logger.debug(
      { ...lineOf(message), status, durationMs, recorded: recorded !== null },
      'a notification was delivered',
    )
    if (recorded?.worksAgain === true)
      logger.info({ destinationId: message.target.id }, 'a destination works again')
  }

  async #failed(message: ClaimedMessage, posted: Posted, error: string, durationMs: number): Promise<void> {
    const { sql, logger, random, telemetry } = this.#options
    const { id, claimId, attempts, target } = message
    const delaySeconds = retryDelay(attempts, this.#settings, random())
    const attempt: FailedAttempt = {
      id,
      claimId,
      status: posted.status,
      error,
      delaySeconds,
      askedSeconds: askedDelay(attempts, this.#settings, posted.retryAfterSeconds),
      isGone: posted.status === 410,
    }
    const failed = await this.#record(() => settleFailed(sql, attempt))
    const { isOver, failsNow, disabled } = failed ?? { isOver: false, failsNow: false, disabled: null }
    const line = { ...lineOf(message), status: posted.status, error, durationMs }
    if (isOver) {
      telemetry?.deliveryGivenUp()
      logger.warn(line, 'a notification was given up')
    } else
      logger.debug({ ...line, delaySeconds: Math.round(delaySeconds) }, 'a notification was not delivered')
    // Once, not for every message that waits for it.
    const { id: destinationId } = target
    if (failsNow) logger.warn({ destinationId, status: posted.status, error }, 'a destination fails')
    if (disabled === null) return
    telemetry?.destinationOff(disabled)
    logger.warn({ destinationId, reason: disabled, error }, 'a destination was switched off')
  }

  /** Null when the database stays away: the claim runs out, and the message is sent again. */
  async #record<T>(write: () => Promise<T>): Promise<T | null> {
    const { clock, logger } = this.#options
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await write()
      } catch (error) {
        if (attempt === RECORDING.tries || this.#cut.signal.aborted) {
          logger.warn({ error: messageOf(error) }, 'what came of a notification could not be recorded')
          return null
        }
        await new Promise<void>((resolve) => clock.after(RECORDING.pauseMs, resolve))
      }
    }
  }

  async stop(drainMs: number): Promise<void> {
    const { clock, sql, logger } = this.#options
    this.#isStopping = true
    this.#cancelPoll()
    await this.#looking
    const cancel = clock.after(drainMs, () => this.#cut.abort(new Error('The process stops.')))
    const unsettled = new Set(this.#underWay.keys())
    const ends = [...this.#underWay].map(async ([message, end]) => {
      await end
      if (!this.#cut.signal.aborted) unsettled.delete(message)
    })
    await Promise.all(ends)
    cancel()
    if (unsettled.size === 0) return
    await releaseMessages(sql, [...unsettled]).catch((error: unknown) => {
      logger.warn({ error: messageOf(error) }, 'notifications under way are left until their claims run out')
    })
  }
}

/** What a log line says of a message: never its URL, which may hold a token, nor what it tells. */
const lineOf = ({ id, target, attempts, events }: ClaimedMessage) => ({
  notificationId: id,
  destinationId: target.id,
  events: events.length,
  attempt: attempts,
})
