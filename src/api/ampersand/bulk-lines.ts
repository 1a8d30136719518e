/** A line of a body that has a write on each. */
export interface Line {
  /** Its number in the body, from 1. */
  number: number
  /** Without its end; empty for a line with a fault. */
  bytes: Buffer
  /** Why it was not kept: longer than a line may be, or beyond what the whole body may be. */
  fault: 'too long' | 'beyond' | null
}

/** Bounds of {@link splitLines}, in bytes. */
export interface LineLimits {
  line: number
  body: number
}

const NEWLINE = 0x0a

/** Space, tab and carriage return only. */
function isBlank(bytes: Buffer): boolean {
  for (const byte of bytes) if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0d) return false
  return true
}

/**
 * Cuts a body into its lines as it arrives, those of one chunk at a time. Blank lines are left out, but
 * counted. What breaks a limit is dropped at once and comes as a line with a fault, so that no more
 * than one line is ever held. The last line needs no end.
 */
export async function* splitLines(
  body: AsyncIterable<Buffer>,
  limits: LineLimits,
): AsyncGenerator<Line[], void> {
  let pieces: Buffer[] = []
  /** Bytes of the present line, and of the body up to it. */
  let size = 0
  let before = 0
  let number = 0
  const faultOf = (): Line['fault'] =>
    before + size > limits.body ? 'beyond' : size > limits.line ? 'too long' : null

  const keep = (piece: Buffer): void => {
    size += piece.length
    if (faultOf() === null) pieces.push(piece)
    else pieces = []
  }
  const end = (lines: Line[]): void => {
    const fault = faultOf()
    const [first] = pieces
    const bytes = pieces.length === 1 && first !== undefined ? first : Buffer.concat(pieces)
    number += 1
    if (size > 0 && (fault !== null || !isBlank(bytes))) lines.push({ number, bytes, fault })
    before += size + 1
    size = 0
    pieces = []
  }

  for await (const chunk of body) {
    const lines: Line[] = []
    let from = 0
    for (let to = chunk.indexOf(NEWLINE); to !== -1; to = chunk.indexOf(NEWLINE, from)) {
      keep(chunk.subarray(from, to))
      end(lines)
      from = to + 1
    }
    keep(chunk.subarray(from))
    yield lines
  }
  const last: Line[] = []
  end(last)
  yield last
}
