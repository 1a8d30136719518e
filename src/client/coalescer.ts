import { callBulk, type LineResult } from './bulk-call.ts'
import { isWritebackError, lostError, withKey, type WritebackError } from './errors.ts'
import type { Settings } from './options.ts'
import { orAborted, pauseAfter } from './pauses.ts'
import { isWorthRepeating, type Transport } from './transport.ts'
import type { SingleWrite } from './types.ts'
import { keyText } from './write.ts'

/** Writes and bytes of one call (contract sections 3 and 5). */
const MAX_WRITES = 1_000
const MAX_BYTES = 32 * 1024 * 1024

/** A write on its way. */
export interface Submitted {
  /** Resolves once it is committed. @throws {WritebackError} why it is refused, or the signal's reason */
  operationId: Promise<string>
  idempotencyKey: string | null
  /** Bytes that it takes in a call. */
  bytes: number
}

/** Combines writes that come at about the same time into bulk calls, through one integration. */
export interface Coalescer {
  submit: (
    objectName: string,
    write: SingleWrite,
    options: { idempotencyKey?: string | null | undefined; signal?: AbortSignal | undefined },
  ) => Submitted
}

interface Entry {
  line: Uint8Array
  key: string | null
  signal: AbortSignal | undefined
  /** Calls that it was in. */
  tries: number
  resolve: (operationId: string) => void
  reject: (error: unknown) => void
}

const encoder = new TextEncoder()

/**
 * Creates a coalescer. A call leaves when it is full, or a moment after its first write came; with as many in
 * flight as may be, what comes waits and fills the next one. A write whose result is lost, or that is refused for
 * now, goes again with its own key.
 */
export function createCoalescer(settings: Settings, transport: Transport, path: string): Coalescer {
  const { retry } = settings
  let waiting: Entry[] = []
  let waitingBytes = 0
  let inFlight = 0
  let timer: ReturnType<typeof setTimeout> | undefined

  const add = (entry: Entry): void => {
    waiting.push(entry)
    waitingBytes += entry.line.length
    if (waiting.length >= MAX_WRITES || waitingBytes >= MAX_BYTES) leave()
    else timer ??= setTimeout(leave, settings.coalesceMs)
  }

  /** The writes of the next call; those given up meanwhile are left out. */
  const take = (): Entry[] => {
    const group: Entry[] = []
    let bytes = 0
    let count = 0
    for (const entry of waiting) {
      if (group.length >= MAX_WRITES || (group.length > 0 && bytes + entry.line.length > MAX_BYTES)) break
      count += 1
      waitingBytes -= entry.line.length
      if (entry.signal?.aborted === true) continue
      bytes += entry.line.length
      group.push(entry)
    }
    waiting = waiting.slice(count)
    return group
  }

  function leave(): void {
    clearTimeout(timer)
    timer = undefined
    while (waiting.length > 0 && inFlight < settings.bulkCalls) {
      const group = take()
      if (group.length === 0) continue
      inFlight += 1
      void send(group).finally(() => {
        inFlight -= 1
        leave()
      })
    }
  }

  /** Settles every entry, or leaves it to another call. */
  async function send(group: Entry[]): Promise<void> {
    const open = new Set(group)
    const settle = (entry: Entry, result: LineResult): void => {
      open.delete(entry)
      if ('operationId' in result) entry.resolve(result.operationId)
      else goAgain(entry, result.error)
    }
    for (const entry of group) entry.tries += 1
    try {
      const lines = group.map((entry) => entry.line)
      const onResult = (index: number, result: LineResult): void => settle(group[index] as Entry, result)
      await callBulk(transport, { path, lines, timeoutMs: settings.timeoutMs, onResult })
    } catch (error) {
      const lost = isWritebackError(error) ? error : lostError(error)
      for (const entry of open) goAgain(entry, lost)
    }
  }

  function goAgain(entry: Entry, error: WritebackError): void {
    const isOver =
      entry.tries >= retry.attempts ||
      (error.retryAfterMs ?? 0) > retry.maxRetryAfterMs ||
      !isWorthRepeating(error, entry.key === null ? 'unsent' : 'always')
    if (isOver) entry.reject(withKey(error, entry.key))
    else setTimeout(() => add(entry), pauseAfter(entry.tries, retry, error.retryAfterMs))
  }

  return {
    submit: (objectName, write, options) => {
      const key = options.idempotencyKey === undefined ? crypto.randomUUID() : options.idempotencyKey
      const named = key === null ? {} : { idempotencyKey: keyText(key) }
      const line = encoder.encode(`${JSON.stringify({ ...write, ...named, objectName })}\n`)
      const { signal } = options
      const answered = new Promise<string>((resolve, reject) => {
        add({ line, key, signal, tries: 0, resolve, reject })
      })
      return { operationId: orAborted(answered, signal), idempotencyKey: key, bytes: line.length }
    },
  }
}
