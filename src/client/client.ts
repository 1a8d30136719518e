import { createCalls } from './calls.ts'
import { createCoalescer, type Coalescer } from './coalescer.ts'
import { createFallback, type FallbackOptions, type FallbackWrite } from './fallback.ts'
import { createGroups, type Groups } from './groups.ts'
import { createOperations, type Operations } from './operations.ts'
import { readOptions, type ClientOptions } from './options.ts'
import type { WriteOutcome } from './outcome.ts'
import { createPaths } from './paths.ts'
import { createTransport } from './transport.ts'
import type {
  Accepted,
  AnyWrite,
  BatchOutcome,
  BatchWrite,
  Immediate,
  ManyWrite,
  QueuedWrite,
  RecordAnswer,
  RecordWrite,
  SingleWrite,
  WriteOptions,
} from './types.ts'
import { createWrite, type WriteAnswered } from './write.ts'
import { writeInOrder, type ManyOptions, type ManyResult } from './write-many.ts'

/** Options of `enqueue`. */
export type EnqueueOptions = Omit<WriteOptions, 'timeoutMs'>

/** The write call (contract section 5). */
export interface WriteCall {
  /** Queues a write: resolves once it is committed. */
  (objectName: string, write: QueuedWrite, options?: WriteOptions): Promise<Accepted>
  /** Writes a record: `result.success` tells whether the provider took it. */
  (objectName: string, write: RecordWrite & Immediate, options?: WriteOptions): Promise<RecordAnswer>
  /** Writes a batch: each record has a result of its own. */
  (objectName: string, write: BatchWrite & Immediate, options?: WriteOptions): Promise<BatchOutcome>
  (objectName: string, write: AnyWrite, options?: WriteOptions): Promise<WriteAnswered>
}

/** A client of one project. Every call rejects with a `WritebackError`, or with its signal's reason. */
export interface Client extends Operations, Groups {
  write: WriteCall
  /** Queues a write, sharing a call with others that are given at about the same time; resolves once it is committed. */
  enqueue: (
    objectName: string,
    write: SingleWrite,
    options?: EnqueueOptions,
  ) => Promise<{ operationId: string }>
  /** Queues many writes by bulk calls and yields what became of each, in order, while later ones are on their way. */
  writeMany: (
    writes: Iterable<ManyWrite> | AsyncIterable<ManyWrite>,
    options?: ManyOptions,
  ) => AsyncGenerator<ManyResult, void>
  /**
   * Queues a write and waits for its outcome; when the queue refuses it or does not settle it in time, sends it
   * at once, never twice.
   *
   * @throws {WritebackError} when it is refused for good, or there is no outcome in time: with an `operationId` it
   *   goes on, and in any case the call can be repeated with the error's `idempotencyKey`
   */
  withFallback: (objectName: string, write: FallbackWrite, options?: FallbackOptions) => Promise<WriteOutcome>
}

/**
 * Creates a client.
 *
 * @throws {TypeError} for an option that cannot be used
 */
export function createClient(options: ClientOptions): Client {
  const settings = readOptions(options)
  const transport = createTransport(settings)
  const paths = createPaths(settings)
  const write = createWrite(settings, transport, paths)
  const calls = createCalls(settings, transport)
  const operations = createOperations(settings, transport, paths, calls)
  const coalescers = new Map<string, Coalescer>()
  const coalescerOf = (integration: string | undefined): Coalescer => {
    const path = `${paths.integration(integration)}/writes`
    const coalescer = coalescers.get(path) ?? createCoalescer(settings, transport, path)
    coalescers.set(path, coalescer)
    return coalescer
  }
  return {
    ...operations,
    ...createGroups(calls, paths),
    write: ((objectName, body, given) => write(objectName, body, given)) as WriteCall,
    enqueue: async (objectName, body, { integration, ...given } = {}) => {
      given.signal?.throwIfAborted()
      return { operationId: await coalescerOf(integration).submit(objectName, body, given).operationId }
    },
    writeMany: (writes, { integration, signal } = {}) =>
      writeInOrder(coalescerOf(integration), writes, { signal, calls: settings.bulkCalls }),
    withFallback: createFallback({ settings, write, operations }),
  }
}
