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

/** Gives the batches in flight a sign of life every few seconds, until the returned function is called. */
export function keepLeases({ sql, clock, logger, leaseSeconds, inFlight }: LeaseHolder): () => void {
  let cancel: () => void = () => undefined
  const schedule = (): void => {
    cancel = clock.after(signOfLifeMs(leaseSeconds), () => {
      if (inFlight.size > 0) {
        extendLeases(sql, [...inFlight], leaseSeconds).catch((error: unknown) => {
          logger.warn({ error: messageOf(error) }, 'leases could not be kept')
        })
      }
      schedule()
    })
  }
  schedule()
  return () => cancel()
}
