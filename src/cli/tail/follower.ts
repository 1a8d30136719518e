import type { BatchGetAnswer, Operation } from '../../contract/operation.ts'
import { hasEnded } from '../operations.ts'

/** The service, as far as outcomes are followed. */
export interface OutcomePort {
  /** A page of the installation's operations, newest first. */
  list: (query: ListQuery) => Promise<{ results: Operation[]; next: string | undefined }>
  get: (ids: string[]) => Promise<BatchGetAnswer>
  /** Milliseconds by the service's clock, as it was told last: not later than what is asked now. */
  now: () => number
}

export interface ListQuery {
  status?: 'in_progress'
  /** An ISO 8601 time: only what was moved by hand after it. */
  movedAfter?: string
  pageSize: number
  pageToken: string | undefined
}

/** Bounds of a follower; a test makes them small. */
export interface FollowerBounds {
  /** Operations whose end is awaited at once. */
  tracked: number
  /** Operations of the newest page and of each other one, and pages that are held while one looks. */
  firstPage: number
  page: number
  heldPages: number
  /** Awaited operations that one look asks for, a page at a time. */
  asked: number
  /**
   * How late an operation below the newest may appear, or a move by hand before the last look, in milliseconds: at
   * each look, and at a deep one.
   */
  overlapMs: number
  deepOverlapMs: number
}

const usualBounds: FollowerBounds = {
  tracked: 100_000,
  firstPage: 50,
  page: 1_000,
  heldPages: 5,
  asked: 5_000,
  overlapMs: 3_000,
  deepOverlapMs: 60_000,
}

/**
 * Tells of every outcome of one installation once, from a moment on, in bounded memory.
 *
 * The service lists operations by acceptance, not by end. So everything that is newer than the newest one known
 * is looked at: what has ended is told, what has not is awaited by its id. Operations may appear a little late,
 * since an id is older than its commit: each look goes some seconds further back than it must, and a deep one a
 * minute; what has been told of that time is remembered. When too many are awaited, newer ones are left where
 * they are, in the service, until some have ended.
 *
 * Older ones that are sent again or settled by hand are listed by the time of that: those since the last look that
 * took all of them, and as much further back.
 */
export interface Follower {
  /**
   * Looks once.
   * @param isDeep goes back further, and finds what is in progress and had no room before
   */
  look: (isDeep: boolean) => Promise<void>
  /** How many are awaited. */
  readonly awaited: number
}

/**
 * @param since milliseconds by the service's clock: what ended before is not told
 * @param tell gets the outcomes, in the order of their ends as far as they are found together
 */
