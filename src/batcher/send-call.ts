import { isSessionRefused, tookSession, type CallAnswer } from '../model/outcome.ts'
import type { CallOptions, ProviderGroup, SentCall } from '../providers/provider.ts'
import { findCulprits } from './find-culprits.ts'
import { lookUpLost, type LostRecord } from './look-up-lost.ts'
import { readEmptyFields, type ReadPart } from './read-empty-fields.ts'
import { answerOf } from './record-answers.ts'
import type { SendingSession, SessionSource } from './sessions.ts'
import { sessionFailure } from './sessions.ts'
import { joinAnswers, splitPart } from './split-part.ts'

/** Times that a call is made anew with a refreshed session: a fresh session that is refused will not improve. */
const MAX_REFRESHES = 1

/** One group of a call. */
export interface CallPart {
  group: ProviderGroup
  /** By the record's position: fields that are sent only where the provider's record has no value yet. */
  ifEmpty: (string[] | null)[]
  /** Updates the record that a duplicate rule finds, when it is exactly one (contract section 5). */
  updateCollisions: boolean
  /** By the record's position: what is looked up before it is sent again, its answer having been lost. */
  lookUps?: (LostRecord | null)[]
  /** The most records that go in one request; as many as one takes when absent. */
  maxRecords?: number
}

/** What came of the parts, by position. */
export interface CallResult {
  answers: CallAnswer[]
  /** What the provider said of every request that was made of them: of a part that went in several, of each. */
  heard: CallAnswer[]
  /** API calls made. */
  calls: number
  /** Times that the session was refused and replaced. */
  refreshes: number
}

/**
 * Makes one provider call of the parts, and what follows from its answer: parts whose session was refused
 * go again with a new one (nothing was written), culprits are found, collisions updated. A part of more
 * records than one request takes goes in several.
 *
 * Never throws for what the provider does: every way that a part can end is an answer.
 */
export async function sendCall(
  sessions: Pick<SessionSource, 'refresh'>,
  installationId: string,
  first: SendingSession,
  parts: CallPart[],
  limits: CallOptions,
): Promise<CallResult> {
  const pieces = parts.map(splitPart)
  const sent = await sendPieces(sessions, installationId, first, pieces.flat(), limits)
  let next = 0
  const answers = pieces.map((ofPart) =>
    joinAnswers(ofPart, sent.answers.slice(next, (next += ofPart.length))),
  )
  return { ...sent, answers, heard: sent.answers }
}

async function sendPieces(
  sessions: Pick<SessionSource, 'refresh'>,
  installationId: string,
  first: SendingSession,
  parts: CallPart[],
  limits: CallOptions,
): Promise<Omit<CallResult, 'heard'>> {
  const answers = new Array<CallAnswer>(parts.length)
  let open = parts.map((part, place) => ({ part, place }))
  let sending = first
  let calls = 0
  for (let refreshes = 0; ; refreshes += 1) {
    const sent = await sendParts(
      sending,
      open.map((one) => one.part),
      limits,
    )
    calls += sent.calls
    if (sent.answers.some(tookSession)) sending.worked()
    open.forEach(({ place }, index) => void (answers[place] = sent.answers[index] ?? nothingSaid))
    open = open.filter(({ place }) => isSessionRefused(answers[place]))
    if (open.length === 0 || refreshes >= MAX_REFRESHES) return { answers, calls, refreshes }
    const next = await sessions.refresh(installationId, sending.version).catch((error: unknown) => ({
      kind: 'not_sent' as const,
      error: sessionFailure(error),
    }))
    if ('kind' in next) {
      // No new session in place of the one that was refused: nothing was written.
      for (const { place } of open) answers[place] = next
      return { answers, calls, refreshes }
    }
    sending = next
  }
}

/** A part that the provider left out of its answers: it may have been written. */
const nothingSaid: CallAnswer = {
  kind: 'lost',
  status: null,
  error: { code: 'NO_ANSWER_FOR_GROUP', message: 'There was no answer for this group.', fields: [] },
}

async function sendParts(
  sending: SendingSession,
  parts: CallPart[],
  limits: CallOptions,
): Promise<{ answers: CallAnswer[]; calls: number }> {
  const { provider, session } = sending
  const ready = await readEmptyFields(sending, parts, limits)
  for (const [place, part] of parts.entries())
    if (part.lookUps !== undefined) ready[place] = await lookUpLost(sending, part, limits)
  let calls = ready.reduce((sum, read) => sum + read.calls, 0)
  const going = ready.filter((one) => one.group.records.length > 0)
  const sent = going.length === 0 ? [] : (await send(going.map((one) => one.group))).answers
  const answers: CallAnswer[] = []
  for (const [index, one] of ready.entries()) {
    const place = going.indexOf(one)
    const answer = place < 0 ? null : (sent[place] as CallAnswer)
    const settled =
      answer === null ? null : await follow(one, parts[index]?.updateCollisions === true, answer)
    answers.push(one.complete(settled))
  }
  return { answers, calls }

  async function send(groups: ProviderGroup[]): Promise<SentCall> {
    const result = await provider.sendGroups(session, groups, limits)
    calls += result.calls
    return { ...result, answers: groups.map((_, place) => result.answers[place] ?? nothingSaid) }
  }

  async function follow({ group }: ReadPart, collide: boolean, answer: CallAnswer): Promise<CallAnswer> {
    const found = await findCulprits(answer, group, (pieces) =>
      send(pieces.map((records) => ({ ...group, records }))),
    )
    return collide && !group.allOrNone ? updateCollisions(group, found) : found
  }

  /** Each on its own, one after the other: two of them may have found the same record. */
  async function updateCollisions(group: ProviderGroup, answer: CallAnswer): Promise<CallAnswer> {
    if (answer.kind !== 'answered') return answer
    const records = [...answer.records]
    for (const [position, record] of answer.records.entries()) {
      if (record.ok || !record.errors.some((error) => error.code === 'DUPLICATES_DETECTED')) continue
      const update = await provider.updateCollision(session, group, position, limits)
      calls += update.calls
      // It cannot be sent on its own: the rule's refusal is its answer.
      if (update.calls === 0 && update.answer.kind === 'refused') continue
      records[position] = answerOf(update.answer, 0)
    }
    return { ...answer, records }
  }
}
