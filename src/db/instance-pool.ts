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
 *
 * One statement or transaction at a time per connection rules out 1; never reconnecting rules out 3 and
 * 5; users of an instance see to 2 and 4 when they are told that it closed.
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
  /** Called at once when the connection closes while the instance is lent. */
  onclose: () => void
}

/** Lends instances, opening up to `size`; more users wait their turn, first come first served. */
export interface InstancePool {
  /** @throws {Error} with code CONNECTION_ENDED once the pool was ended */
  take(): Promise<Instance>
  /** Ends the loan; `error` is what the user's work failed with, if it did. */
  giveBack(instance: Instance, error?: unknown): void
  end(how?: { timeout?: number }): Promise<void>
}

/** An error in the manner of the driver's own. */
export const connectionError = (code: string, message: string): Error =>
  Object.assign(new Error(`${code}: ${message}`), { code })

export const isPendingQuery = (value: unknown): value is PendingQuery =>
  value instanceof Promise && 'handler' in value && typeof value.handler === 'function'

/** Milliseconds after which a connection is replaced, so that no server process grows old with its caches. */
const lifetimeMs = (): number => 60_000 * (30 + Math.random() * 30)

/** Whether an error may have left the connection unusable; wrongly saying so costs one new connection. */
function mayHaveBroken(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false
  const { code, severity, syscall } = error as { code?: unknown; severity?: unknown; syscall?: unknown }
  if (syscall !== undefined || severity === 'FATAL' || severity === 'PANIC') return true
  return typeof code === 'string' && /^(CONNECT|E[A-Z]+$|ERR_)/.test(code)
}

interface Slot extends Instance {
  closed: boolean
  expires: number
}

/**
 * @param openInstance makes a driver instance of one connection that calls back synchronously when that
 *   connection closes
 */
export function createInstancePool(openInstance: (onclose: () => void) => Sql, size: number): InstancePool {
  const all = new Set<Slot>()
  const idle: Slot[] = []
  const waiting: { resolve: (slot: Slot) => void; reject: (error: Error) => void }[] = []
  let ended: Promise<void> | undefined

  const discard = (slot: Slot): void => {
    all.delete(slot)
    const position = idle.indexOf(slot)
    if (position >= 0) idle.splice(position, 1)
    slot.sql.end({ timeout: 0 }).catch(() => undefined)
  }

  const open = (): Slot => {
    const sql = openInstance(() => {
      slot.closed = true
      if (idle.includes(slot)) discard(slot)
      else slot.onclose()
    })
    const slot: Slot = {
      sql,
      onclose: () => undefined,
      closed: false,
      expires: performance.now() + lifetimeMs(),
    }
    all.add(slot)
    return slot
  }

  return {
    async take() {
      if (ended) throw connectionError('CONNECTION_ENDED', 'the pool was closed')
      const slot = idle.pop() ?? (all.size < size ? open() : undefined)
      return slot ?? (await new Promise<Slot>((resolve, reject) => waiting.push({ resolve, reject })))
    },
    giveBack(instance, error) {
      const slot = instance as Slot
      slot.onclose = () => undefined
      const isDone = slot.closed || mayHaveBroken(error) || performance.now() > slot.expires
      if (isDone && !ended) discard(slot)
      const next = waiting.shift()
      if (next) next.resolve(isDone ? open() : slot)
      else if (!isDone) idle.push(slot)
    },
    end(how) {
      ended ??= (async () => {
        for (const { reject } of waiting.splice(0))
          reject(connectionError('CONNECTION_ENDED', 'the pool was closed'))
        await Promise.all([...all].map((slot) => slot.sql.end(how)))
      })()
      return ended
    },
  }
}