export function createFollower(
  port: OutcomePort,
  since: number,
  tell: (operations: Operation[]) => void,
  given: Partial<FollowerBounds> = {},
): Follower {
  const bounds = { ...usualBounds, ...given }
  const awaited = new Set<string>()
  /** Told, or ended before: those that a look may meet again, or ended anew. */
  const ended = new Map<string, { acceptedAt: number; updateTime: string }>()
  let newest = since
  /** All moves by hand before this time have been taken. */
  let movesUntil = since
  let isFirst = true

  const acceptedAt = ({ createTime }: Operation): number => Date.parse(createTime)

  /** What is new of a page, as far as there is room; false when that is not all of it. */
  const take = (operations: Operation[]): boolean => {
    // One that was sent again by hand, or settled, has ended at another time.
    const fresh = operations.filter(
      ({ id, updateTime }) => !awaited.has(id) && ended.get(id)?.updateTime !== updateTime,
    )
    const open = fresh.filter((operation) => !hasEnded(operation))
    const room = bounds.tracked - awaited.size
    for (const { id } of open.slice(0, room)) {
      ended.delete(id)
      awaited.add(id)
    }
    end(fresh.filter(hasEnded))
    return open.length <= room
  }

  const end = (operations: Operation[]): void => {
    for (const operation of operations) {
      awaited.delete(operation.id)
      ended.set(operation.id, { acceptedAt: acceptedAt(operation), updateTime: operation.updateTime })
    }
    const late = operations.filter(({ updateTime }) => Date.parse(updateTime) >= since)
    late.sort((a, b) => (a.updateTime < b.updateTime ? -1 : 1))
    if (late.length > 0) tell(late)
  }

  /** Walks down to what is known, then takes what was met from there upwards, as far as there is room. */
  const walk = async (overlapMs: number): Promise<void> => {
    const horizon = newest - overlapMs
    const met: { pageToken: string | undefined; results: Operation[] | null }[] = []
    let pageToken: string | undefined
    for (;;) {
      const pageSize = pageToken === undefined ? bounds.firstPage : bounds.page
      const { results, next } = await port.list({ pageSize, pageToken })
      met.push({ pageToken, results })
      // The newest page is kept: asked for again it would hold others, and leave a gap to the one below it.
      const held = met.at(-1 - bounds.heldPages)
      if (held?.pageToken !== undefined) held.results = null
      const last = results.at(-1)
      if (next === undefined || (last !== undefined && acceptedAt(last) < horizon)) break
      pageToken = next
    }
    for (const { results, pageToken } of met.reverse()) {
      const page = results ?? (await port.list({ pageSize: bounds.page, pageToken })).results
      const near = page.filter((operation) => acceptedAt(operation) >= horizon)
      if (!take(near)) return
      newest = Math.max(newest, ...near.map(acceptedAt))
    }
  }

  /** Asks for those that are awaited, the longest unasked first. */
  const ask = async (): Promise<void> => {
    const ids = [...awaited].slice(0, bounds.asked)
    for (let at = 0; at < ids.length; at += bounds.page) {
      const part = ids.slice(at, at + bounds.page)
      const { operations, missing } = await port.get(part)
      for (const id of missing) awaited.delete(id)
      for (const { id } of operations.filter((operation) => !hasEnded(operation))) {
        awaited.delete(id)
        awaited.add(id)
      }
      // One that was told of in the meantime is not awaited any more.
      end(operations.filter((operation) => hasEnded(operation) && awaited.has(operation.id)))
    }
  }

  /** Takes what was moved by hand. What is newer than the newest known is left to the walk. */
  const takeMoved = async (overlapMs: number): Promise<void> => {
    // What is moved while this lasts is for the next look.
    const now = port.now()
    const movedAfter = new Date(movesUntil - overlapMs).toISOString()
    let isWhole = true
    let pageToken: string | undefined
    do {
      const { results, next } = await port.list({ movedAfter, pageSize: bounds.page, pageToken })
      isWhole = take(results.filter((operation) => acceptedAt(operation) <= newest)) && isWhole
      pageToken = next
    } while (pageToken !== undefined)
    if (isWhole) movesUntil = now
  }

  /** What is in progress although it is not awaited: older than the beginning, or there was no room for it. */
  const sweep = async (): Promise<void> => {
    let pageToken: string | undefined
    do {
      const { results, next } = await port.list({ status: 'in_progress', pageSize: bounds.page, pageToken })
      for (const operation of results) {
        if (awaited.size >= bounds.tracked) return
        if (acceptedAt(operation) > newest) continue
        ended.delete(operation.id)
        awaited.add(operation.id)
      }
      pageToken = next
    } while (pageToken !== undefined)
  }

  return {
    get awaited() {
      return awaited.size
    },
    look: async (isDeep) => {
      await ask()
      if (isFirst) await sweep()
      const overlapMs = isDeep || isFirst ? bounds.deepOverlapMs : bounds.overlapMs
      // Before the walk, which would leave it no room.
      await takeMoved(overlapMs)
      await walk(overlapMs)
      if (isDeep && !isFirst) await sweep()
      isFirst = false
      const keptMs = 2 * bounds.deepOverlapMs
      for (const [id, { acceptedAt, updateTime }] of ended)
        if (acceptedAt < newest - keptMs && Date.parse(updateTime) < movesUntil - keptMs) ended.delete(id)
    },
  }
}
