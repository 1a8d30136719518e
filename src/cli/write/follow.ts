import type { BatchGetAnswer, Operation } from '../../contract/operation.ts'
import { path, type Api } from '../api.ts'
import { hasEnded, waitFor } from '../operations.ts'

/** Operations that one call looks at. */
const PER_LOOK = 1_000
/** Milliseconds that a look waits for the oldest before it looks at the others. */
const LOOK_MS = 1_000

/** Operations whose outcomes are waited for. */
export interface Following {
  add: (line: number, operationId: string) => void
  readonly waiting: number
  /**
   * Looks at them, oldest first, until no more than `most` are left or the time is over; tells of each outcome
   * once.
   */
  settle: (most: number, timeoutMs: number) => Promise<void>
  /** What is left, by line. */
  left: () => IterableIterator<[operationId: string, line: number]>
}

/** Follows queued writes to their outcomes. */
export function createFollowing(
  api: Api,
  project: string,
  onEnd: (line: number, operation: Operation) => void,
): Following {
  const open = new Map<string, number>()
  const take = (operation: Operation): void => {
    const line = open.get(operation.id)
    if (line === undefined || !hasEnded(operation)) return
    open.delete(operation.id)
    onEnd(line, operation)
  }
  const lookAtAll = async (): Promise<void> => {
    const ids = [...open.keys()]
    for (let at = 0; at < ids.length; at += PER_LOOK) {
      const body = { ids: ids.slice(at, at + PER_LOOK) }
      const answer = await api.call('POST', path`/v1/projects/${project}/operations:batchGet`, {
        body,
        isRepeatable: true,
      })
      for (const operation of (answer.body as BatchGetAnswer).operations) take(operation)
    }
  }
  return {
    add: (line, operationId) => void open.set(operationId, line),
    get waiting() {
      return open.size
    },
    settle: async (most, timeoutMs) => {
      const end = performance.now() + timeoutMs
      while (open.size > most) {
        await lookAtAll()
        const [oldest] = open.keys()
        const leftMs = end - performance.now()
        if (oldest === undefined || open.size <= most || leftMs <= 0) return
        take(await waitFor(api, project, oldest, Math.min(LOOK_MS, leftMs)))
      }
    },
    left: () => open.entries(),
  }
}
