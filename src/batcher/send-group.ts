import type { CallAnswer, RecordAnswer } from '../model/outcome.ts'
import type { CallOptions, Provider, ProviderGroup } from '../providers/provider.ts'
import type { Session } from '../model/credentials.ts'

/** Calls that one group may cost in the search for its culprits; what is left over then waits for another try. */
const MAX_CALLS = 24

/** What came of a group, and the calls that it took. */
export interface GroupOutcome {
  answer: CallAnswer
  calls: number
}

/**
 * Sends a group, and finds the culprit when the provider refuses the whole of it for what may be one
 * record's fault (facts 7, JSON_PARSER_ERROR): the halves are sent on their own, and theirs, until every
 * record has an answer of its own. One bad value never sinks the others of its group (contract 6.3).
 *
 * A group sent with allOrNone is not taken apart: it stands or falls as a whole.
 */
export async function sendGroup(
  provider: Pick<Provider, 'sendGroup'>,
  session: Session,
  group: ProviderGroup,
  options: CallOptions,
): Promise<GroupOutcome> {
  const answer = await provider.sendGroup(session, group, options)
  if (!isWorthSplitting(answer, group)) return { answer, calls: 1 }
  const search: Search = {
    calls: 1,
    send: (records) => provider.sendGroup(session, { ...group, records }, options),
  }
  const records = await sendHalves(search, group.records, answer)
  return {
    answer: { kind: 'answered', status: answer.status, records, usage: answer.usage },
    calls: search.calls,
  }
}

interface Search {
  calls: number
  send: (records: string[]) => Promise<CallAnswer>
}

type Refused = CallAnswer & { kind: 'refused' }

const isWorthSplitting = (
  answer: CallAnswer,
  group: Pick<ProviderGroup, 'allOrNone' | 'records'>,
): answer is Refused =>
  answer.kind === 'refused' && answer.oneRecord === true && group.records.length > 1 && !group.allOrNone

/** The answers of records that were refused together, one for each, in order. */
async function sendHalves(search: Search, records: string[], refusal: Refused): Promise<RecordAnswer[]> {
  const half = Math.ceil(records.length / 2)
  const answers: RecordAnswer[] = []
  for (const part of [records.slice(0, half), records.slice(half)]) {
    if (search.calls >= MAX_CALLS) {
      answers.push(...part.map(() => untried(refusal)))
      continue
    }
    search.calls += 1
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

/** What a call says of one of its records. */
function answerOf(answer: CallAnswer, position: number): RecordAnswer {
  switch (answer.kind) {
    case 'answered':
      return answer.records[position] ?? { ok: false, errors: [forgotten], errorClass: 'ambiguous' }
    case 'refused': {
      const { errors, errorClass, maxRetries } = answer
      return { ok: false, errors, errorClass, ...(maxRetries === undefined ? {} : { maxRetries }) }
    }
    case 'not_sent':
      return { ok: false, errors: [answer.error], errorClass: 'transient' }
    case 'lost':
      return { ok: false, errors: [answer.error], errorClass: 'ambiguous' }
  }
}

const forgotten = {
  code: 'NO_ANSWER_FOR_RECORD',
  message: 'The provider answered the request without an answer for this record.',
  fields: [],
}
