import type { BatchGetAnswer, Operation } from '../contract/operation.ts'
import { WritebackError } from './errors.ts'
import { atLeast, type CallOptions } from './options.ts'
import { pause } from './pauses.ts'

/** Seconds that one call waits for an operation's end; the service allows 60. */
const WAIT_SECONDS = 30
/** Milliseconds between two looks at many operations: from, to, and by how much longer each time. */
const LOOK = { fromMs: 50, toMs: 2_000, factor: 1.6 }

/** Options of `wait`. */
export interface WaitOptions extends Pick<CallOptions, 'signal'> {
  /** Milliseconds to wait for the end. Default 60,000. */
  timeoutMs?: number | undefined
}

/**
 * The operation once it has ended, however it did; of several ids, all of them in that order.
 *
 * @throws {WritebackError} WAIT_TIMEOUT when the time is over, NOT_FOUND
 */
export interface Wait {
  (id: string, options?: WaitOptions): Promise<Operation>
  (ids: readonly string[], options?: WaitOptions): Promise<Operation[]>
}

/** How operations are looked at. */
export interface Looks {
  /** The operation as soon as it has ended, or after that many seconds. */
  poll: (id: string, seconds: number, options: Until) => Promise<Operation>
  getMany: (ids: readonly string[], options: Until) => Promise<BatchGetAnswer>
}

interface Until {
  until: number
  signal: AbortSignal | undefined
}

/** Whether an operation has its outcome. One in doubt has; settling it by hand gives it another. */
export const hasEnded = (operation: Operation): boolean => operation.status !== 'in_progress'

/** Makes `wait`. */
export function createWait(looks: Looks): Wait {
  function wait(id: string, options?: WaitOptions): Promise<Operation>
  function wait(ids: readonly string[], options?: WaitOptions): Promise<Operation[]>
  async function wait(
    ids: string | readonly string[],
    { timeoutMs = 60_000, signal }: WaitOptions = {},
  ): Promise<Operation | Operation[]> {
    const bounds = { until: Date.now() + atLeast('timeoutMs', timeoutMs, 0), signal }
    return typeof ids === 'string' ? waitOne(looks, ids, bounds) : waitMany(looks, ids, bounds)
  }
  return wait
}

/** Seconds that the next call may wait. */
const secondsOf = ({ until }: Until): number => Math.min(Math.max(until - Date.now(), 0) / 1000, WAIT_SECONDS)

async function waitOne({ poll }: Looks, id: string, bounds: Until): Promise<Operation> {
  for (;;) {
    const operation = await poll(id, secondsOf(bounds), bounds)
    if (hasEnded(operation)) return operation
    if (Date.now() >= bounds.until) throw waitTimeout(id, 1)
    // A service that is stopping answers at once.
    await pause(LOOK.fromMs, bounds.signal)
  }
}

async function waitMany(
  { getMany, poll }: Looks,
  ids: readonly string[],
  bounds: Until,
): Promise<Operation[]> {
  const ended = new Map<string, Operation>()
  let open = [...new Set(ids)]
  for (let pauseMs = LOOK.fromMs; ; pauseMs = Math.min(pauseMs * LOOK.factor, LOOK.toMs)) {
    const { operations, missing } = await getMany(open, bounds)
    if (missing[0] !== undefined) throw noOperation(missing[0])
    for (const operation of operations) if (hasEnded(operation)) ended.set(operation.id, operation)
    open = open.filter((id) => !ended.has(id.toLowerCase()))
    const [first] = open
    if (first === undefined) return ids.map((id) => ended.get(id.toLowerCase()) as Operation)
    if (Date.now() >= bounds.until) throw waitTimeout(first, open.length)
    await pause(Math.min(pauseMs, Math.max(0, bounds.until - Date.now())), bounds.signal)
    // Until the oldest has ended there is nothing to return: waiting for it spares looks at the others.
    await poll(first, secondsOf(bounds), bounds)
  }
}

const waitTimeout = (id: string, count: number): WritebackError =>
  new WritebackError(
    'WAIT_TIMEOUT',
    count === 1
      ? `The operation ${id} has not ended yet; it goes on.`
      : `${count} operations have not ended yet, ${id} among them; they go on.`,
    { retryable: true, operationId: id },
  )

const noOperation = (id: string): WritebackError =>
  new WritebackError('NOT_FOUND', `There is no operation ${JSON.stringify(id)}.`, { status: 404 })
