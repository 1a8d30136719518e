import type { ProviderError } from '../model/outcome.ts'
import {
  failExpired,
  holdLane,
  readLaneInstallation,
  type Expired,
  type HoldReason,
} from '../queue/hold-lane.ts'
import { maybeWritten } from '../queue/maybe-written.ts'
import { resumeLane } from '../queue/resume-lanes.ts'
import type { Turn } from '../wakeups/dispatcher.ts'
import type { ClaimedCall } from '../queue/claim-call.ts'
import { runCall, type CallRunner } from './run-call.ts'
import { sessionFailure, type SendingSession } from './sessions.ts'

/** Milliseconds after which a lane gives its place to others: its own wake-up brings it back. */
const SLICE_MS = 2_000
/** Seconds until a lane without a session is looked at again: a broken connection waits for people, any other fault passes. */
const HOLD_SECONDS = { broken: 15, passing: 2 }
/** Writes whose time is up that one transaction ends. */
const EXPIRE_LIMIT = 500

/**
 * Makes an installation's calls one after the other until what was woken is not ready any more or its turn
 * is over. Each claim has set the next wake-up of the lanes that it looked at, so other turns of the same
 * installation run beside this one, up to its concurrency, and nothing is left behind when this one ends.
 *
 * The session comes first: without one nothing is claimed, and a broken connection with a million
 * waiting writes costs one look at the lane and no move of any of them.
 */
export async function runLane(runner: CallRunner, laneId: string, turn: Turn): Promise<void> {
  const installationId = await readLaneInstallation(runner.sql, laneId)
  if (installationId === null) return
  const lane = { laneId, installationId }
  if (turn.stopping()) return passOn(runner, lane)
  const until = runner.clock.monotonic() + SLICE_MS
  while (!turn.stopping()) {
    const session = await runner.sessions.open(installationId).catch(sessionFailure)
    if (!isSession(session)) return holdWithoutSession(runner, lane, session)
    const call = await runCall(runner, lane, session, turn.signal)
    if (call.held !== null) return holdBack(runner, lane, call.held)
    if (!call.readyAgain || runner.clock.monotonic() >= until) return
  }
}

interface LaneRef {
  laneId: string
  installationId: string
}

const isSession = (opened: SendingSession | ProviderError): opened is SendingSession => 'provider' in opened

/** Gives the wake-up back that this process took and has no time for: without it the lane would wait for a sweep. */
async function passOn(runner: CallRunner, lane: LaneRef): Promise<void> {
  await runner.sql.begin((tx) => runner.nudge(tx, [{ ...lane, at: new Date(0) }]))
}

async function hold(runner: CallRunner, lane: LaneRef, seconds: number, reason: HoldReason): Promise<void> {
  await runner.sql.begin(async (tx) => {
    const at = await holdLane(tx, lane.laneId, seconds, reason)
    if (at !== null) await runner.nudge(tx, [{ ...lane, at }])
  })
}

/** Puts the lane off, and ends the writes that have waited until their deadlines. */
async function holdWithoutSession(runner: CallRunner, lane: LaneRef, error: ProviderError): Promise<void> {
  const isBroken = error.code === 'NO_WORKING_CONNECTION'
  await hold(
    runner,
    lane,
    isBroken ? HOLD_SECONDS.broken : HOLD_SECONDS.passing,
    isBroken ? 'connection' : 'session',
  )
  // New credentials that came after the look and before the hold found nothing to wake.
  if (isBroken && isSession(await runner.sessions.open(lane.installationId).catch(sessionFailure))) {
    await runner.sql.begin(async (tx) => runner.nudge(tx, await resumeLane(tx, lane.laneId)))
    return
  }
  runner.logger.warn({ ...lane, code: error.code, reason: error.message }, 'a lane is held: no session')
  await endExpired(runner, lane, error)
}

/** What a write that waited until its deadline is told, by what kept it. */
const heldErrors: Record<'quota' | 'limit', ProviderError> = {
  quota: {
    code: 'API_BUDGET_USED_UP',
    message: "The installation's share of the org's API calls was used up until the write's deadline.",
    fields: [],
  },
  limit: {
    code: 'REQUEST_LIMIT_EXCEEDED',
    message: 'A limit of the org kept the write from being sent until its deadline.',
    fields: [],
  },
}

async function holdBack(
  runner: CallRunner,
  lane: LaneRef,
  { reason, seconds }: NonNullable<ClaimedCall['held']>,
): Promise<void> {
  // Calls in flight end soon, and what waits for them leaves then.
  if (reason === 'concurrency') return
  runner.logger.info({ ...lane, reason, seconds }, 'a lane is held: the org takes no more for now')
  await endExpired(runner, lane, heldErrors[reason])
}

async function endExpired(runner: CallRunner, lane: LaneRef, error: ProviderError): Promise<void> {
  let expired: Expired
  do {
    expired = await runner.sql.begin(async (tx) => {
      const result = await failExpired(tx, lane, error, EXPIRE_LIMIT)
      await runner.nudge(tx, result.wake)
      return result
    })
    runner.telemetry?.ended('in_doubt', maybeWritten.code, expired.inDoubt)
    for (const [code, writes] of Object.entries(expired.failed))
      runner.telemetry?.ended('failed', code, writes)
  } while (expired.ended === EXPIRE_LIMIT)
}
