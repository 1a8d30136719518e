import { createReadStream } from 'node:fs'
import type { Readable } from 'node:stream'
import { messageOf } from '../../kernel/errors.ts'

/** The longest line, in bytes: what one write may have. */
export const MAX_LINE_BYTES = 6 * 1024 * 1024

/** One line of an input. */
export interface Line {
  /** From 1, blank lines counted. */
  number: number
  /** Null for one that is too long. */
  text: string | null
}

/** The bytes of a file, or of standard input for `-`. An error names the file. */
export async function* readBytes(file: string, stdin: Readable): AsyncGenerator<Buffer, void> {
  const stream = file === '-' ? stdin : createReadStream(file)
  try {
    for await (const chunk of stream) yield chunk as Buffer
  } catch (error) {
    throw new Error(`${file === '-' ? 'standard input' : file} cannot be read: ${messageOf(error)}`, {
      cause: error,
    })
  } finally {
    stream.destroy()
  }
}

/** The lines of an input that are not blank; of one that is too long no more than its number is kept. */
export async function* readLines(
  bytes: AsyncIterable<Buffer>,
  maxBytes: number = MAX_LINE_BYTES,
): AsyncGenerator<Line, void> {
  let number = 1
  let parts: Buffer[] = []
  let size = 0
  const take = (): Line | null => {
    const text = size > maxBytes ? null : Buffer.concat(parts).toString('utf8')
    const line = { number, text }
    number += 1
    parts = []
    size = 0
    return text !== null && text.trim() === '' ? null : line
  }
  const keep = (part: Buffer): void => {
    size += part.length
    if (size > maxBytes) parts = []
    else if (part.length > 0) parts.push(part)
  }
  for await (const chunk of bytes) {
    let start = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      keep(chunk.subarray(start, end))
      start = end + 1
      const line = take()
      if (line !== null) yield line
    }
    keep(chunk.subarray(start))
  }
  const last = size > 0 ? take() : null
  if (last !== null) yield last
}

/** How lines are put together. */
export interface GroupBounds {
  lines: number
  characters: number
  /** Milliseconds after which those that are there go on without waiting for more. */
  idleMs: number
}

/** Lines in groups: as many as may be, fewer when none comes for a while, so that a slow input is not held back. */
export async function* inGroups(
  lines: AsyncIterable<Line>,
  bounds: GroupBounds,
): AsyncGenerator<Line[], void> {
  const iterator = lines[Symbol.asyncIterator]()
  let next = iterator.next()
  let group: Line[] = []
  let size = 0
  try {
    for (;;) {
      const come = group.length === 0 ? await next : await withinMs(next, bounds.idleMs)
      if (come !== null && come.done !== true) {
        group.push(come.value)
        size += come.value.text?.length ?? 0
        next = iterator.next()
        if (group.length < bounds.lines && size < bounds.characters) continue
      }
      if (group.length > 0) yield group
      if (come?.done === true) return
      group = []
      size = 0
    }
  } finally {
    // Nobody asks for it any more; its error must only not be unhandled.
    next.catch(() => undefined)
  }
}

async function withinMs<T>(promise: Promise<T>, ms: number): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined
  const idle = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), ms)
  })
  try {
    return await Promise.race([promise, idle])
  } finally {
    clearTimeout(timer)
  }
}
