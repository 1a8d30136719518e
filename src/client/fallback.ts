import { isWritebackError, WritebackError, withKey } from './errors.ts'
import type { BoundedOptions } from './calls.ts'
import type { Operations } from './operations.ts'
import { atLeast, type CallOptions, type Settings } from './options.ts'
import { ofAnswer, ofOperation, type Ended, type WriteOutcome } from './outcome.ts'
import { pause, pauseAfter } from './pauses.ts'
import type {
  Accepted,
  AnyWrite,
  BatchOutcome,
  BatchWrite,
  QueuedWrite,
  RecordAnswer,
  RecordWrite,
} from './types.ts'
import { keyText, type Write } from './write.ts'

/** Options of `withFallback`. */
export interface FallbackOptions extends Pick<CallOptions, 'signal'> {
  /** The integration, where it is not the client's. */
  integration?: string | undefined
  /** Milliseconds that the queue may take before the write is sent at once. Default 10,000. */
  settleWithinMs?: number | undefined
  /** Milliseconds that one synchronous call may take. Default: the client's `timeoutMs`. */
  timeoutMs?: number | undefined
  /** Milliseconds after which an outcome is not waited for any more. Default 120,000. */
  giveUpAfterMs?: number | undefined
  /** Names the write; a random one when absent. Up to 240 characters. Repeating with it writes nothing twice. */
  idempotencyKey?: string | undefined
}

/** A write of `withFallback`: how it is queued is optional, that it is queued first is not. */
export type FallbackWrite = Omit<QueuedWrite & RecordWrite, 'mode'> | Omit<QueuedWrite & BatchWrite, 'mode'>

/** Milliseconds that giving the write to the queue may take at least, however soon it has to settle. */
const SUBMIT_MS = 1_000
/** Room for what is put behind a key. */
const MAX_KEY = 240
/** Milliseconds that a promotion which came to nothing waits for the queue before the next. */
const BETWEEN_PROMOTIONS_MS = 2_000

/** What the fallback is made with. */
export interface FallbackParts {
  settings: Settings
  write: Write
  operations: Pick<Operations, 'wait'> & {
    promote: (id: string, options: BoundedOptions) => ReturnType<Operations['promote']>
  }
}

/** What a try came to: an outcome, an operation to follow, nothing yet, or nothing ever with this key. */
type Step =
  | { kind: 'ended'; ended: Ended; via: WriteOutcome['via'] }
  | { kind: 'follow'; operationId: string; via: WriteOutcome['via'] }
  | { kind: 'again'; error: WritebackError }
  | { kind: 'taken'; error: WritebackError }
  | { kind: 'unwritten'; error: WritebackError }

/**
 * Writes through the queue, and at once where the queue does not do it in time: never twice.
 *
 * One idempotency key makes that sure, because the service gives a key to one call only, and does so in the
 * transaction that records the write. Both ways carry the same key: whichever the service recorded first has it,
 * the other is refused (`IDEMPOTENCY_KEY_REUSED`), even when it is a request given up long ago that arrives late.
 * So a lost answer needs no guess; it is asked for again. What was acknowledged is only ever promoted,
 * which claims the very write that is queued.
 */
export function createFallback({ settings, write, operations }: FallbackParts) {
  return async (
    objectName: string,
    body: FallbackWrite,
    options: FallbackOptions = {},
  ): Promise<WriteOutcome> => {
    const key = options.idempotencyKey ?? crypto.randomUUID()
    if (keyText(key).length > MAX_KEY)
      throw new TypeError(`idempotencyKey must be at most ${MAX_KEY} characters long`)
    const call: Call = {
      ...{ settings, write, operations, objectName, body, key },
      signal: options.signal,
      integration: options.integration,
      settleAt: Date.now() + atLeast('settleWithinMs', options.settleWithinMs ?? 10_000, 0),
      timeoutMs: atLeast('timeoutMs', options.timeoutMs ?? settings.timeoutMs, 1),
      until: Date.now() + atLeast('giveUpAfterMs', options.giveUpAfterMs ?? 120_000, 0),
    }
    try {
      return await run(call)
    } catch (error) {
      throw withKey(error, key)
    }
  }
}

