import { randomFillSync } from 'node:crypto'
import { V7Generator } from 'uuidv7'

/** Random numbers are fetched many at a time: one by one, that is most of what an id costs. */
const drawn = new Uint32Array(1_024)
let next = drawn.length

function nextUint32(): number {
  if (next === drawn.length) {
    randomFillSync(drawn)
    next = 0
  }
  return drawn[next++] ?? 0
}

const generator = new V7Generator({ nextUint32 })

/** A new UUIDv7: unique, and within one process ordered by the time it was made. */
export const newId = (): string => generator.generate().toString()

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** Whether a text is a UUID in its usual form; anything else must never reach a uuid column. */
export const isUuid = (text: string): boolean => uuidPattern.test(text)
