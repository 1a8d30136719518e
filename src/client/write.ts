import { withKey } from './errors.ts'
import { atLeast, segment, type Settings } from './options.ts'
import type { Paths } from './paths.ts'
import type { Answer, Transport } from './transport.ts'
import type { Accepted, AnyWrite, AnswerFacts, BatchOutcome, RecordAnswer, WriteOptions } from './types.ts'

/** Milliseconds that the answer of a synchronous call may be on its way when the call's own time is over. */
const ANSWER_MS = 5_000
/** Seconds that a synchronous call may take (contract section 5). */
const CALL_SECONDS = { least: 1, most: 600 }

/** What a write call is told. */
export type WriteAnswered = Accepted | RecordAnswer | BatchOutcome

/** Makes the write call. */
export type Write = (
  objectName: string,
  write: AnyWrite,
  options?: WriteOptions,
  attempts?: number,
) => Promise<WriteAnswered>

/** The write call of a client (contract section 5). */
export function createWrite(settings: Settings, transport: Transport, paths: Paths): Write {
  return async (objectName, write, options = {}, attempts) => {
    const key = options.idempotencyKey === undefined ? crypto.randomUUID() : options.idempotencyKey
    const timeoutMs = atLeast('timeoutMs', options.timeoutMs ?? settings.timeoutMs, 1)
    const isQueued = write.mode === 'asynchronous'
    const path = `${paths.integration(options.integration)}/objects/${encodeURIComponent(segment('objectName', objectName))}`
    try {
      const answer = await transport.call<WriteAnswered>({
        method: 'POST',
        path,
        headers: {
          'content-type': 'application/json',
          ...(key === null ? {} : { 'idempotency-key': keyText(key) }),
          ...(isQueued ? {} : requestTimeout(timeoutMs)),
        },
        body: JSON.stringify(write),
        repeat: key === null ? 'unsent' : 'always',
        timeoutMs: isQueued ? timeoutMs : answerTimeout(timeoutMs),
        signal: options.signal,
        answers: [422],
        ...(attempts === undefined ? {} : { attempts }),
      })
      return withFacts(answer)
    } catch (error) {
      throw withKey(error, key)
    }
  }
}

/** The header that says how long a synchronous call may take. */
export const requestTimeout = (timeoutMs: number): Record<string, string> => {
  const seconds = Math.min(Math.max(timeoutMs / 1000, CALL_SECONDS.least), CALL_SECONDS.most)
  return { 'request-timeout': seconds.toFixed(3) }
}

/** Milliseconds after which the answer of a synchronous call is not waited for any more. */
export const answerTimeout = (timeoutMs: number): number =>
  Math.max(timeoutMs, CALL_SECONDS.least * 1000) + ANSWER_MS

/** An answer with what its headers say of it. */
export function withFacts<T extends object>({ body, headers }: Answer<T>): T & AnswerFacts {
  return {
    ...body,
    ...(headers.get('idempotency-replayed') === 'true' ? { replayed: true as const } : {}),
    ...(headers.get('writeback-recorded') === 'false' ? { unrecorded: true as const } : {}),
  }
}

/** @throws {TypeError} for what can be no idempotency key */
export function keyText(key: string): string {
  if (/^[\x21-\x7e]{1,255}$/.test(key)) return key
  throw new TypeError('idempotencyKey must be 1 to 255 visible ASCII characters, without spaces')
}
