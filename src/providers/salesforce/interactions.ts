import { INTERACTIONS, MAX_INTERACTIONS } from '../../model/engagement.ts'
import type { CallAnswer, ProviderError, RecordAnswer } from '../../model/outcome.ts'
import type { ProviderGroup } from '../provider.ts'
import { isObject, lostAnswer, parseAnswer, readFailure } from './answer.ts'
import type { ParsedAnswer, Unanswered } from './answer.ts'
import type { ApiCall } from './call-series.ts'
import { InvalidGroup } from './collections.ts'
import type { HttpAnswer } from './http.ts'

/** A call that writes interactions, and the API calls that it counts as (facts 4). */
export type InteractionsRequest = Pick<ApiCall, 'path' | 'body'> & { method: 'POST'; cost: number }

/**
 * The call that writes a group of engagement interactions (facts 4.2, 11): one by itself, several in a batch
 * whose subrequests each commit alone and each count as a call. Neither takes a header.
 *
 * @param apiVersion for example `67.0`
 * @throws {InvalidGroup}
 */
export function interactionsRequest(group: ProviderGroup, apiVersion: string): InteractionsRequest {
  const { records, type, headers, allOrNone } = group
  if (type !== 'create') throw new InvalidGroup('An engagement interaction can only be created.')
  if (headers.length > 0 || allOrNone)
    throw new InvalidGroup('Engagement interactions take no headers, and cannot be undone together.')
  const [first] = records
  if (first === undefined || records.length > MAX_INTERACTIONS)
    throw new InvalidGroup(`A call takes 1 to ${MAX_INTERACTIONS} interactions, not ${records.length}.`)
  if (records.length === 1) return { method: 'POST', path: `/${INTERACTIONS}`, body: first, cost: 1 }
  const head = `{"method":"POST","url":"v${apiVersion}/${INTERACTIONS}","richInput":`
  return {
    method: 'POST',
    path: '/composite/batch',
    // The records are JSON texts already.
    body: `{"haltOnError":false,"batchRequests":[${records.map((text) => `${head}${text}}`).join(',')}]}`,
    cost: records.length,
  }
}

/** Reads the answer to the call of {@link interactionsRequest} for the same group. */
export function readInteractions(answer: HttpAnswer, { records }: ProviderGroup): CallAnswer {
  const parsed = parseAnswer(answer)
  const { status, usage } = parsed
  if (records.length > 1) return readBatch(parsed, records.length)
  if (status < 200 || status >= 300) return readFailure(parsed, 'create')
  const record = readInteraction(parsed.body)
  return record === null ? unreadable(status) : { kind: 'answered', status, records: [record], usage }
}

/** Results belong to records by position alone, so one too few or too many leaves none to be believed. */
function readBatch(parsed: ParsedAnswer, count: number): CallAnswer {
  const { status, body, usage } = parsed
  if (status < 200 || status >= 300) return readFailure(parsed, 'create')
  if (!isObject(body) || !Array.isArray(body.results)) return unreadable(status)
  const results: unknown[] = body.results
  if (results.length !== count) {
    const message = `The provider answered with ${results.length} results for ${count} interactions, so none can be matched.`
    return lostAnswer(status, 'ANSWER_MISMATCH', message)
  }
  return { kind: 'answered', status, records: results.map(readResult), usage }
}

/** One subrequest's result: an answer of its own. */
function readResult(value: unknown): RecordAnswer {
  const status = isObject(value) ? value.statusCode : undefined
  if (!isObject(value) || typeof status !== 'number') return inDoubt(value)
  const { result } = value
  if (status >= 200 && status < 300) return readInteraction(result) ?? inDoubt(result)
  const content = result === null || result === undefined || result === '' ? 'empty' : 'other'
  return ofRecord(readFailure({ status, headers: {}, body: result, content, usage: null }, 'create'), result)
}

/** What holds for a subrequest as a whole holds for its one record. */
function ofRecord(answer: Unanswered, raw: unknown): RecordAnswer {
  if (answer.kind !== 'refused') return { ok: false, errors: [answer.error], errorClass: 'ambiguous', raw }
  const { errors, errorClass, maxRetries, cause } = answer
  return {
    ok: false,
    errors,
    errorClass,
    ...(maxRetries === undefined ? {} : { maxRetries }),
    ...(cause === undefined ? {} : { cause }),
    raw,
  }
}

/**
 * The body of a 2xx answer: null for one that says nothing of what was written.
 *
 * It can hold a `status.code` that fails (facts 11), and which codes succeed is not documented: those of HTTP
 * and 0 are taken for it, and none at all. Any other has failed, which invites to write again: so only where
 * nothing speaks for a record. With an id, which only the org can have given it, and after a fault of the
 * org's own (500 and above) it is not known.
 */
function readInteraction(body: unknown): RecordAnswer | null {
  if (!isObject(body)) return null
  const interaction = isObject(body.engagementInteraction) ? body.engagementInteraction : {}
  const id = typeof interaction.id === 'string' && interaction.id !== '' ? interaction.id : null
  const code = codeOf(body.status)
  const isSuccess = code === null || code === 0 || (code >= 200 && code < 300)
  if (isSuccess) return id === null ? null : { ok: true, recordId: id, created: true, raw: body }
  const errorClass = id !== null || code >= 500 ? 'ambiguous' : 'permanent'
  return { ok: false, errors: [failureOf(code, body.status)], errorClass, raw: body }
}

/** A status's code; null where there is none. */
function codeOf(status: unknown): number | null {
  if (!isObject(status) || status.code === null || status.code === undefined) return null
  const code = Number(status.code)
  return Number.isFinite(code) ? code : -1
}

const failureOf = (code: number, status: unknown): ProviderError => {
  const message = isObject(status) && typeof status.message === 'string' ? status.message : ''
  return {
    code: code === -1 && isObject(status) ? String(status.code) : String(code),
    message: message === '' ? 'The provider gave no message.' : message,
    fields: [],
  }
}

const UNREADABLE = 'The provider’s answer does not say what became of this interaction.'

const unreadable = (status: number): Unanswered => lostAnswer(status, 'UNREADABLE_ANSWER', UNREADABLE)

const inDoubt = (raw: unknown): RecordAnswer => ({
  ok: false,
  errors: [{ code: 'UNREADABLE_RECORD_ANSWER', message: UNREADABLE, fields: [] }],
  errorClass: 'ambiguous',
  ...(raw === undefined ? {} : { raw }),
})
