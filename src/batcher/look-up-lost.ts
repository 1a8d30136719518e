import type { Sql } from '../db/connect.ts'
import type { Clock } from '../kernel/clock.ts'
import { messageOf } from '../kernel/errors.ts'
import type { Logger } from '../kernel/log.ts'
import { isLookedUp, LOST_CALL_MINUTES } from '../model/engagement.ts'
import type { CallAnswer, ProviderError, RecordAnswer } from '../model/outcome.ts'
import type { CallOptions, LookedUp, Match, SoughtRecord } from '../providers/provider.ts'
import type { ClaimedBatch } from '../queue/claim-batch.ts'
import { readLosses, type Loss } from '../queue/read-losses.ts'
import type { ReadPart } from './read-empty-fields.ts'
import { answerOf } from './record-answers.ts'
import type { CallPart } from './send-call.ts'
import type { SendingSession } from './sessions.ts'

/*
 * Writes that are looked up after their answer was lost (contract section 6.5): sent again, they could be there
 * twice, but what is there tells what became of them.
 *
 * - The one record that carries the write's key is the write's: it has succeeded. One that was there before it
 *   was sent, or is another write's, is not it.
 * - That there is none proves nothing while the lost request may still be running. It is looked for again,
 *   with the backoff of any retry, and sent again only once it is not there although no request of it can be
 *   running any more.
 * - What cannot be looked up, is there more than once, or is not there where another is, is in doubt.
 *
 * Who sends a write in doubt again by hand has looked: it is sent unless the one record is there.
 */

/** By what a record whose answer was lost is known, and what may be done for it when it is not found. */
export interface LostRecord extends Pick<SoughtRecord, 'since' | 'others'> {
  /** No request of it can be running any more. */
  isOver: boolean
  /** Somebody has asked for it to be sent again. */
  isAskedFor: boolean
}

/** What reading how long ago answers were lost needs. */
interface Reading {
  /** Null when the database is away. */
  sql: Sql | null
  clock: Clock
  logger: Logger
}

/**
 * Adds to a part of a call which of its records are to be looked up. Without the database it is not known how
 * long ago their answers were lost, so then none of them is sent again.
 */
export async function withLookUps(
  { sql, clock, logger }: Reading,
  batch: Pick<ClaimedBatch, 'installationId' | 'laneId' | 'objectName' | 'externalIdField' | 'members'>,
  part: CallPart,
): Promise<CallPart> {
  const lost = isLookedUp(batch) ? batch.members.filter(({ lostIn }) => lostIn.length > 0) : []
  if (lost.length === 0) return part
  const ids = lost.map((member) => member.id)
  const losses =
    sql === null
      ? new Map<string, Loss>()
      : await readLosses(sql, batch, ids).catch((error: unknown) => {
          logger.warn({ error: messageOf(error) }, 'it is not known when answers were lost')
          return new Map<string, Loss>()
        })
  const lookUps = part.group.records.map((): LostRecord | null => null)
  const now = clock.now()
  for (const { id, position } of lost) {
    const { seconds = 0, sinceSeconds, isAskedFor = false, others = [] } = losses.get(id) ?? {}
    const since = sinceSeconds === undefined ? acceptedAt(id) : now - sinceSeconds * 1000
    lookUps[position] = { isOver: seconds > LOST_CALL_MINUTES * 60, isAskedFor, since, others }
  }
  return { ...part, lookUps }
}

/** A UUIDv7 begins with its millisecond, by the clock of the process that took the write. */
const acceptedAt = (id: string): number => Number.parseInt(id.replace('-', '').slice(0, 12), 16)

