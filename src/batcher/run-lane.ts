import type { Turn } from '../wakeups/dispatcher.ts'
import { runBatch, type BatchRunner } from './run-batch.ts'

/** Milliseconds after which a lane gives its place to others: its own wake-up brings it back. */
const SLICE_MS = 2_000

/**
 * Sends a lane's groups one after the other until it is not ready any more or its turn is over. Each
 * claim has set the lane's next wake-up, so other turns of the same lane run beside this one, up to the
 * installation's concurrency, and nothing is left behind when this one ends.
 */
export async function runLane(runner: BatchRunner, laneId: string, turn: Turn): Promise<void> {
  const until = runner.clock.monotonic() + SLICE_MS
  while (!turn.stopping()) {
    const claimed = await runBatch(runner, laneId, turn.signal)
    if (!claimed.readyAgain || runner.clock.monotonic() >= until) return
  }
}
