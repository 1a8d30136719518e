import type { Sql } from '../db/connect.ts'
import type { Clock } from '../kernel/clock.ts'
import { messageOf } from '../kernel/errors.ts'
import type { Logger } from '../kernel/log.ts'
import { onEnded } from '../queue/outcome-channel.ts'
import { readEnded } from '../queue/read.ts'

/** How often waited-for writes are looked at, in case a notification was missed. */
const LOOK_MS = 1_000
/** Waits that one process holds open; beyond it a wait answers at once with the state as it is. */
const MAX_WAITS = 20_000
/** Ids of one look. */
const LOOK_IDS = 1_000

/** Waits for writes to end; one listener and one look a second serve all who wait. */
export interface OutcomeWaiter {
  /**
   * Begins to wait: to be called before the state is read, so that nothing falls in between. `ended`
   * resolves true when the write has ended, false after `ms` or when cancelled.
   */
  wait: (id: string, ms: number) => { ended: Promise<boolean>; cancel: () => void }
  /** Waits held open now. */
  readonly open: number
  stop: () => Promise<void>
}

/** Starts to listen for ended writes. */
export async function startOutcomeWaiter(options: {
  sql: Sql
  clock: Clock
  logger: Logger
}): Promise<OutcomeWaiter> {
  const { sql, clock, logger } = options
  const waits = new Map<string, Set<(ended: boolean) => void>>()
  let open = 0
  let stopped = false
  let cancelLook: () => void = () => undefined

  const settle = (id: string): void => {
    for (const resolve of waits.get(id) ?? []) resolve(true)
  }
  const look = async (): Promise<void> => {
    const ids = [...waits.keys()]
    for (let from = 0; from < ids.length; from += LOOK_IDS) {
      for (const id of await readEnded(sql, ids.slice(from, from + LOOK_IDS))) settle(id)
    }
  }
  const lookSafely = (): Promise<void> =>
    look().catch((error: unknown) =>
      logger.warn({ error: messageOf(error) }, 'waited-for writes could not be read'),
    )
  const schedule = (): void => {
    if (stopped) return
    cancelLook = clock.after(LOOK_MS, () => void lookSafely().then(schedule))
  }
  const unlisten = await onEnded(
    sql,
    (ids) => ids.forEach(settle),
    () => void lookSafely(),
  )
  schedule()

  const wait: OutcomeWaiter['wait'] = (id, ms) => {
    if (ms <= 0 || stopped || open >= MAX_WAITS)
      return { ended: Promise.resolve(false), cancel: () => undefined }
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const here = waits.get(id) ?? new Set()
    waits.set(id, here)
    open += 1
    const finish = (ended: boolean): void => {
      if (!here.delete(finish)) return
      open -= 1
      if (here.size === 0 && waits.get(id) === here) waits.delete(id)
      cancelTimer()
      resolve(ended)
    }
    const cancelTimer = clock.after(ms, () => finish(false))
    here.add(finish)
    return { ended: promise, cancel: () => finish(false) }
  }

  return {
    wait,
    get open() {
      return open
    },
    stop: async () => {
      stopped = true
      cancelLook()
      for (const set of [...waits.values()]) for (const resolve of [...set]) resolve(false)
      await unlisten()
    },
  }
}
