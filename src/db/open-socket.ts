import { Socket } from 'node:net'
import { connectionError } from './instance-pool.ts'

/** What the driver tells of where it wants to connect to. */
interface Target {
  host: string[]
  port: number[]
  /** The path of a Unix socket. */
  path: string | false | undefined
}

/**
 * A socket for one instance of the driver, which is opened once and never again: the driver itself, when
 * its connection is closed before the server has greeted it (a load balancer without a server behind
 * it, a server that is shutting down), connects anew without a pause and without an end, and even after it
 * was ended.
 *
 * @param timeoutMs milliseconds that connecting may take
 */
export function socketOnce(timeoutMs: number): (target: Target) => Promise<Socket> {
  let used = false
  return async ({ host: [host], port: [port], path }) => {
    if (used) throw connectionError('CONNECTION_CLOSED', 'the connection was closed before it was ready')
    used = true
    const socket = new Socket()
    const { promise, resolve, reject } = Promise.withResolvers<undefined>()
    const late = (): void =>
      reject(connectionError('CONNECT_TIMEOUT', `no connection within ${timeoutMs} ms`))
    const timer = setTimeout(late, timeoutMs)
    socket.once('connect', () => resolve(undefined)).once('error', reject)
    try {
      if (typeof path === 'string') socket.connect(path)
      else socket.connect(port ?? 0, host ?? '')
      await promise
    } catch (error) {
      socket.on('error', () => undefined).destroy()
      throw error
    } finally {
      clearTimeout(timer)
      socket.off('error', reject)
    }
    // by this the driver checks a certificate
    return Object.assign(socket, { host })
  }
}
