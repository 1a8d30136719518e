import type { Clock } from '../kernel/clock.ts'
import { orgOf, type Session } from '../model/credentials.ts'
import { isSessionRefused, tookSession, type CallAnswer } from '../model/outcome.ts'
import type { CallOptions } from '../providers/provider.ts'
import type { Passed, ProviderRead, ReadingProvider } from '../providers/reading-provider.ts'
import type { Deadline } from './deadline.ts'
import type { MadeCall, ReadingSession, ReadingSessions } from './sessions.ts'

/** What making calls needs. */
export interface Caller {
  sessions: ReadingSessions
  /** Keeps what a call said of its org's limits. Never rejects. */
  note: (call: MadeCall) => Promise<void>
  clock: Clock
  /** Milliseconds that one provider call may take, however much its caller has. */
  callTimeoutMs: number
}

/** Times that a call is made anew with a refreshed session: a fresh one that is refused will not improve. */
const MAX_REFRESHES = 1
/** Milliseconds that an answer waits for what it says of the org's limits to be kept. */
const NOTE_PATIENCE_MS = 1_000

/** What any call answers. */
export type AnyAnswer = ProviderRead<unknown> | Passed

/** One call by the provider. */
export type Make<A extends AnyAnswer> = (
  provider: ReadingProvider,
  session: Session,
  limits: CallOptions,
) => Promise<{ answer: A }>

/** An answer as far as the session and the org's limits are concerned. */
function saidBy(answer: AnyAnswer): CallAnswer {
  if (answer.kind === 'passed') return answer.said
  if (answer.kind === 'read') return { kind: 'answered', status: 200, records: [], usage: answer.usage }
  return answer
}

/** Whether an answer says that its session is no good, so that nothing was done by the call. */
export const refusesSession = (answer: AnyAnswer): boolean => isSessionRefused(saidBy(answer))

/**
 * Makes a call with the installation's session, and once more with a new one when that was refused.
 *
 * @param isRefused whether an answer means that the call is to be made again with another session
 * @returns the last answer, refused as it may be
 * @throws {WritebackError} NO_WORKING_CONNECTION, PROVIDER_UNREACHABLE or PROVIDER_TIMEOUT, nothing having been sent
 */
export async function runCall<A extends AnyAnswer>(
  caller: Caller,
  installationId: string,
  deadline: Deadline,
  make: Make<A>,
  isRefused: (answer: A) => boolean = refusesSession,
): Promise<A> {
  const { sessions } = caller
  let reading = await deadline.within(sessions.open(installationId))
  for (let refreshes = 0; ; refreshes += 1) {
    const answer = await callOnce(caller, installationId, deadline, reading, make)
    if (!isRefused(answer) || refreshes >= MAX_REFRESHES) return answer
    reading = await deadline.within(sessions.refresh(installationId, reading.version))
  }
}

async function callOnce<A extends AnyAnswer>(
  { note, clock, callTimeoutMs }: Caller,
  installationId: string,
  deadline: Deadline,
  { provider, session, worked }: ReadingSession,
  make: Make<A>,
): Promise<A> {
  const begun = clock.monotonic()
  const timeoutMs = Math.min(deadline.leftMs(), callTimeoutMs)
  const { answer } = await make(provider, session, { timeoutMs, signal: deadline.signal })
  const said = saidBy(answer)
  if (tookSession(said)) worked()
  const callMs = clock.monotonic() - begun
  await patiently(clock, note({ installationId, org: orgOf(session), answer: said, callMs }))
  return answer
}

/** With an answer in hand nobody waits for long. */
async function patiently(clock: Clock, work: Promise<void>): Promise<void> {
  const { promise: patience, resolve } = Promise.withResolvers<undefined>()
  const cancel = clock.after(NOTE_PATIENCE_MS, () => resolve(undefined))
  await Promise.race([work, patience])
  cancel()
}
