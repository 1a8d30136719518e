import { createHash } from 'node:crypto'
import type { Sql } from '../db/connect.ts'
import { messageOf, WritebackError } from '../kernel/errors.ts'
import type { Logger } from '../kernel/log.ts'
import { noTelemetry, type Telemetry } from '../kernel/telemetry.ts'
import type { NowOutcome } from '../model/now-outcome.ts'
import {
  freeKey,
  readKey,
  releaseKey,
  type KeptAnswer,
  type RequestKey,
  type TakenKey,
} from '../queue/idempotency-keys.ts'
import type { Submission } from '../queue/insert-writes.ts'
import { impliedOutcome, wasRefused } from './implied-outcome.ts'

export { KeyTaken, type KeptAnswer, type RequestKey } from '../queue/idempotency-keys.ts'

/** Seconds after which a call that repeats one that still runs may come again. */
const RETRY_AFTER = 1

/** An earlier synchronous call with the same key. */
export type EarlierCall =
  | { kind: 'answered'; answer: KeptAnswer }
  /** Its process was lost before it had an answer: what is recorded implies one. */
  | { kind: 'implied'; operationId: string; isBatch: boolean; outcome: NowOutcome }

/** What keys were used for before (contract section 5, Idempotency-Key). */
export interface Idempotency {
  /**
   * The operation of the earlier call that an asynchronous one repeats; null when there is none.
   * @throws {WritebackError} IDEMPOTENCY_KEY_REUSED when that was another request
   */
  findOperation: (projectId: string, key: RequestKey) => Promise<string | null>
  /**
   * The earlier call that a synchronous one repeats; null when there is none.
   * @throws {WritebackError} IDEMPOTENCY_KEY_REUSED, or IDEMPOTENCY_KEY_IN_USE while that one still runs
   */
  findCall: (projectId: string, key: RequestKey) => Promise<EarlierCall | null>
  /** Gives the key of a synchronous call back that failed without an outcome, if nothing can come of it any more. */
  release: (submission: Submission) => Promise<void>
}

/** Keys as the database keeps them. */
export function createIdempotency(
  sql: Sql,
  logger: Logger,
  telemetry: Pick<Telemetry, 'replayed'> = noTelemetry,
): Idempotency {
  const find = async (projectId: string, key: RequestKey): Promise<TakenKey | null> => {
    const taken = await readKey(sql, projectId, key.text)
    if (taken !== null && !taken.requestHash.equals(key.requestHash)) throw reused()
    return taken
  }
  return {
    findOperation: async (projectId, key) => {
      const taken = await find(projectId, key)
      if (taken !== null) telemetry.replayed('asynchronous', 1)
      return taken?.operationId ?? null
    },
    findCall: async (projectId, key) => {
      const taken = await find(projectId, key)
      if (taken === null) return null
      const { answer, operationId, isBatch, records } = taken
      if (answer !== null) {
        telemetry.replayed('synchronous', 1)
        return { kind: 'answered', answer }
      }
      if (wasRefused(records)) {
        await freeKey(sql, { projectId, text: key.text, operationId })
        return null
      }
      const outcome = impliedOutcome(records)
      if (outcome === null) throw inUse(operationId)
      telemetry.replayed('synchronous', 1)
      return { kind: 'implied', operationId, isBatch, outcome }
    },
    release: (submission) =>
      releaseKey(sql, submission).catch((error: unknown) => {
        // What is recorded of its writes tells the next call the same.
        logger.warn({ error: messageOf(error) }, 'an idempotency key could not be given back')
      }),
  }
}

const reused = (): WritebackError =>
  new WritebackError(
    'IDEMPOTENCY_KEY_REUSED',
    'The idempotency key was used for another request; nothing was written.',
    { remedy: 'Use a new key for each write, and the same one only to repeat the same request.' },
  )

const inUse = (operationId: string): WritebackError =>
  new WritebackError('IDEMPOTENCY_KEY_IN_USE', 'The first call with this idempotency key is still running.', {
    operationId,
    retryAfter: RETRY_AFTER,
    remedy: 'Send the same request again after the time in Retry-After to get its answer.',
  })

/** What makes a request what it is, beside its project. */
export interface RequestParts {
  integrationId: string
  /** The object as the caller named it. */
  objectName: string
  /** The body as parsed. */
  body: unknown
}

/** A hash of a request: the same for the same request, whatever the order of members and the spacing of its JSON. */
export const hashRequest = ({ integrationId, objectName, body }: RequestParts): Buffer => {
  const hash = createHash('sha256')
  addCanonical((text) => hash.update(text), [integrationId, objectName, body])
  return hash.digest()
}

/** Writes JSON with the members of each object in the order of their names. */
function addCanonical(write: (text: string) => void, value: unknown): void {
  if (typeof value !== 'object' || value === null) {
    write(JSON.stringify(value))
    return
  }
  const isList = Array.isArray(value)
  write(isList ? '[' : '{')
  const names = isList ? value.keys() : Object.keys(value).sort()
  for (const name of names) {
    if (!isList) write(`${JSON.stringify(name)}:`)
    addCanonical(write, Reflect.get(value, name))
    write(',')
  }
  write(isList ? ']' : '}')
}
