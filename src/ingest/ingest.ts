import type { Sql } from '../db/connect.ts'
import type { Clock } from '../kernel/clock.ts'
import { messageOf, WritebackError } from '../kernel/errors.ts'
import type { Logger } from '../kernel/log.ts'
import { createWaterMark } from '../kernel/water-mark.ts'
import { countWaiting } from '../queue/backlog.ts'
import { createGroupCommit, type GroupCommitOptions, type IncomingWrite } from './group-commit.ts'

/** How often the queue's length is looked at. */
const COUNT_MS = 1_000
/** Writes and bytes that may wait for a commit in this process: about a second's worth, and a bound on its memory. */
const MAX_PENDING = 20_000
const MAX_PENDING_BYTES = 64 * 1024 * 1024
/** Seconds after which a refused caller may try again. */
const RETRY_AFTER = { commits: 1, backlog: 15 }

/** Options of {@link startIngest}. */
export interface IngestOptions extends GroupCommitOptions {
  clock: Clock
  logger: Logger
  /** Waiting writes in the database above which asynchronous calls are refused; accepted again below half. */
  maxWaiting: number
}

/** The way in for asynchronous writes. */
export interface Ingest {
  /**
   * Refuses while too much is queued: to be asked before the work of accepting a write is done.
   * @throws {WritebackError} TOO_MUCH_QUEUED, with the seconds to wait
   */
  checkRoom: () => void
  /** Resolves once the write is committed to the database. */
  submit: (write: IncomingWrite) => Promise<void>
  /** Writes that wait for their commit in this process. */
  readonly pending: number
  /** Waits for pending commits, then ends. */
  stop: () => Promise<void>
}

/** Starts the way in: shared commits behind two pairs of water marks, this process's own and the database's. */
export function startIngest(options: IngestOptions): Ingest {
  const { logger, clock } = options
  const commits = createGroupCommit(options)
  const report = (what: string) => (closed: boolean, level: number) => {
    if (closed) logger.warn({ what, level }, 'asynchronous writes are refused: too much is queued')
    else logger.info({ what, level }, 'asynchronous writes are accepted again')
  }
  const pendingFull = createWaterMark(MAX_PENDING, report('writes waiting for their commit'))
  const bytesFull = createWaterMark(MAX_PENDING_BYTES, report('bytes waiting for their commit'))
  const backlogFull = createWaterMark(options.maxWaiting, report('waiting writes'))
  const backlog = watchBacklog(options)

  return {
    checkRoom: () => {
      if (pendingFull(commits.pendingItems) || bytesFull(commits.pendingBytes))
        throw tooMuch(RETRY_AFTER.commits)
      if (backlogFull(backlog.waiting())) throw tooMuch(RETRY_AFTER.backlog)
    },
    submit: (write) => commits.add(write),
    get pending() {
      return commits.pendingItems
    },
    stop: async () => {
      await commits.drained()
      await backlog.stop()
    },
  }

  function watchBacklog({ sql }: { sql: Sql }): { waiting: () => number; stop: () => Promise<void> } {
    let waiting = 0
    let stopped = false
    let cancel: () => void = () => undefined
    const count = async (): Promise<void> => {
      try {
        waiting = await countWaiting(sql)
      } catch (error) {
        logger.debug({ error: messageOf(error) }, 'the queue could not be counted')
      }
      if (!stopped) {
        cancel = clock.after(COUNT_MS, () => {
          current = count()
        })
      }
    }
    let current = count()
    return {
      waiting: () => waiting,
      stop: async () => {
        stopped = true
        cancel()
        await current
      },
    }
  }
}

const tooMuch = (retryAfter: number): WritebackError =>
  new WritebackError(
    'TOO_MUCH_QUEUED',
    'More is queued than can be accepted right now; nothing was written.',
    {
      retryAfter,
      remedy: 'Send the write again after the time in Retry-After.',
    },
  )
