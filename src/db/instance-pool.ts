/**
 * A pool of driver instances with one connection each, where an instance lives no longer than its
 * connection.
 *
 * postgres 3.4.9 speaks the protocol well, but does not get over the loss of a connection, which a queue
 * has to:
 *
 * 1. `BEGIN` sent down a busy connection at the wrong moment (a full pipeline, a full socket buffer) is
 *    not followed by the reservation: the transaction stays open on a connection that goes back to the
 *    driver's pool, and others' statements run inside it (its issues 823, 1189).
 * 2. When the connection is lost while a transaction is open, the next statement of it, even the
 *    driver's own ROLLBACK, writes to a socket that is gone. That throws outside of any promise and ends
 *    the process.
 * 3. A connection that the server ended in the middle of a statement keeps the error, and rejects with
 *    it the first statement after it has reconnected.
 * 4. A statement sent between the error of a socket and its close is never answered.
 * 5. Bytes that were waiting to be written when the connection was lost are written first after it has
 *    reconnected, and only once many more have come: the connection hangs.
 * 6. A connection that is closed before the server has greeted it is opened again at once, for ever.
 *
 * One statement or transaction at a time per connection rules out 1; never reconnecting rules out 3, 5
 * and 6 (see open-socket); users of an instance see to 2 and 4 when they are told that it closed.
 */
import type postgres from 'postgres'

type Sql = postgres.Sql

/** The part of the driver's lazy query that stands between its creation and the connection. */
export interface PendingQuery {
  handler: (query: PendingQuery) => void
  reject: (error: Error) => void
}

/** A driver instance, lent to one user at a time. */
export interface Instance {
  readonly sql: Sql
  /** Called at once when the connection closes, or is given up for dead, while the instance is lent. */
  onclose: () => void
  /** To be called when something is sent; the result, when it was answered. */
  watch(): () => void
}

/** Lends instances, opening up to `size`; more users wait their turn, first come first served. */
export interface InstancePool {
  /**
   * @throws {Error} with code CONNECTION_ENDED once the pool was ended; POOL_BUSY when no instance falls
   *   free; or what the last attempt to connect failed with, while there is no connection to be had
   */
  take(): Promise<Instance>
  /** Ends the loan; `error` is what the user's work failed with, if it did. */
  giveBack(instance: Instance, error?: unknown): void
  end(how?: { timeout?: number }): Promise<void>
}

/** How a pool is kept. */
export interface PoolOptions {
  /** Most instances. */
  size: number
  /**
   * Milliseconds without a word after which a connection that owes an answer counts as dead, and that a user
   * waits for an instance at most; null for no end.
   */
  patienceMs: number | null
}

/** Users that may wait for an instance: with so many, no new one's turn would come in time. */
const MAX_WAITING = 10_000

/** An error in the manner of the driver's own. */
export const connectionError = (code: string, message: string): Error =>
  Object.assign(new Error(`${code}: ${message}`), { code })

export const isPendingQuery = (value: unknown): value is PendingQuery & Promise<unknown> =>
  value instanceof Promise && 'handler' in value && typeof value.handler === 'function'

/** Milliseconds after which a connection is replaced, so that no server process grows old with its caches. */
const lifetimeMs = (): number => 60_000 * (30 + Math.random() * 30)

/** Whether an error may have left the connection unusable; wrongly saying so costs one new connection. */
function mayHaveBroken(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false
  const { code, severity, syscall } = error as { code?: unknown; severity?: unknown; syscall?: unknown }
  if (syscall !== undefined || severity === 'FATAL' || severity === 'PANIC') return true
  // a server that takes no writes any more has been replaced by another, which a new connection may find
  if (code === '25006') return true
  return typeof code === 'string' && /^(CONNECT|E[A-Z]+$|ERR_)/.test(code)
}

interface Slot extends Instance {
  closed: boolean
  expires: number
  /** Whether its connection was made. */
  isProven: boolean
  /** Ends its watch. */
  rest: () => void
}

interface Waiter {
  resolve: (slot: Slot) => void
  reject: (error: unknown) => void
}

/**
 * While no connection can be made, one user at a time tries, and everybody else is told at once what the
 * last attempt came to: nobody piles up behind a database that is away, and one that comes back is not
 * besieged.
 *
 * @param openInstance makes a driver instance of one connection that calls back synchronously when that
 *   connection closes
 */
