/** Gathers items of the same key until there are enough of them, or the first has waited long enough. */
export interface CoalesceOptions<Item, Result> {
  keyOf: (item: Item) => string
  /** Results in the order of the items. */
  run: (items: Item[]) => Promise<Result[]>
  maxItems: number
  maxWaitMs: number
}

interface Waiting<Item, Result> {
  item: Item
  resolve: (result: Result) => void
  reject: (error: unknown) => void
}

/** Returns a function that resolves with an item's own result, once the group that it went with has run. */
export function coalesce<Item, Result>(
  options: CoalesceOptions<Item, Result>,
): (item: Item) => Promise<Result> {
  const open = new Map<string, { waiting: Waiting<Item, Result>[]; timer: NodeJS.Timeout }>()
  const flush = (key: string): void => {
    const group = open.get(key)
    if (group === undefined) return
    open.delete(key)
    clearTimeout(group.timer)
    options.run(group.waiting.map(({ item }) => item)).then(
      (results) => {
        for (const [index, { resolve, reject }] of group.waiting.entries()) {
          const result = results[index]
          if (result === undefined) reject(new Error('there is no result for it'))
          else resolve(result)
        }
      },
      (error: unknown) => {
        for (const { reject } of group.waiting) reject(error)
      },
    )
  }
  return (item) =>
    new Promise((resolve, reject) => {
      const key = options.keyOf(item)
      let group = open.get(key)
      if (group === undefined) {
        group = { waiting: [], timer: setTimeout(() => flush(key), options.maxWaitMs) }
        open.set(key, group)
      }
      group.waiting.push({ item, resolve, reject })
      if (group.waiting.length === options.maxItems) flush(key)
    })
}
