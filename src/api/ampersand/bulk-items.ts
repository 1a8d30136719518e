import { WritebackError, type Issue } from '../../kernel/errors.ts'
import { parseJson, unkeepable } from '../json-body.ts'
import { splitLines, type Line } from './bulk-lines.ts'

/** One write of a bulk call as it arrived. */
export interface Item {
  /** Bytes that it came in. */
  bytes: number
  /**
   * What the write's JSON says.
   * @throws {WritebackError} for what is no such text, or beyond what the call may hold
   */
  read: () => unknown
}

/** Bounds of one call. */
export interface ItemLimits {
  writes: number
  /** Bytes of the call, and of one line of it. */
  bytes: number
  line: number
}

const megabytes = (bytes: number): string => `${Math.floor(bytes / 1024 / 1024)} MB`

/** The writes of a body that has one on each line, as they arrive. */
export async function* itemsOfLines(
  body: AsyncIterable<Buffer>,
  limits: ItemLimits,
): AsyncGenerator<Item[], void> {
  let writes = 0
  for await (const lines of splitLines(body, { line: limits.line, body: limits.bytes })) {
    yield lines.map((line) => {
      writes += 1
      const isExtra = writes > limits.writes
      return { bytes: line.bytes.length, read: () => readLine(line, isExtra, limits) }
    })
  }
}

function readLine({ number, bytes, fault }: Line, isExtra: boolean, limits: ItemLimits): unknown {
  const what = `Line ${number}`
  if (isExtra)
    throw new WritebackError(
      'INVALID_REQUEST',
      `${what} is beyond the ${limits.writes} writes of one call.`,
      {
        issues: [{ path: '', message: `is beyond the ${limits.writes} writes of one call` }],
        remedy: 'Send it in another call.',
      },
    )
  if (fault === 'beyond')
    throw new WritebackError(
      'BODY_TOO_LARGE',
      `${what} is beyond the ${megabytes(limits.bytes)} of one call.`,
      {
        remedy: 'Send it in another call.',
      },
    )
  if (fault === 'too long')
    throw new WritebackError(
      'BODY_TOO_LARGE',
      `${what} is larger than the ${megabytes(limits.line)} of one write.`,
      {
        remedy: 'Send a smaller record.',
      },
    )
  return parseJson(bytes, what)
}

/** A JSON body as it was read. */
export interface ReadWrites {
  writes: unknown[]
  /** What in the body cannot be kept as it is. */
  issues: Issue[]
  bytes: number
}

const placePattern = /^\/writes\/(\d+)(\/.*)?$/s

/**
 * The writes of a JSON body, each with its own share of the issues.
 *
 * @throws {WritebackError} INVALID_REQUEST for issues of no write
 */
export function itemsOfJson({ writes, issues, bytes }: ReadWrites): Item[] {
  const issuesOf = new Map<number, Issue[]>()
  for (const issue of issues) {
    const [, index, path = ''] = placePattern.exec(issue.path) ?? []
    if (index === undefined) throw unkeepable(issues)
    const own = issuesOf.get(Number(index)) ?? []
    own.push({ ...issue, path })
    issuesOf.set(Number(index), own)
  }
  const each = Math.ceil(bytes / writes.length)
  return writes.map((value, index) => ({
    bytes: each,
    read: () => {
      const own = issuesOf.get(index)
      if (own !== undefined) throw unkeepable(own, 'The write')
      return value
    },
  }))
}