interface Call extends FallbackParts {
  objectName: string
  body: FallbackWrite
  key: string
  signal: AbortSignal | undefined
  integration: string | undefined
  /** When the queue's time is over, in milliseconds. */
  settleAt: number
  timeoutMs: number
  /** When to give up, in milliseconds. */
  until: number
}

const left = (call: Call): number => Math.max(1, call.until - Date.now())

/**
 * Rounds: in each the write is given to the queue or, failing that, sent at once, under a key of the round. The
 * next round begins only when the one before has certainly written nothing and never will.
 */
async function run(call: Call): Promise<WriteOutcome> {
  let wasTaken = false
  for (let round = 1, tries = 1; ; tries += 1) {
    const step = await tryBoth(call, round === 1 ? call.key : `${call.key}~${round}`)
    if (step.kind === 'follow') return follow(call, step)
    if (step.kind === 'ended') return { ...step.ended, via: step.via, idempotencyKey: call.key }
    // Once may come of a late request that took the key between the two.
    if (step.kind === 'taken' && wasTaken) throw step.error
    wasTaken = step.kind === 'taken'
    const waitMs = pauseAfter(tries, call.settings.retry, step.error.retryAfterMs)
    if (Date.now() + waitMs >= call.until) throw step.error
    if (step.kind === 'unwritten') round += 1
    await pause(waitMs, call.signal)
  }
}

/** One try each way. */
async function tryBoth(call: Call, key: string): Promise<Step> {
  const queued = await trySubmit(call, key)
  if (queued.kind === 'follow') return queued
  const sent = await trySend(call, key)
  if (sent.kind !== 'taken') return sent
  // The key belongs to the asynchronous call, whose answer was lost: it is asked for again. Unless that was told
  // that the key is taken, too: then another write has it.
  return queued.kind === 'taken' ? sent : { kind: 'again', error: unknownId(queued) }
}

/** Gives the write to the queue. A refusal for good is thrown: nothing is written then, now or later. */
async function trySubmit(call: Call, key: string): Promise<Step> {
  const { objectName, body, signal, integration, timeoutMs } = call
  try {
    const submitMs = Math.max(call.settleAt - Date.now(), SUBMIT_MS)
    const options = {
      idempotencyKey: key,
      signal,
      integration,
      timeoutMs: Math.min(timeoutMs, submitMs, left(call)),
    }
    const queued = { ...body, mode: 'asynchronous' } as QueuedWrite
    const { operationId } = (await call.write(objectName, queued, options, 1)) as Accepted
    return { kind: 'follow', operationId, via: 'asynchronous' }
  } catch (error) {
    if (!isWritebackError(error)) throw error
    if (error.code === 'IDEMPOTENCY_KEY_REUSED') return { kind: 'taken', error }
    if (isPassing(error)) return { kind: 'again', error }
    throw error
  }
}

/** Sends the write at once. */
async function trySend(call: Call, key: string): Promise<Step> {
  const { objectName, signal, integration, timeoutMs } = call
  try {
    const options = { idempotencyKey: key, signal, integration, timeoutMs: Math.min(timeoutMs, left(call)) }
    const answer = (await call.write(objectName, toImmediate(call.body), options, 1)) as
      RecordAnswer | BatchOutcome
    return { kind: 'ended', ended: ofAnswer(answer), via: 'synchronous' }
  } catch (error) {
    if (!isWritebackError(error)) throw error
    return afterSending(error)
  }
}

/** The write without what is for the queue alone. */
function toImmediate(write: FallbackWrite): AnyWrite {
  const body: Record<string, unknown> = { ...write, mode: 'synchronous' }
  delete body['retryPolicy']
  delete body['autoBatchPolicy']
  return body as unknown as AnyWrite
}

