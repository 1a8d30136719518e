import type { ApiUsage, CallAnswer, ProviderError, RecordAnswer } from '../../model/outcome.ts'
import type { ProviderGroup } from '../provider.ts'
import { classifyRecordErrors, classifyRequestErrors, type Verdict } from './classify.ts'
import { parseApiUsage, throttleKind } from './limits.ts'
import { isRedirect } from './transport.ts'
import type { HttpAnswer } from './http.ts'

type Group = Pick<ProviderGroup, 'type' | 'records'>
type Json = Record<string, unknown>

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isItem = (value: unknown): value is Json & { success: boolean } =>
  isObject(value) && typeof value.success === 'boolean'

/** Not JSON at all gives `undefined`, which no JSON text gives. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/**
 * One provider error in our shape. Items say `statusCode` where requests say `errorCode` (facts 3.1).
 */
function toError(value: unknown): ProviderError {
  const raw = isObject(value) ? value : {}
  const code = [raw.statusCode, raw.errorCode].find((one) => typeof one === 'string' && one !== '')
  const fields = Array.isArray(raw.fields) ? raw.fields.filter((one) => typeof one === 'string') : []
  return {
    code: typeof code === 'string' ? code : 'UNKNOWN_ERROR',
    message: typeof raw.message === 'string' ? raw.message : 'The provider gave no message.',
    fields,
  }
}

const ambiguousRecord = (code: string, message: string): RecordAnswer => ({
  ok: false,
  errors: [{ code, message, fields: [] }],
  errorClass: 'ambiguous',
})

/**
 * One record's answer. The flag decides, not the number of errors: an accepted event is a success with
 * an entry in `errors` (facts 2). What says neither is in doubt, never a failure.
 */
function toRecordAnswer(value: unknown, type: ProviderGroup['type']): RecordAnswer {
  if (isItem(value) && value.success) {
    const created = typeof value.created === 'boolean' ? value.created : type === 'create' ? true : null
    return { ok: true, recordId: typeof value.id === 'string' ? value.id : null, created }
  }
  let errors: ProviderError[]
  if (isItem(value)) {
    errors = Array.isArray(value.errors) ? value.errors.map(toError) : []
    if (errors.length === 0) errors = [toError(null)]
  } else if (isObject(value) && typeof value.errorCode === 'string') {
    errors = [toError(value)]
  } else {
    return ambiguousRecord('UNREADABLE_RECORD_ANSWER', 'The provider’s entry for this record cannot be read.')
  }
  // What was asked for is so: the record is in the recycle bin, by a delete whose answer was lost or another's.
  if (type === 'delete' && errors.every((error) => error.code === 'ENTITY_IS_DELETED')) {
    return {
      ok: true,
      recordId: isObject(value) && typeof value.id === 'string' ? value.id : null,
      created: null,
    }
  }
  return { ok: false, errors, ...classifyRecordErrors(errors, type) }
}

/** The errors of a request that failed as a whole, or `null` where the body is not Salesforce's. */
function requestErrors(parsed: unknown): ProviderError[] | null {
  const elements = Array.isArray(parsed) ? parsed : [parsed]
  const errors = elements.filter((one) => isObject(one) && typeof one.errorCode === 'string').map(toError)
  return errors.length === 0 ? null : errors
}

const lost = (status: number, code: string, message: string): CallAnswer => ({
  kind: 'lost',
  status,
  error: { code, message, fields: [] },
})

function refused(
  status: number,
  errors: ProviderError[],
  verdict: Verdict,
  usage: ApiUsage | null,
): CallAnswer {
  const throttle = throttleKind(errors)
  return {
    kind: 'refused',
    status,
    errors,
    ...verdict,
    usage,
    ...(throttle === null ? {} : { throttle }),
    ...(errors.some((error) => error.code === 'JSON_PARSER_ERROR') ? { oneRecord: true } : {}),
  }
}

