import type { CallAnswer, RecordAnswer } from '../model/outcome.ts'
import type { ProviderGroup } from '../providers/provider.ts'
import { answerOf } from './record-answers.ts'

/** Calls that one group may cost in the search for its culprits; what is left over then waits for another try. */
const MAX_CALLS = 24

type Refused = CallAnswer & { kind: 'refused' }

/** Sends some of a group's records in a call of their own. */
export type SendRecords = (records: string[]) => Promise<CallAnswer>

/**
 * Finds the culprit when the provider refused the whole of a group for what may be one record's fault
 * (facts 7, JSON_PARSER_ERROR): the halves are sent on their own, and theirs, until every record has an
 * answer of its own. One bad value never sinks the others of its group (contract 6.3).
 *
 * A group sent with allOrNone is not taken apart: it stands or falls as a whole. Any other answer is
 * returned as it is.
 */
export async function findCulprits(
  answer: CallAnswer,
  group: Pick<ProviderGroup, 'allOrNone' | 'records'>,
  send: SendRecords,
): Promise<CallAnswer> {
  if (!isWorthSplitting(answer, group)) return answer
  const search = { left: MAX_CALLS - 1, send }
  const records = await sendHalves(search, group.records, answer)
  return { kind: 'answered', status: answer.status, records, usage: answer.usage }
}

const isWorthSplitting = (
  answer: CallAnswer,
  group: Pick<ProviderGroup, 'allOrNone' | 'records'>,
): answer is Refused =>
  answer.kind === 'refused' && answer.oneRecord === true && group.records.length > 1 && !group.allOrNone

/** The answers of records that were refused together, one for each, in order. */
async function sendHalves(
  search: { left: number; send: SendRecords },
  records: string[],
  refusal: Refused,
): Promise<RecordAnswer[]> {
  const half = Math.ceil(records.length / 2)
  const answers: RecordAnswer[] = []
  for (const part of [records.slice(0, half), records.slice(half)]) {
    if (search.left <= 0) {
      answers.push(...part.map(() => untried(refusal)))
      continue
    }
    search.left -= 1
    const answer = await search.send(part)
    const again = isWorthSplitting(answer, { allOrNone: false, records: part })
    answers.push(
      ...(again
        ? await sendHalves(search, part, answer)
        : part.map((_, position) => answerOf(answer, position))),
    )
  }
  return answers
}

/** Refused with others, and not sent on its own any more: not written, so another try does no harm. */
const untried = (refusal: Refused): RecordAnswer => ({
  ok: false,
  errors: refusal.errors,
  errorClass: 'transient',
})
