import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'

/** Connections whose present request is streamed. */
const streamed = new WeakSet<Socket>()

/**
 * Takes a request out of the server's request timeout, which bounds how long a whole body may take:
 * one that is answered while it arrives may take as long as it makes progress. Who calls this watches
 * over that progress.
 */
export function streamRequest({ socket }: IncomingMessage): { done: () => unknown } {
  streamed.add(socket)
  return { done: () => streamed.delete(socket) }
}

/** Whether a connection's present request is streamed. */
export const isStreamed = (socket: Socket): boolean => streamed.has(socket)
