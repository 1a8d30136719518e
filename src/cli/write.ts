import type { Operation } from '../contract/operation.ts'
import { sayProblem, ServiceError } from './api.ts'
import { usageError } from './command.ts'
import { exitCodes } from './exit-codes.ts'
import { errorOf, exitOf, worstExit } from './operations.ts'
import { serviceCommand, type Session } from './run-command.ts'
import { counted, tidy } from './text.ts'
import { queueLines, type Result } from './write/bulk.ts'
import { createFollowing } from './write/follow.ts'
import { readGiven, spec, type Given } from './write/options.ts'
import { readBytes, readLines, type Line } from './write/read-lines.ts'
import { writeOne } from './write/single.ts'

export { spec }

/** Queued writes whose outcomes are waited for before more are queued: what keeps memory bounded. */
const MAX_FOLLOWED = 20_000
/** Lines that are named one by one on standard error. */
const MAX_NAMED = 20
/** A record over several lines, in characters: what one write may have. */
const MAX_RECORD = 6 * 1024 * 1024

/** `writeback write` */
export const { run } = serviceCommand(spec, readGiven, async (given, session) => {
  const { source, isLines } = given
  if ('text' in source) return writeOne(given, recordOf(source.text), session)
  const lines = readLines(readBytes(source.file, session.host.stdin))
  if (isLines) return writeMany(given, lines, session)
  const input = await firstOf(lines)
  return 'record' in input ? writeOne(given, input.record, session) : writeMany(given, input.lines, session)
})

/** @throws {UsageError} when a text is no record */
function recordOf(text: string): object {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw usageError(spec.name, [`RECORD is not JSON: ${(error as Error).message}`])
  }
  if (Array.isArray(value))
    throw usageError(spec.name, ['RECORD must be one JSON object: of many, put each on a line of its own'])
  if (typeof value !== 'object' || value === null)
    throw usageError(spec.name, ['RECORD must be a JSON object: values by field name'])
  return value
}

/** One record, over however many lines; or, when the first line is one and more follow, a record on each. */
async function firstOf(
  lines: AsyncGenerator<Line, void>,
): Promise<{ record: object } | { lines: AsyncGenerator<Line, void> }> {
  const read: Line[] = []
  let size = 0
  for (;;) {
    const { value: line, done } = await lines.next()
    if (done === true) break
    read.push(line)
    size += line.text?.length ?? MAX_RECORD + 1
    if (read.length === 2 && isWhole(read[0]?.text ?? null)) return { lines: chained(read, lines) }
    if (size > MAX_RECORD) throw usageError(spec.name, ['RECORD is larger than 6 MB'])
  }
  if (read.length === 0) throw usageError(spec.name, ['RECORD is required: the input is empty'])
  return { record: recordOf(read.map(({ text }) => text).join('\n')) }
}

function isWhole(text: string | null): boolean {
  try {
    return typeof JSON.parse(text ?? '') === 'object'
  } catch {
    return false
  }
}

async function* chained(first: Line[], rest: AsyncGenerator<Line, void>): AsyncGenerator<Line, void> {
  yield* first
  yield* rest
}

/** What became of all lines. */
interface Summary {
  writes: number
  queued: number
  refused: number
  /** Only with `--wait`: how many ended how, and how many have not. */
  outcomes?: Record<string, number>
}

async function writeMany(given: Given, lines: AsyncGenerator<Line, void>, session: Session): Promise<number> {
  const { api, output } = session
  const isWaiting = given.mode === 'wait'
  const summary: Summary = { writes: 0, queued: 0, refused: 0, ...(isWaiting && { outcomes: {} }) }
  const name = nameOnStandardError(session)
  const count = (state: string): void => {
    const { outcomes = {} } = summary
    outcomes[state] = (outcomes[state] ?? 0) + 1
  }
  const following = createFollowing(api, given.project, (line, operation) => {
    const { id, metadata } = operation
    count(metadata.state)
    output.json({ line, operationId: id, state: metadata.state, ...outcomeOf(operation) })
    const error = errorOf(operation)
    if (metadata.state !== 'succeeded')
      name(
        `line ${line}: ${metadata.state}: ${error === null ? operation.result : `${error.code}: ${error.message}`}`,
      )
  })
  const take = (result: Result): void => {
    summary.writes += 1
    if ('problem' in result) {
      summary.refused += 1
      output.json(result)
      name(`line ${result.line}: refused: ${sayProblem(result.problem)}`)
      return
    }
    summary.queued += 1
    if (isWaiting) following.add(result.line, result.operationId)
    else output.json(result)
  }
  try {
    for await (const results of queueLines(api, given, lines)) {
      for (const result of results) take(result)
      if (following.waiting > MAX_FOLLOWED) await following.settle(MAX_FOLLOWED, given.timeoutMs)
      if (following.waiting > MAX_FOLLOWED)
        throw new ServiceError('failed', `More than ${MAX_FOLLOWED} writes wait, and the time is over.`)
    }
    await following.settle(0, given.timeoutMs)
  } finally {
    // Also when a call failed or somebody ended it: what was queued is queued.
    for (const [operationId, line] of following.left()) {
      count('waiting')
      output.json({ line, operationId, state: 'waiting' })
    }
    showSummary(summary, session)
  }
  const exits = Object.keys(summary.outcomes ?? {}).map((state) =>
    exitOf(state === 'waiting' ? 'queued' : state),
  )
  return worstExit(summary.refused > 0 ? [...exits, exitCodes.notWritten] : exits)
}

const outcomeOf = ({ metadata }: Operation) => {
  const [recordId] = metadata.successfulRecordIds
  const errors = metadata.records.flatMap((record) => record.errors)
  return { ...(recordId === undefined ? {} : { recordId }), ...(errors.length > 0 && { errors }) }
}

/** Names what went wrong, up to a number of lines: standard output tells of all with `--json`. */
function nameOnStandardError({ output }: Session): (text: string) => void {
  let named = 0
  return (text) => {
    named += 1
    if (output.isJson || named > MAX_NAMED + 1) return
    output.note(named > MAX_NAMED ? '… and more: --json names all' : tidy(text))
  }
}

function showSummary({ writes, queued, refused, outcomes }: Summary, { output }: Session): void {
  output.json({ summary: { writes, queued, refused, ...outcomes } })
  const ends = Object.entries(outcomes ?? {}).map(
    ([state, count]) => `${count.toLocaleString('en-US')} ${state.replace('_', ' ')}`,
  )
  const parts = [`${queued.toLocaleString('en-US')} queued`, `${refused.toLocaleString('en-US')} refused`]
  output.line(`${counted(writes, 'write')}: ${[...parts, ...ends].join(', ')}`)
}
