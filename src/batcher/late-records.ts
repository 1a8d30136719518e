import { isDatabaseUnavailable } from '../db/pg-errors.ts'
import { messageOf } from '../kernel/errors.ts'
import type { Recorded } from '../outcomes/record-batch.ts'
import type { ClaimedBatch } from '../queue/claim-batch.ts'
import type { CallTime } from './call-time.ts'
import { keepLeases } from './keep-leases.ts'
import { recorded, type CallRunner } from './run-call.ts'

/** Milliseconds that a caller waits for its answer to be recorded: once the database is found to be away, and in any case. */
const PATIENCE_MS = { away: 500, least: 2_000 }
/** What is kept for a database that is away; beyond it answers are given up, and rescued as lost. */
const MAX_LATE = 2_000
const MAX_LATE_BYTES = 64 * 1024 * 1024

/** A batch whose outcome is in hand. */
export interface LateBatch {
  batchId: string
  /** Bytes that are held until it is recorded. */
  bytes: number
}

export const toLate = ({ batchId, members }: Pick<ClaimedBatch, 'batchId' | 'members'>): LateBatch => ({
  batchId,
  bytes: members.reduce((sum, { record }) => sum + record.length, 0),
})

/** What synchronous calls have to record, also while the database is away: nobody waits for that with an answer in hand. */
export interface LateRecords {
  /**
   * What came of recording a batch; null when the database is away or slow. Then it goes on by itself,
   * unless told not to.
   */
  inTime: (
    time: CallTime,
    batch: LateBatch,
    write: () => Promise<Recorded>,
    goesOn?: boolean,
  ) => Promise<Recorded | null>
  /** Records a batch without anybody waiting for it, as soon as the database lets it. */
  later: (batch: LateBatch, write: () => Promise<Recorded>) => void
  /** Batches that wait for the database. */
  readonly waiting: number
  /** Gives no more signs of life for them. */
  stop: () => void
}

/** What {@link createLateRecords} needs. */
export interface LateRecordsOptions {
  runner: CallRunner
  /** Aborted when the process is to end: what cannot be recorded then is given up. */
  cut: AbortSignal
  /** Lets the process's stop wait. */
  keep: <T>(work: Promise<T>) => Promise<T>
}

/** Keeps what is to be recorded, within bounds, and its leases. */
export function createLateRecords({ runner, cut, keep }: LateRecordsOptions): LateRecords {
  const { logger, clock } = runner
  const held = new Set<string>()
  let heldBytes = 0
  const stopLeases = keepLeases({ ...runner, inFlight: held })

  /** False when there is no room for it. */
  const hold = ({ batchId, bytes }: LateBatch, work: Promise<Recorded>): boolean => {
    if (held.size >= MAX_LATE || heldBytes + bytes > MAX_LATE_BYTES) {
      logger.error({ batchId, waiting: held.size }, 'an outcome is not kept: too many wait for the database')
      return false
    }
    held.add(batchId)
    heldBytes += bytes
    const settled = keep(work).then(
      ({ applied }) => logger.info({ batchId, applied }, 'an outcome was recorded late'),
      (error: unknown) => logger.error({ batchId, error: messageOf(error) }, 'an outcome was not recorded'),
    )
    void settled.then(() => {
      held.delete(batchId)
      heldBytes -= bytes
    })
    return true
  }

  const begin = (write: () => Promise<Recorded>, onAway: () => void) => {
    const stop = new AbortController()
    const noting = async (): Promise<Recorded> => {
      try {
        return await write()
      } catch (error) {
        if (isDatabaseUnavailable(error)) onAway()
        throw error
      }
    }
    const work = recorded(runner, noting, AbortSignal.any([cut, stop.signal]))
    work.catch(() => undefined)
    return { work, giveUp: () => stop.abort() }
  }

  return {
    inTime: async (time, batch, write, goesOn = true) => {
      const { promise: late, resolve } = Promise.withResolvers<null>()
      const cancels: (() => void)[] = []
      const resolveAfter = (ms: number): void => void cancels.push(clock.after(ms, () => resolve(null)))
      resolveAfter(Math.max(time.leftMs(), PATIENCE_MS.least))
      const { work, giveUp } = begin(write, () => resolveAfter(PATIENCE_MS.away))
      try {
        const record = await Promise.race([work, late])
        if (record === null && !(goesOn && hold(batch, work))) giveUp()
        return record
      } finally {
        for (const cancel of cancels) cancel()
      }
    },
    later: (batch, write) => {
      const { work, giveUp } = begin(write, () => undefined)
      if (!hold(batch, work)) giveUp()
    },
    get waiting() {
      return held.size
    },
    stop: stopLeases,
  }
}
