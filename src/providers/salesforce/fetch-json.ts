import type { ApiUsage } from '../../model/outcome.ts'
import { parseAnswer, readFailure, type Unanswered } from './answer.ts'
import { failedCall, type ApiCall, type CallSeries } from './call-series.ts'
import type { NotRead } from '../reading-provider.ts'

/** JSON that was read: parsed and as it came. */
export interface FetchedJson {
  kind: 'json'
  status: number
  body: unknown
  text: string
  usage: ApiUsage | null
}

/** Nothing is written by reading, so an answer that was lost leaves nothing in doubt. */
export const asRead = (answer: Unanswered): NotRead =>
  answer.kind === 'lost' ? { kind: 'not_sent', error: answer.error } : answer

/** A 2xx answer that is not what was asked for. */
export const unreadable = (status: number): NotRead => ({
  kind: 'not_sent',
  error: {
    code: 'UNREADABLE_ANSWER',
    message: `The provider answered ${status} with what cannot be read.`,
    fields: [],
  },
})

/** Makes a call that reads; anything but a 2xx answer of JSON says why there is none. */
export async function fetchJson(series: CallSeries, call: ApiCall): Promise<FetchedJson | NotRead> {
  const outcome = await series.send(call)
  if (outcome.kind === 'failure') return asRead(failedCall(outcome))
  const parsed = parseAnswer(outcome)
  const { status, body, content, usage } = parsed
  if (status >= 200 && status < 300 && content === 'other' && body !== undefined)
    return { kind: 'json', status, body, text: outcome.body, usage }
  return asRead(readFailure(parsed, 'update'))
}
