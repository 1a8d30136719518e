import { orItsEnd, startChild } from './child.ts'
import type { LoadMessage, LoadResult, Order, OrderMessage } from './load-protocol.ts'

/** The process that makes the load. */
export interface Load {
  pid: number
  /**
   * Carries out an order.
   *
   * @param onHeld at-once orders: called when every call is out, with how many were answered by then
   * @throws {Error} when a connection is lost, or any answer has another status than `expected`
   */
  run: (order: Order, onHeld?: (answered: number) => void) => Promise<LoadResult>
  stop: () => Promise<void>
}

const EXPECTED = '200'

/** Starts the load in a process of its own. */
export async function startLoad(folder: string): Promise<Load> {
  const child = startChild({ file: 'bench/parts/load-process.ts', folder })
  const waiting = new Map<number, { take: (message: LoadMessage) => void }>()
  const ready = Promise.withResolvers<undefined>()
  child.process.on('message', (message: LoadMessage) => {
    if ('ready' in message) ready.resolve(undefined)
    else waiting.get(message.id)?.take(message)
  })
  await orItsEnd(child, ready.promise)
  let orders = 0
  const run: Load['run'] = (order, onHeld) => {
    const { promise, resolve, reject } = Promise.withResolvers<LoadResult>()
    const id = (orders += 1)
    const take = (message: LoadMessage): void => {
      if ('held' in message) onHeld?.(message.held.answered)
      if ('error' in message) reject(new Error(`the load on ${order.url}: ${message.error}`))
      if ('result' in message) resolve(message.result)
    }
    waiting.set(id, { take })
    child.process.send({ id, order } satisfies OrderMessage)
    return orItsEnd(child, promise)
      .then(checked)
      .finally(() => waiting.delete(id))
  }
  return { pid: child.pid, run, stop: child.stop }
}

/** @throws {Error} when anything but a success was answered: what is refused is quick, and no measure */
function checked(result: LoadResult): LoadResult {
  const others = Object.entries(result.statuses).filter(([status]) => status !== EXPECTED)
  if (others.length === 0) return result
  throw new Error(
    `answers that were none: ${others.map(([status, times]) => `${times} × ${status}`).join(', ')}`,
  )
}
