import { signOfLifeMs } from '../model/lease.ts'
import { nextDueMs } from '../queue/sweep.ts'
import { startDispatcher } from '../wakeups/dispatcher.ts'
import type { Wakeups } from '../wakeups/wakeups.ts'
import { keepLeases } from './keep-leases.ts'
import type { CallRunner } from './run-call.ts'
import { runLane } from './run-lane.ts'
import { startSweeper } from './sweeper.ts'

/** Options of {@link startWorker}. */
export interface WorkerOptions extends Omit<CallRunner, 'inFlight' | 'nudge'> {
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
  const runner: CallRunner = { ...options, nudge: wakeups.nudge, inFlight: new Set() }
  const dispatcher = startDispatcher({
    wakeups,
    run: (laneId, turn) => runLane(runner, laneId, turn),
    nextDueMs: () => nextDueMs(sql),
    slots: options.slots,
    touchMs: signOfLifeMs(options.leaseSeconds),
    clock,
    logger,
  })
  const sweeper = startSweeper({
    sql,
    nudge: wakeups.nudge,
    clock,
    logger,
    intervalMs: options.sweepIntervalMs,
    leaseSeconds: options.leaseSeconds,
    random: options.random,
    worker: options.worker,
    ...(options.telemetry === undefined ? {} : { telemetry: options.telemetry }),
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
