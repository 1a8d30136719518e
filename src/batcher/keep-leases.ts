import type { Sql } from '../db/connect.ts'
import type { Clock } from '../kernel/clock.ts'
import { messageOf } from '../kernel/errors.ts'
import type { Logger } from '../kernel/log.ts'
import { signOfLifeMs } from '../model/lease.ts'
import { extendLeases } from '../queue/start-batch.ts'

/** Whose leases are kept. */
export interface LeaseHolder {
  sql: Sql
  clock: Clock
  logger: Logger
  leaseSeconds: number
  /** Batches in flight. */
  inFlight: ReadonlySet<string>
}

/** Milliseconds after a sign of life that did not get through until the next: none is given before others judge. */
const AGAIN_MS = 1_000

/** Gives the batches in flight a sign of life every few seconds, until the returned function is called. */
export function keepLeases({ sql, clock, logger, leaseSeconds, inFlight }: LeaseHolder): () => void {
  const everyMs = signOfLifeMs(leaseSeconds)
  let stopped = false
  let cancel: () => void = () => undefined
  let cancelAgain: () => void = () => undefined
  const give = async (): Promise<void> => {
    cancelAgain()
    if (stopped || inFlight.size === 0) return
    try {
      await extendLeases(sql, [...inFlight], leaseSeconds)
    } catch (error) {
      logger.warn({ error: messageOf(error) }, 'leases could not be kept')
      cancelAgain()
      cancelAgain = clock.after(Math.min(AGAIN_MS, everyMs), () => void give())
    }
  }
  // One that hangs does not keep the next from being given.
  const schedule = (): void => {
    cancel = clock.after(everyMs, () => {
      void give()
      schedule()
    })
  }
  schedule()
  return () => {
    stopped = true
    cancel()
    cancelAgain()
  }
}