/** A status that means "not here": nothing was written, and no body can change that. */
function elsewhere(answer: HttpAnswer, parsed: unknown, usage: ApiUsage | null): CallAnswer | null {
  const { status } = answer
  const because = (code: string, message: string, errorClass: Verdict['errorClass']): CallAnswer =>
    refused(status, [{ code, message, fields: [] }], { errorClass }, usage)
  if (status === 300) {
    const matches = Array.isArray(parsed) ? `${parsed.length} records` : 'More than one record'
    return because('MULTIPLE_CHOICES', `${matches} have this external id; nothing was written.`, 'permanent')
  }
  if (status === 304) return because('NOT_MODIFIED', 'The provider answered 304, not modified.', 'permanent')
  if (!isRedirect(status)) return null
  // The org moved or the host is no API host: the connection's fault. A new session brings the new host.
  const target = URL.parse(answer.headers.location ?? '')?.host
  const whither = target === undefined ? '' : ` to ${target}`
  return because(
    'UNEXPECTED_REDIRECT',
    `The instance host redirects${whither}; the instance URL is wrong.`,
    'auth',
  )
}

/** An answer without anything of Salesforce in it: the status is all there is. */
function withoutBody(answer: HttpAnswer, type: ProviderGroup['type'], usage: ApiUsage | null): CallAnswer {
  const { status, headers, body } = answer
  const isHtml = /^text\/html/i.test(headers['content-type'] ?? '') || /^\s*</.test(body)
  const what = body.trim() === '' ? 'no body' : isHtml ? 'an HTML page' : 'a body that is not Salesforce’s'
  const code = body.trim() === '' ? 'EMPTY_ANSWER' : isHtml ? 'UNEXPECTED_HTML' : 'UNREADABLE_ANSWER'
  const errors = [{ code, message: `The provider answered ${status} with ${what}.`, fields: [] }]
  const verdict = classifyRequestErrors(status, errors, type)
  return verdict.errorClass === 'ambiguous'
    ? lost(status, code, `The provider answered ${status} with ${what}, so what it did is not known.`)
    : refused(status, errors, verdict, usage)
}

/**
 * Items belong to records by position alone. An item too few or too many shifts those after it, and
 * nothing tells where: taking positions at their word would give writes the ids of others' records. So
 * then no item is believed, and every record is in doubt.
 */
function perRecord(status: number, items: unknown[], group: Group, usage: ApiUsage | null): CallAnswer {
  const { type, records } = group
  if (items.length === records.length) {
    return { kind: 'answered', status, records: items.map((item) => toRecordAnswer(item, type)), usage }
  }
  const message = `The provider answered with ${items.length} items for ${records.length} records, so none can be matched.`
  if (items.length > records.length) return lost(status, 'ANSWER_MISMATCH', message)
  return {
    kind: 'answered',
    status,
    records: records.map(() => ambiguousRecord('NO_ANSWER_FOR_RECORD', message)),
    usage,
  }
}

/**
 * Reads the answer to a collections call (facts 3.1). An array with a boolean `success` in it is
 * per record whatever the status; elements with `errorCode` alone are the request's. What may have been
 * written for all that the answer says comes back as `lost`.
 */
export function readAnswer(answer: HttpAnswer, group: Group): CallAnswer {
  const { status } = answer
  const usage = parseApiUsage(answer.headers['sforce-limit-info'])
  const parsed = parseJson(answer.body)
  const moved = elsewhere(answer, parsed, usage)
  if (moved !== null) return moved

  if (Array.isArray(parsed) && parsed.some(isItem)) return perRecord(status, parsed, group, usage)
  const errors = requestErrors(parsed)
  if (errors === null) return withoutBody(answer, group.type, usage)
  const verdict = classifyRequestErrors(status, errors, group.type)
  const [first] = errors
  return verdict.errorClass === 'ambiguous' && first !== undefined
    ? { kind: 'lost', status, error: first }
    : refused(status, errors, verdict, usage)
}
