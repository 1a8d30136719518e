import type { BatchGetAnswer, Operation, OperationLog } from '../contract/operation.ts'
import type { Resolution } from '../contract/operate.ts'
import type { BoundedOptions, Calls } from './calls.ts'
import type { CallOptions, Settings } from './options.ts'
import type { Paths } from './paths.ts'
import type { Transport } from './transport.ts'
import type { BatchOutcome, RecordAnswer } from './types.ts'
import { createWait, type Wait } from './wait.ts'
import { answerTimeout, requestTimeout, withFacts } from './write.ts'

/** Most ids of one call (contract section 7). */
const CHUNK = 1_000
/** Calls for one list of ids that are in flight at once. */
const CHUNKS_AT_ONCE = 4

/** Which operations are listed. */
export interface ListOptions extends CallOptions {
  /** Id of the installation. */
  installation: string
  /** The integration, where it is not the client's. */
  integration?: string | undefined
  status?: Operation['status'] | undefined
  objectName?: string | undefined
  /** The caller's own id of the write. */
  reference?: string | undefined
  /** Only what somebody moved by hand after this ISO 8601 time; with none of the filters above. */
  movedAfter?: string | undefined
  /** Operations of one call, up to 1,000. Default: the service's, 100. */
  pageSize?: number | undefined
}

/** Following operations and moving them by hand (contract section 7). */
export interface Operations {
  /** @throws {WritebackError} NOT_FOUND */
  get: (id: string, options?: CallOptions) => Promise<Operation>
  /** Those that are there, in the order asked for, and the ids that are no operations of the project. */
  getMany: (ids: readonly string[], options?: CallOptions) => Promise<BatchGetAnswer>
  /**
   * The operation once it has ended, however it did; of several ids, all of them in that order.
   * @throws {WritebackError} WAIT_TIMEOUT when the time is over, NOT_FOUND
   */
  wait: Wait
  /**
   * Sends a write that is still queued at once and answers as a synchronous call does.
   * @throws {WritebackError} CONFLICT when it is being sent already or has ended: wait for its outcome. That is
   *   also the end of a call whose first answer was lost.
   */
  promote: (id: string, options?: CallOptions) => Promise<RecordAnswer | BatchOutcome>
  /** Ends a write that is still queued. @throws {WritebackError} CONFLICT */
  cancel: (id: string, options?: CallOptions) => Promise<Operation>
  /**
   * Sends a failed or in-doubt one again. Not repeated when the answer is lost: read the operation.
   * @throws {WritebackError} CONFLICT
   */
  retry: (id: string, options?: CallOptions) => Promise<Operation>
  /** Settles one in doubt by hand. @throws {WritebackError} CONFLICT */
  resolve: (id: string, resolution: Resolution, options?: CallOptions) => Promise<Operation>
  /** All operations of an installation that fit, newest first, page by page as they are asked for. */
  list: (options: ListOptions) => AsyncGenerator<Operation, void>
  /** What happened to an operation, oldest first. */
  logs: (id: string, options?: CallOptions) => Promise<OperationLog[]>
}

/** The calls of a client about operations. */
export function createOperations(
  settings: Settings,
  transport: Transport,
  paths: Paths,
  calls: Calls,
): Operations {
  const { common, get, post } = calls
  // After a lost answer a repeat would find another state and be refused for that, or send once more.
  const move = (id: string, name: string, body?: unknown, options?: CallOptions): Promise<Operation> =>
    post(`${paths.operation(id)}:${name}`, 'unsent', body, options)
  const getMany = createGetMany(`${paths.operations}:batchGet`, post)

  return {
    get: (id, options) => get(paths.operation(id), options),
    getMany,
    wait: createWait({
      getMany,
      poll: (id, seconds, options) => {
        const timeoutMs = seconds * 1000 + settings.timeoutMs
        return get(`${paths.operation(id)}?wait=${seconds.toFixed(3)}`, { ...options, timeoutMs })
      },
    }),
    promote: async (id, options: BoundedOptions = {}) => {
      const { timeoutMs, ...rest } = common(options)
      const answer = await transport.call<RecordAnswer | BatchOutcome>({
        method: 'POST',
        path: `${paths.operation(id)}:promote`,
        headers: requestTimeout(timeoutMs),
        // It claims what it sends: a repeat finds it claimed.
        repeat: 'always',
        timeoutMs: answerTimeout(timeoutMs),
        answers: [422],
        ...rest,
      })
      return withFacts(answer)
    },
    cancel: (id, options) => move(id, 'cancel', undefined, options),
    retry: (id, options) => move(id, 'retry', undefined, options),
    resolve: (id, resolution, options) => move(id, 'resolve', resolution, options),
    list: ({ installation, integration, signal, timeoutMs, ...query }) => {
      const path = `${paths.installation(integration, installation)}/operations`
      return calls.list(path, query, { signal, timeoutMs })
    },
    logs: (id, options) => get(`${paths.operation(id)}/logs`, options),
  }
}

/** By several calls, where one does not take as many. */
const createGetMany =
  (path: string, post: Calls['post']) =>
  async (ids: readonly string[], options: BoundedOptions = {}): Promise<BatchGetAnswer> => {
    const distinct = [...new Set(ids)]
    const chunks: string[][] = []
    for (let at = 0; at < distinct.length; at += CHUNK) chunks.push(distinct.slice(at, at + CHUNK))
    const found: BatchGetAnswer = { operations: [], missing: [] }
    for (let at = 0; at < chunks.length; at += CHUNKS_AT_ONCE) {
      const group = chunks
        .slice(at, at + CHUNKS_AT_ONCE)
        .map((chunk) => post<BatchGetAnswer>(path, 'always', { ids: chunk }, options))
      for (const { operations, missing } of await Promise.all(group)) {
        found.operations.push(...operations)
        found.missing.push(...missing)
      }
    }
    return found
  }
