import type { Sql } from '../db/connect.ts'
import type { Clock } from '../kernel/clock.ts'
import { messageOf, WritebackError } from '../kernel/errors.ts'
import type { Logger } from '../kernel/log.ts'
import { createWaterMark } from '../kernel/water-mark.ts'
import { countWaiting } from '../queue/backlog.ts'
import { operationIdOf, type Submission } from '../queue/insert-writes.ts'
import { createGroupCommit, type GroupCommitOptions } from './group-commit.ts'
import type { Idempotency } from './idempotency.ts'

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
  idempotency: Pick<Idempotency, 'findOperation'>
  /** Waiting writes in the database above which asynchronous calls are refused; accepted again below half. */
  maxWaiting: number
}

/** An asynchronous write that is committed. */
export interface Accepted {
  operationId: string
  /** Whether that was done by an earlier call with the same idempotency key. */
  repeated: boolean
}

/** The way in for asynchronous writes. */
export interface Ingest {
  /**
   * Refuses while too much is queued: to be asked before the work of accepting a write is done.
   * @throws {WritebackError} TOO_MUCH_QUEUED, with the seconds to wait
   */
  checkRoom: () => void
  /**
   * Resolves once all of the submission, or the call that it repeats, is committed to the database.
   * @throws {WritebackError} IDEMPOTENCY_KEY_REUSED
   */
  submit: (submission: Submission) => Promise<Accepted>
  /** Submissions that wait for their commit in this process. */
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
    submit: async (submission) => {
      for (;;) {
        if (await commits.add(submission)) return { operationId: operationIdOf(submission), repeated: false }
        const operationId = await findTwin(submission)
        if (operationId !== null) return { operationId, repeated: true }
        // The key has been removed since, as one past its time is: the call is a first one.
      }
    },
    get pending() {
      return commits.pendingItems
    },
    stop: async () => {
      await commits.drained()
      await backlog.stop()
    },
  }

  async function findTwin({ lane, key }: Submission): Promise<string | null> {
    if (key === undefined) throw new TypeError('A call without a key repeats no other.')
    return options.idempotency.findOperation(lane.projectId, key)
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
