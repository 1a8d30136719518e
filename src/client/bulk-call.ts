import type { WriteAccepted } from '../contract/write-answers.ts'
import type { Problem } from '../contract/problem.ts'
import { lostError, problemError, WritebackError } from './errors.ts'
import { readAnswer, type Transport } from './transport.ts'

/** Bytes of a body that are taken to need a second of their own on the way. */
const BYTES_PER_SECOND = 128 * 1024

/** What became of one write of a bulk call. */
export type LineResult = { operationId: string } | { error: WritebackError }

/** One bulk call. */
export interface BulkCall {
  path: string
  /** A write on each, with its line end. */
  lines: readonly Uint8Array[]
  timeoutMs: number
  /** Told of each result as it arrives, in the order of the lines. */
  onResult: (index: number, result: LineResult) => void
}

/**
 * Makes a bulk call (contract section 5), once.
 *
 * @returns the number of lines that were answered: all of them, unless it throws
 * @throws {WritebackError} for the lines that had no result
 */
export async function callBulk(
  transport: Transport,
  { path, lines, timeoutMs, onResult }: BulkCall,
): Promise<void> {
  const body = concat(lines)
  const request = {
    method: 'POST' as const,
    path,
    headers: { 'content-type': 'application/x-ndjson', accept: 'application/x-ndjson' },
    body,
    repeat: 'always' as const,
    timeoutMs: timeoutMs + (body.length / BYTES_PER_SECOND) * 1000,
  }
  await transport.stream(request, async (response, alive) => {
    if (!response.ok || !/^application\/x-ndjson\b/.test(response.headers.get('content-type') ?? '')) {
      readAnswer(response, await response.text(), [])
      throw new WritebackError('UNEXPECTED_ANSWER', "The answer is not the service's.", {
        status: response.status,
      })
    }
    let index = 0
    for await (const line of linesOf(response, alive)) {
      if (index < lines.length) onResult(index, resultOf(line))
      index += 1
    }
    if (index < lines.length) throw lostError(new Error('the answer ended before its last line'))
  })
}

function concat(lines: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const body = new Uint8Array(lines.reduce((sum, line) => sum + line.length, 0))
  let at = 0
  for (const line of lines) {
    body.set(line, at)
    at += line.length
  }
  return body
}

/** Whole lines of an answer as they arrive: one that is cut off says nothing. */
async function* linesOf(response: Response, alive: () => void): AsyncGenerator<string, void> {
  if (response.body === null) return
  const reader = response.body.getReader() as ReadableStreamDefaultReader<Uint8Array>
  const decoder = new TextDecoder()
  let rest = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    alive()
    const parts = (rest + decoder.decode(value, { stream: true })).split('\n')
    rest = parts.pop() ?? ''
    yield* parts
  }
}

function resultOf(line: string): LineResult {
  try {
    const result = JSON.parse(line) as WriteAccepted | { problem: Problem }
    if ('operationId' in result) return { operationId: result.operationId }
    return { error: problemError(result.problem) }
  } catch (error) {
    return { error: new WritebackError('UNEXPECTED_ANSWER', 'A result could not be read.', { cause: error }) }
  }
}
