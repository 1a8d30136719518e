import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Problem } from '../../contract/problem.ts'
import { path, ServiceError, type Api } from '../api.ts'
import type { Given } from './options.ts'
import { inGroups, MAX_LINE_BYTES, type Line } from './read-lines.ts'
import { writeFields } from './single.ts'

/** What one call of many writes holds at most: below what the service takes. */
const bounds = { lines: 1_000, characters: 8 * 1024 * 1024, idleMs: 200 }
/** Milliseconds that a call of many writes may take, and for which what the service cannot take now is sent again. */
const CALL_MS = 120_000
const PATIENCE_MS = 60_000
const PAUSE_MS = 1_000

/** What became of one line. */
export type Result = { line: number; operationId: string } | { line: number; problem: Partial<Problem> }

interface Entry {
  line: number
  text: string
}

/**
 * Queues the writes of an input, in order, and answers with what became of each line. A line that the service
 * could not take just then is sent again for a minute.
 *
 * @throws {ServiceError} when a call was not answered: what was answered before stands
 */
export async function* queueLines(
  api: Api,
  given: Given,
  lines: AsyncIterable<Line>,
): AsyncGenerator<Result[], void> {
  const prefix = given.idempotencyKey ?? randomUUID()
  for await (const group of inGroups(lines, bounds)) {
    const entries: Entry[] = []
    const refused: Result[] = []
    for (const line of group) {
      const made = entryOf(line, given, prefix)
      if ('text' in made) entries.push(made)
      else refused.push(made)
    }
    if (refused.length > 0) yield refused
    if (entries.length > 0) yield* sendAll(api, given, entries)
  }
}

/** The line as it is sent; its key is the same whenever the same input is sent with the same prefix. */
function entryOf({ number, text }: Line, given: Given, prefix: string): Entry | Result {
  const refuse = (detail: string): Result => ({
    line: number,
    problem: { code: 'INVALID_REQUEST', status: 400, detail },
  })
  if (text === null) return refuse(`The line is longer than ${MAX_LINE_BYTES / 1024 / 1024} MB.`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return refuse('The line is not JSON.')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return refuse('The line is not a JSON object.')
  const idempotencyKey = `${prefix}-${number}`
  const write =
    given.object === null
      ? { ...(given.group === undefined ? {} : { groupRef: given.group }), idempotencyKey, ...value }
      : { ...writeFields(given), objectName: given.object, record: value, idempotencyKey }
  return { line: number, text: JSON.stringify(write) }
}

async function* sendAll(api: Api, given: Given, entries: Entry[]): AsyncGenerator<Result[], void> {
  const { project, integration } = given
  const target = path`/v1/projects/${project}/integrations/${integration}/writes`
  const end = performance.now() + PATIENCE_MS
  let left = entries
  while (left.length > 0) {
    const body = left.map(({ text }) => `${text}\n`).join('')
    const answer = await api.call('POST', target, { body, isRepeatable: true, timeoutMs: CALL_MS })
    const answers = (typeof answer.body === 'string' ? answer.body : '').split('\n').slice(0, -1)
    const mayTryAgain = performance.now() < end
    const results: Result[] = []
    const again: Entry[] = []
    left.forEach((entry, index) => {
      const result = resultOf(entry, answers[index])
      if (mayTryAgain && (result === null || isPassing(result))) again.push(entry)
      else results.push(result ?? { line: entry.line, problem: cutOff })
    })
    yield results
    left = again
    if (left.length > 0) await delay(PAUSE_MS * (0.5 + Math.random() / 2))
  }
}

const cutOff: Partial<Problem> = {
  code: 'OUTCOME_UNKNOWN',
  status: 502,
  detail: 'The answer to the line was cut off; whether it was queued is not known.',
}

/** What the service said of a line; null when it was cut off before. */
function resultOf({ line }: Entry, text: string | undefined): Result | null {
  if (text === undefined) return null
  try {
    const said = JSON.parse(text) as { operationId: string } | { problem: Problem }
    return { line, ...said }
  } catch {
    throw new ServiceError('failed', `The service answered line ${line} with something that is not JSON.`)
  }
}

const isPassing = (result: Result): boolean => 'problem' in result && result.problem.retryable === true
