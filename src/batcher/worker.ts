import { messageOf } from '../kernel/errors.ts'
import { extendLeases } from '../queue/start-batch.ts'
import { nextDueMs } from '../queue/sweep.ts'
import { startDispatcher } from '../wakeups/dispatcher.ts'
import type { Wakeups } from '../wakeups/wakeups.ts'
import { LEASE_HEARTBEAT_SECONDS, LEASE_SECONDS, type BatchRunner } from './run-batch.ts'
import { runLane } from './run-lane.ts'
import { startSweeper } from './sweeper.ts'

/** Options of {@link startWorker}. */
export interface WorkerOptions extends Omit<BatchRunner, 'inFlight' | 'nudge'> {
  wakeups: Wakeups
  /** Batches that this process has in flight at once. */
  slots: number
  sweepIntervalMs: number
}

/** A running worker. */
export interface Worker {
  /** Lanes being worked on now. */
  readonly active: number
  /** One sweep now. */
  sweep: () => Promise<void>
  /** Begins nothing new, lets what is in flight finish for `drainMs`, then cuts it off. */
  stop: (drainMs: number) => Promise<void>
}

/** Starts all that a process of role worker does: it sends due lanes, keeps its leases, and sweeps. */
export function startWorker(options: WorkerOptions): Worker {
  const { wakeups, clock, logger, sql } = options
  const runner: BatchRunner = { ...options, nudge: wakeups.nudge, inFlight: new Set() }
  const dispatcher = startDispatcher({
    wakeups,
    run: (laneId, turn) => runLane(runner, laneId, turn),
    nextDueMs: () => nextDueMs(sql),
    slots: options.slots,
    clock,
    logger,
  })
  const sweeper = startSweeper({
    sql,
    nudge: wakeups.nudge,
    clock,
    logger,
    intervalMs: options.sweepIntervalMs,
    random: options.random,
  })
  const stopLeases = keepLeases(runner)
  return {
    get active() {
      return dispatcher.active
    },
    sweep: () => sweeper.sweep(),
    stop: async (drainMs) => {
      await sweeper.stop()
      await dispatcher.stop(drainMs)
      stopLeases()
    },
  }
}

function keepLeases(runner: BatchRunner): () => void {
  let cancel: () => void = () => undefined
  const schedule = (): void => {
    cancel = runner.clock.after(LEASE_HEARTBEAT_SECONDS * 1000, () => {
      if (runner.inFlight.size > 0) {
        extendLeases(runner.sql, [...runner.inFlight], LEASE_SECONDS).catch((error: unknown) => {
          runner.logger.warn({ error: messageOf(error) }, 'leases could not be kept')
        })
      }
      schedule()
    })
  }
  schedule()
  return () => cancel()
}
