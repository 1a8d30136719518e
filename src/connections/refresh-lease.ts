import type { Sql } from '../db/connect.ts'
import type { Clock } from '../kernel/clock.ts'
import { messageOf } from '../kernel/errors.ts'
import type { Logger } from '../kernel/log.ts'
import { signOfLifeMs } from '../model/lease.ts'
import type { MintFailure } from './session-errors.ts'
import { extendRefresh, type Claim } from './session-store.ts'

/** The right to refresh a connection while it is held. */
export interface RefreshLease {
  /** Milliseconds until others may take it, as far as this process knows. */
  leftMs: () => number
}

/** What holding it needs. */
export interface LeaseKeeper {
  sql: Sql
  clock: Clock
  logger: Logger
  leaseSeconds: number
}

/** Runs with signs of life given for the right to refresh, which was had no earlier than `askedAt`. */
export async function holdingRefresh<T>(
  { sql, clock, logger, leaseSeconds }: LeaseKeeper,
  id: string,
  claim: Claim,
  askedAt: number,
  run: (lease: RefreshLease) => Promise<T>,
): Promise<T> {
  let saidAt = askedAt
  let cancel: () => void = () => undefined
  const giveSign = async (): Promise<void> => {
    const at = clock.monotonic()
    if (await extendRefresh(sql, id, claim, leaseSeconds)) saidAt = Math.max(saidAt, at)
  }
  // One that hangs does not keep the next from being given.
  const schedule = (): void => {
    cancel = clock.after(signOfLifeMs(leaseSeconds), () => {
      giveSign().catch((error: unknown) => {
        logger.debug({ connectionId: id, reason: messageOf(error) }, 'a refresh could not say that it lives')
      })
      schedule()
    })
  }
  schedule()
  try {
    return await run({ leftMs: () => saidAt + leaseSeconds * 1000 - clock.monotonic() })
  } finally {
    cancel()
  }
}

const lateAnswer = (): Error & MintFailure =>
  Object.assign(new Error('The login host did not answer in time'), {
    name: 'SessionError',
    kind: 'ambiguous',
    code: 'TIMEOUT',
  } as const)

/**
 * What a login host answers in time; the signal is aborted when that is over.
 *
 * @param leftMs milliseconds that are left, which may become more meanwhile
 * @throws {MintFailure} `ambiguous` when time is over
 */
export async function answerInTime<T>(
  clock: Clock,
  leftMs: () => number,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController()
  const { promise: isLate, reject } = Promise.withResolvers<never>()
  let cancel: () => void = () => undefined
  const watch = (): void => {
    cancel = clock.after(Math.max(leftMs(), 0), () => {
      if (leftMs() > 0) {
        watch()
        return
      }
      reject(lateAnswer())
      late.abort()
    })
  }
  watch()
  try {
    return await Promise.race([call(late.signal), isLate])
  } finally {
    cancel()
  }
}