export function createInstancePool(
  openInstance: (onclose: () => void) => Sql,
  { size, patienceMs }: PoolOptions,
): InstancePool {
  const all = new Set<Slot>()
  const idle: Slot[] = []
  const waiting: Waiter[] = []
  let ended: Promise<void> | undefined
  /** What the last attempt to connect failed with. */
  let outage: { error: unknown } | undefined

  const discard = (slot: Slot): void => {
    all.delete(slot)
    const position = idle.indexOf(slot)
    if (position >= 0) idle.splice(position, 1)
    slot.sql.end({ timeout: 0 }).catch(() => undefined)
  }

  const open = (): Slot => {
    const close = (): void => {
      slot.closed = true
      if (idle.includes(slot)) discard(slot)
      else slot.onclose()
    }
    const slot: Slot = {
      sql: openInstance(close),
      onclose: () => undefined,
      closed: false,
      expires: performance.now() + lifetimeMs(),
      isProven: false,
      ...watchOf(patienceMs, close),
    }
    all.add(slot)
    return slot
  }

  const isAny = (isProven: boolean): boolean => [...all].some((slot) => slot.isProven === isProven)

  /** A free instance, if there may be one. */
  const next = (): Slot | undefined => {
    const slot = idle.pop()
    if (slot !== undefined || all.size >= size) return slot
    return outage === undefined || !isAny(false) ? open() : undefined
  }

  const serve = (): void => {
    while (waiting.length > 0) {
      const slot = next()
      if (slot === undefined) return
      waiting.shift()?.resolve(slot)
    }
  }

  const rejectAll = (error: unknown): void => {
    for (const { reject } of waiting.splice(0)) reject(error)
  }

  const wait = (): Promise<Slot> =>
    new Promise((resolve, reject) => {
      const leave = (): void => {
        waiting.splice(waiting.indexOf(waiter), 1)
        reject(busy())
      }
      const timer = patienceMs === null ? undefined : setTimeout(leave, patienceMs)
      const over = <T>(settle: (value: T) => void): ((value: T) => void) => {
        return (value) => {
          clearTimeout(timer)
          settle(value)
        }
      }
      const waiter: Waiter = { resolve: over(resolve), reject: over(reject) }
      waiting.push(waiter)
    })

  return {
    async take() {
      if (ended) throw connectionError('CONNECTION_ENDED', 'the pool was closed')
      const slot = next()
      if (slot !== undefined) return slot
      if (outage !== undefined && !isAny(true)) throw outage.error
      if (waiting.length >= MAX_WAITING) throw busy()
      return wait()
    },
    giveBack(instance, error) {
      const slot = instance as Slot
      slot.onclose = () => undefined
      slot.rest()
      const isBroken = slot.closed || mayHaveBroken(error)
      if (!isBroken) {
        slot.isProven = true
        outage = undefined
      } else if (!slot.isProven) {
        outage = { error: error ?? connectionError('CONNECTION_CLOSED', 'the connection was lost') }
      }
      const isDone = isBroken || performance.now() > slot.expires
      if (!isDone) idle.push(slot)
      else if (!ended) discard(slot)
      if (ended) return
      if (outage !== undefined && !isAny(true)) rejectAll(outage.error)
      else serve()
    },
    end(how) {
      ended ??= (async () => {
        rejectAll(connectionError('CONNECTION_ENDED', 'the pool was closed'))
        await Promise.all([...all].map((slot) => slot.sql.end(how)))
      })()
      return ended
    },
  }
}

const busy = (): Error => connectionError('POOL_BUSY', 'no connection fell free in time')

/**
 * A peer that vanished without a word (its host is gone, a firewall forgot the connection) is found out by
 * its silence only: the server ends a statement in its own time, and the operating system would go on
 * resending for a quarter of an hour. What is sent together is answered one by one, each in its own time.
 */
function watchOf(patienceMs: number | null, giveUp: () => void): Pick<Slot, 'watch' | 'rest'> {
  let timer: NodeJS.Timeout | undefined
  let owed = 0
  const restart = (): void => {
    clearTimeout(timer)
    timer = owed === 0 || patienceMs === null ? undefined : setTimeout(giveUp, patienceMs)
  }
  return {
    watch: () => {
      let isOwed = true
      owed += 1
      if (timer === undefined) restart()
      return () => {
        if (!isOwed) return
        isOwed = false
        owed -= 1
        restart()
      }
    },
    rest: () => {
      owed = 0
      restart()
    },
  }
}
