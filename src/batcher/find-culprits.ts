import type { CallAnswer, RecordAnswer } from '../model/outcome.ts'
import { MAX_PACKED } from '../model/write.ts'
import type { ProviderGroup, SentCall } from '../providers/provider.ts'
import { answerOf } from './record-answers.ts'

/**
 * API calls that one group may cost in the search for its culprits, enough for 200 records that all are. What is
 * left over, with an org that takes one group in a call, waits for another try.
 */
const MAX_CALLS = 64

type Refused = CallAnswer & { kind: 'refused' }

/** Sends pieces of a group, at most {@link MAX_PACKED}, each as a group of its own, and answers for each. */
export type SendPieces = (pieces: string[][]) => Promise<SentCall>

/**
 * Finds the culprits when the provider refused the whole of a group for what may be one record's fault
 * (facts 7, JSON_PARSER_ERROR): five parts of it are sent in one call, and five of each of theirs that is
 * refused in turn, until every record has an answer of its own. One bad value never sinks the others of its
 * group (contract 6.3), and of 200 records one costs 4 calls, 200 cost 61.
 *
 * A group sent with allOrNone is not taken apart: it stands or falls as a whole. Any other answer is
 * returned as it is.
 */
export async function findCulprits(
  answer: CallAnswer,
  group: Pick<ProviderGroup, 'allOrNone' | 'records'>,
  send: SendPieces,
): Promise<CallAnswer> {
  if (!isWorthSplitting(answer, group)) return answer
  const records = group.records.map((): RecordAnswer => untried(answer))
  // Places of the group's records, by pieces. The widest first, so that calls are full.
  const open = piecesOf(group.records.map((_, place) => place))
  for (let left = MAX_CALLS; open.length > 0 && left > 0;) {
    const pieces = open.splice(0, MAX_PACKED)
    const sent = await send(pieces.map((places) => places.map((place) => group.records[place] ?? '{}')))
    left -= sent.calls
    for (const [index, places] of pieces.entries()) {
      const one = sent.answers[index] as CallAnswer
      const isOpen = isWorthSplitting(one, { allOrNone: false, records: places })
      if (isOpen) open.push(...piecesOf(places))
      for (const [position, place] of places.entries())
        records[place] = isOpen ? untried(one) : answerOf(one, position)
    }
    // What turns every call away would do so with the rest.
    if (sent.answers.some(isTurnedAway)) break
  }
  return { kind: 'answered', status: answer.status, records, usage: answer.usage }
}

const isWorthSplitting = (
  answer: CallAnswer,
  group: { allOrNone: boolean; records: readonly unknown[] },
): answer is Refused =>
  answer.kind === 'refused' && answer.oneRecord === true && group.records.length > 1 && !group.allOrNone

const isTurnedAway = (answer: CallAnswer): boolean =>
  answer.kind === 'not_sent' ||
  (answer.kind === 'refused' && (answer.errorClass === 'auth' || answer.errorClass === 'throttled'))

/** As many pieces as go in one call, as even as can be. */
function piecesOf(places: readonly number[]): number[][] {
  const count = Math.min(MAX_PACKED, places.length)
  return Array.from({ length: count }, (_, piece) =>
    places.slice(
      Math.floor((piece * places.length) / count),
      Math.floor(((piece + 1) * places.length) / count),
    ),
  )
}

/** Refused with others, and not sent on its own any more: not written, so another try does no harm. */
const untried = (refusal: Refused): RecordAnswer => ({
  ok: false,
  errors: refusal.errors,
  errorClass: 'transient',
})
