import type { ApiUsage, CallAnswer } from '../model/outcome.ts'
import { MAX_GROUP_BYTES, MAX_REQUEST } from '../model/write.ts'
import { answerOf } from './record-answers.ts'
import type { CallPart } from './send-call.ts'

/**
 * Divides a part into as few as one request each can take: by records, and by bytes, a record that is over
 * them all going alone. One with allOrNone stays whole: it is one transaction.
 */
export function splitPart(part: CallPart): CallPart[] {
  const { group, ifEmpty, lookUps, maxRecords = MAX_REQUEST } = part
  if (group.allOrNone) return [part]
  const ends: number[] = []
  let size = 0
  let bytes = 0
  for (const [place, record] of group.records.entries()) {
    const own = Buffer.byteLength(record)
    if (size > 0 && (size === maxRecords || bytes + own > MAX_GROUP_BYTES)) {
      ends.push(place)
      size = 0
      bytes = 0
    }
    size += 1
    bytes += own
  }
  if (ends.length === 0) return [part]
  return [...ends, group.records.length].map((end, index) => {
    const start = index === 0 ? 0 : ends[index - 1]
    const records = group.records.slice(start, end)
    return {
      ...part,
      group: { ...group, records },
      ifEmpty: ifEmpty.slice(start, end),
      ...(lookUps === undefined ? {} : { lookUps: lookUps.slice(start, end) }),
    }
  })
}

/**
 * The answer for a part that went in several, by its own positions. Where all of them ended alike without an
 * answer of their own, that is it: what is to be learnt of the org and its session is in it.
 */
export function joinAnswers(pieces: readonly CallPart[], answers: readonly CallAnswer[]): CallAnswer {
  const [first] = answers
  if (first === undefined) throw new TypeError('A part that went in none.')
  if (answers.every((answer) => isAlike(first, answer))) return first
  return {
    kind: 'answered',
    status: Math.max(...answers.map(statusOf)),
    records: pieces.flatMap(({ group }, piece) =>
      group.records.map((_, position) => answerOf(answers[piece] as CallAnswer, position)),
    ),
    usage: answers.map(usageOf).findLast((usage) => usage !== null) ?? null,
  }
}

/** Whether an answer says no more, and no less, than another: never of one that has its records' own. */
function isAlike(one: CallAnswer, other: CallAnswer): boolean {
  if (one === other) return true
  if (one.kind === 'answered' || other.kind === 'answered') return false
  if (one.kind !== 'refused' || other.kind !== 'refused') return one.kind === other.kind
  return (
    one.errorClass === other.errorClass &&
    one.throttle === other.throttle &&
    one.errors[0]?.code === other.errors[0]?.code
  )
}

const statusOf = (answer: CallAnswer): number => (answer.kind === 'not_sent' ? 0 : (answer.status ?? 0))

const usageOf = (answer: CallAnswer): ApiUsage | null =>
  answer.kind === 'answered' || answer.kind === 'refused' ? answer.usage : null
