/** The most that all bulk calls of a process may have on its way to a commit. */
export interface RoomLimits {
  writes: number
  bytes: number
}

/**
 * Room for writes that wait for their commit, shared by all bulk calls of a process: enough to keep
 * every commit full, and little enough that other calls wait for no more than the next few commits.
 */
export interface BulkRoom {
  readonly isFull: boolean
  enter: (bytes: number) => void
  leave: (bytes: number) => void
  /** Resolves when there may be room again. */
  freed: () => Promise<void>
}

/** Creates an empty room. A single write may be bigger than what is left. */
export function createRoom(limits: RoomLimits): BulkRoom {
  let writes = 0
  let bytes = 0
  let waiting: (() => void)[] = []
  const isFull = (): boolean => writes >= limits.writes || bytes >= limits.bytes
  return {
    get isFull() {
      return isFull()
    },
    enter: (size) => {
      writes += 1
      bytes += size
    },
    leave: (size) => {
      writes -= 1
      bytes -= size
      if (waiting.length === 0 || isFull()) return
      const woken = waiting
      waiting = []
      for (const wake of woken) wake()
    },
    freed: () => new Promise((resolve) => waiting.push(resolve)),
  }
}
