/** Options of {@link createGroupBuffer}. */
export interface GroupBufferOptions<T> {
  /** Most items of one flush. */
  maxItems: number
  /** Most bytes of one flush; a single bigger item goes alone. */
  maxBytes: number
  /** Bytes that an item counts for. */
  bytesOf: (item: T) => number
  /** Makes a group of items durable, all or none. */
  flush: (items: T[]) => Promise<void>
  /** Whether a failure may be one item's fault, so that the group is worth splitting to save the others. */
  worthSplitting: (error: unknown) => boolean
}

/** Gathers concurrent callers into shared flushes. */
export interface GroupBuffer<T> {
  /** Resolves once the item's group is flushed; rejects if it could not be. */
  add: (item: T) => Promise<void>
  /** Items and bytes that wait or are being flushed. */
  readonly pendingItems: number
  readonly pendingBytes: number
  /** Resolves when nothing is pending any more. */
  drained: () => Promise<void>
}

interface Entry<T> {
  item: T
  bytes: number
  resolve: () => void
  reject: (error: unknown) => void
}

/**
 * Group commit: whatever arrives while a flush runs goes out in the next one, in order of arrival. An
 * idle buffer flushes at once, so there is no added delay; a busy one flushes bigger groups, so the cost
 * of a commit is shared by all who wait for it. One flush runs at a time: groups become durable in
 * the order in which their items came.
 */
export function createGroupBuffer<T>(options: GroupBufferOptions<T>): GroupBuffer<T> {
  let waiting: Entry<T>[] = []
  let flushing = false
  let pendingItems = 0
  let pendingBytes = 0
  let onDrained: (() => void)[] = []

  const settle = (entry: Entry<T>, how: () => void): void => {
    pendingItems -= 1
    pendingBytes -= entry.bytes
    how()
  }

  const take = (): Entry<T>[] => {
    let bytes = 0
    let count = 0
    for (const entry of waiting) {
      if (count >= options.maxItems || (count > 0 && bytes + entry.bytes > options.maxBytes)) break
      bytes += entry.bytes
      count += 1
    }
    const group = waiting.slice(0, count)
    waiting = waiting.slice(count)
    return group
  }

  const flushGroup = async (group: Entry<T>[]): Promise<void> => {
    try {
      await options.flush(group.map((entry) => entry.item))
    } catch (error) {
      if (group.length > 1 && options.worthSplitting(error)) {
        const half = group.length >> 1
        await flushGroup(group.slice(0, half))
        await flushGroup(group.slice(half))
        return
      }
      for (const entry of group) settle(entry, () => entry.reject(error))
      return
    }
    for (const entry of group) settle(entry, entry.resolve)
  }

  const run = async (): Promise<void> => {
    flushing = true
    while (waiting.length > 0) await flushGroup(take())
    flushing = false
    const listeners = onDrained
    onDrained = []
    for (const listener of listeners) listener()
  }

  return {
    add: (item) =>
      new Promise((resolve, reject) => {
        const bytes = options.bytesOf(item)
        pendingItems += 1
        pendingBytes += bytes
        waiting.push({ item, bytes, resolve, reject })
        // One turn later, so that requests parsed in the same turn of the event loop share even the first commit.
        if (!flushing) {
          flushing = true
          setImmediate(() => void run())
        }
      }),
    get pendingItems() {
      return pendingItems
    },
    get pendingBytes() {
      return pendingBytes
    },
    drained: () =>
      pendingItems === 0 && !flushing ? Promise.resolve() : new Promise((resolve) => onDrained.push(resolve)),
  }
}
