import type { Clock } from '../kernel/clock.ts'
import { messageOf } from '../kernel/errors.ts'
import type { Logger } from '../kernel/log.ts'
import type { Instruments } from './instruments.ts'

/** Installations that are named; the others are summed. */
export const NAMED_INSTALLATIONS = 20
/** How long a look at the database is good for: however often it is scraped, it is asked no more often. */
const FRESH_MS = 5_000
/** How long a scrape waits for the database before it answers with what is known. */
const PATIENCE_MS = 1_000
/** How old a look may be and still be shown. */
const SHOWN_MS = 60_000

/** What the database says of the queue. */
export interface QueuePort {
  /** What waits, for at most this many installations by name and for the others together, under null. */
  loads: (
    installations: number,
  ) => Promise<{ installationId: string | null; waiting: number; oldestSeconds: number | null }[]>
  /** What is left of the orgs' calls, of the installations with the smallest part left. */
  quotas: (installations: number) => Promise<{ installationId: string; left: number; limit: number }[]>
  /** Lanes that are put off, by why. */
  heldLanes: () => Promise<{ reason: string; lanes: number }[]>
  /** Processes that send what waits and were seen lately. */
  workersAlive: () => Promise<number>
  /** Notifications that wait, and destinations that fail. */
  outbox: () => Promise<{ fresh: number; again: number; lateSeconds: number; failing: number }>
}

interface Seen {
  loads: Awaited<ReturnType<QueuePort['loads']>>
  quotas: Awaited<ReturnType<QueuePort['quotas']>>
  held: Awaited<ReturnType<QueuePort['heldLanes']>>
  workers: number
  outbox: Awaited<ReturnType<QueuePort['outbox']>>
}

/** Options of {@link createQueueGauges}. */
export interface QueueGaugeOptions {
  instruments: Instruments
  port: QueuePort
  clock: Clock
  logger: Logger
}

/**
 * Sets the gauges of the queue from the database. Scrapes can not hurt it: one look is under way at a time, and
 * none is made while the last is fresh. With the database away a scrape still answers in time; what was seen is
 * shown for a minute, and then the gauges have no values rather than old ones.
 *
 * @returns brings the gauges up to date, as far as that goes in time; never rejects
 */
export function createQueueGauges(options: QueueGaugeOptions): () => Promise<void> {
  const { instruments, port, clock, logger } = options
  let begunAt = -Infinity
  let seenAt = -Infinity
  let underWay: Promise<void> | null = null

  const look = async (): Promise<void> => {
    begunAt = clock.monotonic()
    try {
      // One after the other: a look takes one connection from those who write.
      const loads = await port.loads(NAMED_INSTALLATIONS)
      const quotas = await port.quotas(NAMED_INSTALLATIONS)
      const held = await port.heldLanes()
      const workers = await port.workersAlive()
      const outbox = await port.outbox()
      seenAt = clock.monotonic()
      show(instruments, { loads, quotas, held, workers, outbox })
    } catch (error) {
      instruments.databaseUp.set(0)
      logger.debug({ error: messageOf(error) }, 'the queue could not be looked at for its metrics')
    } finally {
      underWay = null
    }
  }

  return async () => {
    if (underWay === null && clock.monotonic() - begunAt >= FRESH_MS) underWay = look()
    if (underWay !== null && (await isLate(underWay, clock))) instruments.databaseUp.set(0)
    if (clock.monotonic() - seenAt > SHOWN_MS) forget(instruments)
  }
}

/** Whether something has not ended while a scrape can wait. */
async function isLate(work: Promise<void>, clock: Clock): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<true>()
  const cancel = clock.after(PATIENCE_MS, () => resolve(true))
  try {
    return await Promise.race([work.then(() => false), late])
  } finally {
    cancel()
  }
}

function forget({
  waiting,
  oldestSeconds,
  quotaCalls,
  quotaRatio,
  heldLanes,
  workersAlive,
  outbox,
  outboxOldestSeconds,
  failingDestinations,
}: Instruments): void {
  for (const gauge of [waiting, oldestSeconds, quotaCalls, quotaRatio, heldLanes, outbox]) gauge.reset()
  for (const gauge of [workersAlive, outboxOldestSeconds, failingDestinations]) gauge.remove()
}

function show(instruments: Instruments, { loads, quotas, held, workers, outbox }: Seen): void {
  forget(instruments)
  // An empty queue is a number too: what has no value is not known.
  instruments.waiting.set({ installation: 'other' }, 0)
  for (const { installationId, waiting, oldestSeconds } of loads) {
    const labels = { installation: installationId ?? 'other' }
    instruments.waiting.set(labels, waiting)
    if (oldestSeconds !== null) instruments.oldestSeconds.set(labels, Math.max(0, oldestSeconds))
  }
  for (const { installationId: installation, left, limit } of quotas) {
    instruments.quotaCalls.set({ installation }, left)
    instruments.quotaRatio.set({ installation }, left / limit)
  }
  for (const { reason, lanes } of held) instruments.heldLanes.set({ reason }, lanes)
  instruments.workersAlive.set(workers)
  instruments.outbox.set({ state: 'new' }, outbox.fresh)
  instruments.outbox.set({ state: 'again' }, outbox.again)
  instruments.outboxOldestSeconds.set(Math.max(0, outbox.lateSeconds))
  instruments.failingDestinations.set(outbox.failing)
  instruments.databaseUp.set(1)
}