/** Looks up what a part has to look up, and leaves to be sent what is not to be kept back by it. */
export async function lookUpLost(
  { provider, session }: SendingSession,
  { group, lookUps = [] }: CallPart,
  limits: CallOptions,
): Promise<ReadPart> {
  const asking = lookUps.flatMap((lost, place) => (lost === null ? [] : [{ ...lost, place }]))
  const records = asking.map(({ place, since, others }) => ({
    text: group.records[place] ?? '',
    since,
    others,
  }))
  const { answer, calls } = await provider.lookUp(session, { objectName: group.objectName, records }, limits)
  const stop = stopOf(answer)
  if (stop !== null) return { group: { ...group, records: [] }, calls, complete: () => stop }
  const settled = new Map<number, RecordAnswer>()
  for (const [index, lost] of asking.entries()) {
    const settlement = settle(lost, answer, index)
    if (settlement !== null) settled.set(lost.place, settlement)
  }
  return {
    group: { ...group, records: group.records.filter((_, place) => !settled.has(place)) },
    calls,
    complete: (sent) => complete(group.records.length, settled, sent, answer),
  }
}

/** The answer for the whole part when nothing can be looked up now: it is not sent either. */
function stopOf(answer: LookedUp): CallAnswer | null {
  if (answer.kind === 'found' || (answer.kind === 'refused' && answer.errorClass === 'permanent')) return null
  if (answer.kind === 'not_sent') return answer
  if (answer.errorClass === 'auth' || answer.errorClass === 'throttled') return answer
  // No number of tries ends a write that was not tried.
  return { kind: 'not_sent', error: answer.errors[0] ?? notLookedUp('') }
}

/** What the look-up says of a record; null when it is to be sent. */
function settle(lost: LostRecord, answer: LookedUp, index: number): RecordAnswer | null {
  const match: Match = answer.kind === 'found' ? (answer.matches[index] ?? null) : 'unclear'
  if (typeof match === 'object' && match !== null)
    return { ok: true, recordId: match.id, created: true, raw: match.raw }
  if (lost.isAskedFor) return null
  if (match === 'unclear' || (match === 'other' && lost.isOver))
    return { ok: false, errors: [notLookedUp(whyUnclear(answer, match))], errorClass: 'permanent' }
  return lost.isOver ? null : { ok: false, errors: [notThereYet], errorClass: 'transient' }
}

function whyUnclear(answer: LookedUp, match: 'other' | 'unclear'): string {
  const [error] = answer.kind === 'refused' ? answer.errors : []
  if (error !== undefined) return `the org refused to look for it: ${error.code}: ${error.message}`
  return match === 'other'
    ? 'the org has no record of it, but an earlier one or another write’s with its key.'
    : 'the org has more than one record with its key.'
}

/** A code of its own: the org's would say of the write what was said of the look-up. */
const notLookedUp = (why: string): ProviderError => ({
  code: 'LOOK_UP_FAILED',
  message: `The answer to the write was lost, and it could not be settled by a look-up: ${why}`,
  fields: [],
})

const notThereYet: ProviderError = {
  code: 'OUTCOME_UNKNOWN',
  message: `The answer to the write was lost and the org does not have the record yet; it is looked for again, and sent again only ${LOST_CALL_MINUTES} minutes after the loss.`,
  fields: [],
}

/** The part's answer, by its own positions, from what is settled and what was sent (null: nothing was). */
function complete(
  count: number,
  settled: ReadonlyMap<number, RecordAnswer>,
  sent: CallAnswer | null,
  lookedUp: LookedUp,
): CallAnswer {
  if (settled.size === 0 && sent !== null) return sent
  let next = 0
  const records = Array.from({ length: count }, (_, place): RecordAnswer => {
    const settlement = settled.get(place)
    if (settlement !== undefined) return settlement
    next += 1
    return answerOf(sent ?? nothingSent, next - 1)
  })
  const status = sent === null || sent.kind === 'not_sent' ? 200 : (sent.status ?? 0)
  const heard = sent?.kind === 'answered' || sent?.kind === 'refused' ? sent.usage : null
  const usage = heard ?? (lookedUp.kind === 'not_sent' ? null : lookedUp.usage)
  return { kind: 'answered', status, records, usage }
}

const nothingSent: CallAnswer = {
  kind: 'not_sent',
  error: { code: 'NOTHING_SENT', message: 'Nothing of the group was sent.', fields: [] },
}