/** What a synchronous call that has no outcome means. */
function afterSending(error: WritebackError): Step {
  const { code, operationId } = error
  switch (code) {
    case 'IDEMPOTENCY_KEY_REUSED':
      return { kind: 'taken', error }
    case 'STILL_TRYING':
    case 'OUTCOME_UNKNOWN':
      // The operation says what becomes of it, and of a batch of which records.
      return operationId === undefined
        ? { kind: 'again', error }
        : { kind: 'follow', operationId, via: 'synchronous' }
    case 'RECORD_BUSY':
    case 'PROVIDER_UNREACHABLE':
      // It has ended, and its key answers so for good: nothing of it was sent.
      return { kind: 'unwritten', error }
    case 'NO_WORKING_CONNECTION':
      // The queue would have kept it until the connection works again: it is asked once more.
      return { kind: 'again', error }
    default:
      if (isPassing(error) || code === 'IDEMPOTENCY_KEY_IN_USE') return { kind: 'again', error }
      throw error
  }
}

/** Whether it says nothing of what became of the write, or that it may be taken another time. */
const isPassing = ({ status }: WritebackError): boolean =>
  status === undefined || [408, 429, 500, 502, 503, 504].includes(status)

const unknownId = (queued: Step): WritebackError => {
  const cause = 'error' in queued ? queued.error : undefined
  return new WritebackError(
    cause?.code ?? 'NO_ANSWER',
    'The write is queued, but its operation could not be learnt yet: call again with the same idempotency key.',
    { status: cause?.status, retryable: true, retryAfterMs: cause?.retryAfterMs, cause },
  )
}

/** Waits for the outcome of an operation; when it takes too long, sends it at once if it is still queued. */
async function follow(call: Call, step: Step & { kind: 'follow' }): Promise<WriteOutcome> {
  const { operations, signal, settings, key } = call
  const { operationId } = step
  let { via } = step
  let waitMs = Math.max(0, call.settleAt - Date.now())
  for (let tries = 1; ; tries += 1) {
    const ended = await endWithin(call, operationId, waitMs)
    if (ended !== null) return { ...ended, via, idempotencyKey: key }
    if (Date.now() >= call.until) throw goesOn(operationId)
    try {
      const timeoutMs = Math.min(call.timeoutMs, left(call))
      const answer = await operations.promote(operationId, { signal, timeoutMs, until: call.until })
      return { ...ofAnswer(answer), via: 'promoted', idempotencyKey: key }
    } catch (error) {
      if (!isWritebackError(error)) throw error
      const next = afterPromoting(error)
      if (next === 'throw') throw error
      if (next === 'promoted') via = 'promoted'
      // Refused because it is being sent: its outcome comes soon. Else the queue gets a while before the next try.
      waitMs = error.code === 'CONFLICT' ? call.timeoutMs : BETWEEN_PROMOTIONS_MS
      if (error.retryAfterMs !== undefined)
        await pause(pauseAfter(tries, settings.retry, error.retryAfterMs), signal)
    }
  }
}

/** What a promotion without an outcome means: it may have been made, it was not, or there is nothing to follow. */
function afterPromoting(error: WritebackError): 'promoted' | 'queued' | 'throw' {
  const { code } = error
  if (code === 'CONFLICT' || code === 'NO_WORKING_CONNECTION') return 'queued'
  if (code === 'STILL_TRYING' || code === 'OUTCOME_UNKNOWN') return 'promoted'
  if (isPassing(error)) return 'queued'
  return 'throw'
}

/** The outcome as soon as there is one; null when there is none in time, or it could not be read. */
async function endWithin(call: Call, operationId: string, ms: number): Promise<Ended | null> {
  try {
    const options = { timeoutMs: Math.min(ms, left(call)), signal: call.signal }
    return ofOperation(await call.operations.wait(operationId, options))
  } catch (error) {
    if (isWritebackError(error) && (error.code === 'WAIT_TIMEOUT' || isPassing(error))) return null
    throw error
  }
}

const goesOn = (operationId: string): WritebackError =>
  new WritebackError('WAIT_TIMEOUT', `The operation ${operationId} has not ended yet; it goes on.`, {
    retryable: true,
    operationId,
  })
