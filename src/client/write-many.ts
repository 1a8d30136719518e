import { isWritebackError, type WritebackError } from './errors.ts'
import type { CallOptions } from './options.ts'
import type { Coalescer } from './coalescer.ts'
import type { ManyWrite } from './types.ts'

/** Writes, and bytes of them, that are read ahead of the one whose result is due. */
const AHEAD_PER_CALL = 1_000
const AHEAD_BYTES = 64 * 1024 * 1024

/** What became of one of many writes. */
export type ManyResult = {
  /** Its place among the writes, from 0. */
  index: number
  /** With it, the same write can be given again without being made twice. */
  idempotencyKey: string | null
} & ({ operationId: string; error?: undefined } | { operationId?: undefined; error: WritebackError })

/** Options of `writeMany`. */
export interface ManyOptions extends Pick<CallOptions, 'signal'> {
  /** The integration, where it is not the client's. */
  integration?: string | undefined
}

interface Ahead {
  result: Promise<ManyResult>
  bytes: number
}

/**
 * Gives writes to a coalescer and yields their results in order. Reads on while results are due, and only as far as
 * there is room, so that neither many writes nor a slow reader takes more memory.
 *
 * @throws whatever the source throws, or the signal's reason
 */
export async function* writeInOrder(
  coalescer: Coalescer,
  source: Iterable<ManyWrite> | AsyncIterable<ManyWrite>,
  { signal, calls }: Pick<ManyOptions, 'signal'> & { calls: number },
): AsyncGenerator<ManyResult, void> {
  const items = iteratorOf(source)
  const ahead: Ahead[] = []
  let aheadBytes = 0
  let index = 0
  let isOver = false
  let next: Promise<IteratorResult<ManyWrite, unknown>> | null = null
  const hasRoom = (): boolean => ahead.length < AHEAD_PER_CALL * calls && aheadBytes < AHEAD_BYTES
  try {
    for (;;) {
      signal?.throwIfAborted()
      if (!isOver && next === null && hasRoom()) next = Promise.resolve(items.next())
      const [first] = ahead
      if (next === null && first === undefined) return
      // Reading comes first: a call should be full when it leaves.
      const ready = await Promise.race([
        ...(next === null ? [] : [next.then(() => 'read' as const)]),
        ...(first === undefined ? [] : [first.result.then(() => 'due' as const)]),
      ])
      if (ready === 'due' && first !== undefined) {
        ahead.shift()
        aheadBytes -= first.bytes
        yield await first.result
        continue
      }
      const item = (await next) as IteratorResult<ManyWrite, unknown>
      next = null
      if (item.done === true) isOver = true
      else {
        const one = submit(coalescer, item.value, index, signal)
        index += 1
        aheadBytes += one.bytes
        ahead.push(one)
      }
    }
  } finally {
    // Whoever stops reading before the end stops the source, too; what was read of it is on its way.
    if (!isOver) {
      next?.catch(() => undefined)
      await items.return?.()
    }
  }
}

function submit(
  coalescer: Coalescer,
  item: ManyWrite,
  index: number,
  signal: AbortSignal | undefined,
): Ahead {
  const { objectName, idempotencyKey: given, ...write } = item
  const { operationId, idempotencyKey, bytes } = coalescer.submit(objectName, write, {
    idempotencyKey: given,
    signal,
  })
  const result = operationId.then(
    (id): ManyResult => ({ index, idempotencyKey, operationId: id }),
    (error: unknown): ManyResult => {
      if (isWritebackError(error)) return { index, idempotencyKey, error }
      throw error
    },
  )
  // It is looked at when its turn comes, which is never when the reader stops before.
  result.catch(() => undefined)
  return { result, bytes }
}

const iteratorOf = <T>(
  source: Iterable<T> | AsyncIterable<T>,
): Iterator<T, unknown> | AsyncIterator<T, unknown> =>
  Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
