import { Readable } from 'node:stream'

/** How results become a body. */
export interface Framing {
  start: string
  join: (results: string[], isFirst: boolean) => string
  end: string
}

/** One result on each line. */
export const asLines: Framing = { start: '', join: (results) => `${results.join('\n')}\n`, end: '' }

/** One JSON text. */
export const asJson: Framing = {
  start: '{"results":[',
  join: (results, isFirst) => (isFirst ? '' : ',') + results.join(','),
  end: ']}',
}

/** The place of one result. */
export interface Slot {
  result: string | null
}

/** Bounds of {@link createAnswers}. */
export interface AnswerLimits {
  /** Results that are awaited or not yet read by the client. */
  open: number
  /** Characters of results that the client has not read yet. */
  unread: number
}

/** The body of an answer: results in the order of their places, whatever the order in which they come. */
export interface Answers {
  stream: Readable
  open: () => Slot
  settle: (slot: Slot, result: string) => void
  /** Whether another place may be opened. */
  readonly hasRoom: boolean
  /** Whether nobody is there any more to read. */
  readonly isClosed: boolean
  /** Resolves when results have been read, or nobody is there any more to read them. */
  read: () => Promise<void>
  /** No place will be opened any more. */
  end: () => void
  /** Cuts the answer off. */
  fail: (error: Error) => void
}

/**
 * Creates an empty answer. Only what its reader asks for leaves it, so a slow reader fills it up.
 *
 * @param onMoved told of each result that comes and of each reading
 */
export function createAnswers(framing: Framing, limits: AnswerLimits, onMoved: () => void): Answers {
  const slots: Slot[] = []
  let unread = 0
  let isWanted = false
  let isScheduled = false
  let isFirst = true
  let isEnding = false
  let isClosed = false
  let waiting: (() => void)[] = []
  const wake = (): void => {
    const woken = waiting
    waiting = []
    for (const resolve of woken) resolve()
  }

  const stream = new Readable({
    read: () => {
      isWanted = true
      push()
    },
    destroy: (error, done) => {
      isClosed = true
      wake()
      done(error)
    },
  })
  if (framing.start !== '') stream.push(framing.start)

  /** Hands out all that is settled before the first place that is not. */
  function push(): void {
    isScheduled = false
    if (!isWanted || isClosed) return
    const count = slots.findIndex((slot) => slot.result === null)
    const settled = slots.splice(0, count === -1 ? slots.length : count)
    if (settled.length > 0) {
      isWanted = false
      const text = framing.join(
        settled.map((slot) => slot.result ?? ''),
        isFirst,
      )
      isFirst = false
      for (const { result } of settled) unread -= result?.length ?? 0
      stream.push(text)
      onMoved()
      wake()
    } else if (isEnding && slots.length === 0) {
      isWanted = false
      if (framing.end !== '') stream.push(framing.end)
      stream.push(null)
    }
  }

  /** Once for all results of this turn. */
  const schedule = (): void => {
    if (isScheduled) return
    isScheduled = true
    queueMicrotask(push)
  }

  return {
    stream,
    open: () => {
      const slot: Slot = { result: null }
      slots.push(slot)
      return slot
    },
    settle: (slot, result) => {
      slot.result = result
      unread += result.length
      onMoved()
      schedule()
    },
    get hasRoom() {
      return slots.length < limits.open && unread < limits.unread
    },
    get isClosed() {
      return isClosed
    },
    read: () => (isClosed ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
    end: () => {
      isEnding = true
      schedule()
    },
    fail: (error) => void stream.destroy(error),
  }
}
