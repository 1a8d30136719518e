/**
 * LISTEN on one connection that is opened again whenever it is lost. The driver's own does that too, but
 * when it is ended while it waits to reconnect it connects all the same, and holds that connection (and
 * the process) for ever.
 */
import type postgres from 'postgres'
import { connectionError } from './instance-pool.ts'

type Sql = postgres.Sql

interface Subscriber {
  onnotify: (payload: string) => void
  onlisten: (() => void) | undefined
}

/** A listening connection. */
interface Line {
  sql: Sql
  /** Rejects when the connection closes, or is given up. */
  closed: Promise<never>
  close: (error: Error) => void
}

/** The `listen` of a pool. */
export interface Listener {
  /**
   * @param onlisten called now and after every reconnection: what was said meanwhile was missed
   * @throws {Error} the driver's, when there is no connection to be had now
   */
  listen(
    channel: string,
    onnotify: (payload: string) => void,
    onlisten?: () => void,
  ): Promise<{ unlisten: () => Promise<void> }>
  end(): Promise<void>
}

/** Milliseconds until a lost connection is opened again. */
const pauseMs = (): number => 100 + Math.random() * 200

const lineLost = (): Error => connectionError('CONNECTION_CLOSED', 'the listening connection was lost')

const quoted = (channel: string): string => `"${channel.replaceAll('"', '""')}"`

/**
 * @param openInstance makes a driver instance of one connection with these two callbacks
 */
export function createListener(
  openInstance: (callbacks: {
    onclose: () => void
    onnotify: (channel: string, payload: string) => void
  }) => Sql,
): Listener {
  const channels = new Map<string, Set<Subscriber>>()
  let line: Line | undefined
  let timer: NodeJS.Timeout | undefined
  let ended = false

  const hangUp = (lost: Line): void => {
    // What waits for a connection that could not be made the driver answers never.
    lost.close(lineLost())
    lost.sql.end({ timeout: 0 }).catch(() => undefined)
    if (line !== lost) return
    line = undefined
    if (ended || channels.size === 0) return
    timer ??= setTimeout(() => void listenAgain(), pauseMs())
    timer.unref()
  }

  const open = (): Line => {
    const { promise: closed, reject: close } = Promise.withResolvers<never>()
    closed.catch(() => undefined)
    const sql = openInstance({
      onclose: () => hangUp(opened),
      onnotify: (channel, payload) => {
        for (const subscriber of channels.get(channel) ?? []) subscriber.onnotify(payload)
      },
    })
    const opened = { sql, closed, close }
    return opened
  }

  const send = async (on: Line, text: string): Promise<void> => {
    await Promise.race([on.sql.unsafe(text), on.closed])
  }

  async function listenAgain(): Promise<void> {
    timer = undefined
    const opened = (line ??= open())
    try {
      for (const [channel, subscribers] of channels) {
        await send(opened, `listen ${quoted(channel)}`)
        for (const { onlisten } of subscribers) onlisten?.()
      }
    } catch {
      hangUp(opened)
    }
  }

  const remove = async (channel: string, subscriber: Subscriber): Promise<void> => {
    const subscribers = channels.get(channel)
    if (!subscribers?.delete(subscriber) || subscribers.size > 0) return
    channels.delete(channel)
    const current = line
    if (!current) return
    // without a connection nobody listens either
    if (channels.size > 0) await send(current, `unlisten ${quoted(channel)}`).catch(() => undefined)
    else hangUp(current)
  }

  return {
    async listen(channel, onnotify, onlisten) {
      if (ended) throw connectionError('CONNECTION_ENDED', 'the pool was closed')
      const subscriber: Subscriber = { onnotify, onlisten }
      const subscribers = channels.get(channel) ?? new Set()
      channels.set(channel, subscribers.add(subscriber))
      const current = (line ??= open())
      try {
        await send(current, `listen ${quoted(channel)}`)
        onlisten?.()
        return { unlisten: () => remove(channel, subscriber) }
      } catch (error) {
        await remove(channel, subscriber)
        throw error
      }
    },
    async end() {
      ended = true
      clearTimeout(timer)
      channels.clear()
      // a second, so that a connection being made is made and then closed: cut off earlier, it would be left open
      await line?.sql.end({ timeout: 1 })
    },
  }
}
