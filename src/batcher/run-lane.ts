import type { ProviderError } from '../model/outcome.ts'
import { failExpired, holdLane, readLaneInstallation } from '../queue/hold-lane.ts'
import type { Turn } from '../wakeups/dispatcher.ts'
import { runBatch, sessionFailure, type BatchRunner, type SendingSession } from './run-batch.ts'

/** Milliseconds after which a lane gives its place to others: its own wake-up brings it back. */
const SLICE_MS = 2_000
/** Seconds until a lane without a session is looked at again: a broken connection waits for people, any other fault passes. */
const HOLD_SECONDS = { broken: 15, passing: 2 }
/** Writes whose time is up that one transaction ends. */
const EXPIRE_LIMIT = 500

/**
 * Sends a lane's groups one after the other until it is not ready any more or its turn is over. Each
 * claim has set the lane's next wake-up, so other turns of the same lane run beside this one, up to the
 * installation's concurrency, and nothing is left behind when this one ends.
 *
 * The session comes first: without one nothing is claimed, and a broken connection with a million
 * waiting writes costs one look at the lane and no move of any of them.
 */
export async function runLane(runner: BatchRunner, laneId: string, turn: Turn): Promise<void> {
  const installationId = await readLaneInstallation(runner.sql, laneId)
  if (installationId === null) return
  if (turn.stopping()) return passOn(runner, laneId, installationId)
  const until = runner.clock.monotonic() + SLICE_MS
  while (!turn.stopping()) {
    const session = await runner.sessions.open(installationId).catch(sessionFailure)
    if (!isSession(session)) return hold(runner, laneId, installationId, session)
    const claimed = await runBatch(runner, laneId, session, turn.signal)
    if (!claimed.readyAgain || runner.clock.monotonic() >= until) return
  }
}

const isSession = (opened: SendingSession | ProviderError): opened is SendingSession => 'provider' in opened

/** Gives the wake-up back that this process took and has no time for: without it the lane would wait for a sweep. */
async function passOn(runner: BatchRunner, laneId: string, installationId: string): Promise<void> {
  await runner.sql.begin((tx) => runner.nudge(tx, [{ laneId, installationId, at: new Date(0) }]))
}

/** Puts the lane off, and ends the writes that have waited until their deadlines. */
async function hold(
  runner: BatchRunner,
  laneId: string,
  installationId: string,
  reason: ProviderError,
): Promise<void> {
  const seconds = reason.code === 'NO_WORKING_CONNECTION' ? HOLD_SECONDS.broken : HOLD_SECONDS.passing
  await runner.sql.begin(async (tx) => {
    const at = await holdLane(tx, laneId, seconds)
    if (at !== null) await runner.nudge(tx, [{ laneId, installationId, at }])
  })
  runner.logger.warn(
    { laneId, installationId, code: reason.code, reason: reason.message },
    'a lane is held: no session',
  )
  let ended: number
  do {
    ended = await runner.sql.begin(async (tx) => {
      const result = await failExpired(tx, { laneId, installationId }, reason, EXPIRE_LIMIT)
      await runner.nudge(tx, result.wake)
      return result.ended
    })
  } while (ended === EXPIRE_LIMIT)
}
