import type { ApiUsage, CallAnswer, ProviderError, RecordAnswer } from '../../model/outcome.ts'
import type { ProviderGroup } from '../provider.ts'
import { classifyRecordErrors, classifyRequestErrors, type Verdict } from './classify.ts'
import { parseApiUsage, throttleKind } from './limits.ts'
import { isRedirect } from './transport.ts'
import type { HttpAnswer } from './http.ts'

/** An answer that holds for every record of the call. */
export type Unanswered = Exclude<CallAnswer, { kind: 'answered' }>

/** A JSON object. */
export type Json = Record<string, unknown>

type Group = Pick<ProviderGroup, 'type' | 'records'>

/** An answer taken apart: of a whole call, or of one subrequest of a composite call. */
export interface ParsedAnswer {
  status: number
  /** By lower-case name. */
  headers: Record<string, string>
  /** The parsed body; `undefined` when it is not JSON. */
  body: unknown
  /** What is there when nothing of Salesforce's is. */
  content: 'empty' | 'html' | 'other'
  usage: ApiUsage | null
}

export const isObject = (value: unknown): value is Json =>
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

/** Takes an answer apart; never throws. */
export function parseAnswer({ status, headers, body }: HttpAnswer): ParsedAnswer {
  const isHtml = /^text\/html/i.test(headers['content-type'] ?? '') || /^\s*</.test(body)
  return {
    status,
    headers,
    body: parseJson(body),
    content: body.trim() === '' ? 'empty' : isHtml ? 'html' : 'other',
    usage: parseApiUsage(headers['sforce-limit-info']),
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

const ambiguousRecord = (code: string, message: string, raw?: unknown): RecordAnswer => ({
  ok: false,
  errors: [{ code, message, fields: [] }],
  errorClass: 'ambiguous',
  ...(raw === undefined ? {} : { raw }),
})

/**
 * One record's answer. The flag decides, not the number of errors: an accepted event is a success with
 * an entry in `errors` (facts 2). What says neither is in doubt, never a failure.
 */
export function toRecordAnswer(value: unknown, type: ProviderGroup['type']): RecordAnswer {
  if (isItem(value) && value.success) {
    const created = typeof value.created === 'boolean' ? value.created : type === 'create' ? true : null
    return { ok: true, recordId: typeof value.id === 'string' ? value.id : null, created, raw: value }
  }
  let errors: ProviderError[]
  if (isItem(value)) {
    errors = Array.isArray(value.errors) ? value.errors.map(toError) : []
    if (errors.length === 0) errors = [toError(null)]
  } else if (isObject(value) && typeof value.errorCode === 'string') {
    errors = [toError(value)]
  } else {
    const message = 'The provider’s entry for this record cannot be read.'
    return ambiguousRecord('UNREADABLE_RECORD_ANSWER', message, value)
  }
  // What was asked for is so: the record is in the recycle bin, by a delete whose answer was lost or another's.
  if (type === 'delete' && errors.every((error) => error.code === 'ENTITY_IS_DELETED')) {
    const recordId = typeof value.id === 'string' ? value.id : null
    return { ok: true, recordId, created: null, raw: value }
  }
  return { ok: false, errors, ...classifyRecordErrors(errors, type), raw: value }
}

/** The errors of a request that failed as a whole, or `null` where the body is not Salesforce's. */
function requestErrors(parsed: unknown): ProviderError[] | null {
  const elements = Array.isArray(parsed) ? parsed : [parsed]
  const errors = elements.filter((one) => isObject(one) && typeof one.errorCode === 'string').map(toError)
  return errors.length === 0 ? null : errors
}

/** A call whose answer tells nothing: it may have been written. */
export const lostAnswer = (status: number | null, code: string, message: string): Unanswered => ({
  kind: 'lost',
  status,
  error: { code, message, fields: [] },
})

function refused(
  { status, usage }: ParsedAnswer,
  errors: ProviderError[],
  verdict: Verdict,
  raw?: unknown,
): Unanswered {
  const throttle = throttleKind(errors)
  return {
    kind: 'refused',
    status,
    errors,
    ...verdict,
    usage,
    ...(throttle === null ? {} : { throttle }),
    ...(raw === undefined ? {} : { raw }),
    ...(errors.some((error) => error.code === 'JSON_PARSER_ERROR') ? { oneRecord: true } : {}),
  }
}

/** A status that means "not here": nothing was written, and no body can change that. */
function elsewhere(answer: ParsedAnswer): Unanswered | null {
  const { status, body } = answer
  const because = (code: string, message: string, errorClass: Verdict['errorClass']): Unanswered =>
    refused(answer, [{ code, message, fields: [] }], { errorClass }, answer.body)
  if (status === 300) {
    const matches = Array.isArray(body) ? `${body.length} records` : 'More than one record'
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
function withoutBody(answer: ParsedAnswer, type: ProviderGroup['type']): Unanswered {
  const { status, content } = answer
  const { what, code } = contents[content]
  const errors = [{ code, message: `The provider answered ${status} with ${what}.`, fields: [] }]
  const verdict = classifyRequestErrors(status, errors, type)
  return verdict.errorClass === 'ambiguous'
    ? lostAnswer(status, code, `The provider answered ${status} with ${what}, so what it did is not known.`)
    : refused(answer, errors, verdict)
}

const contents = {
  empty: { what: 'no body', code: 'EMPTY_ANSWER' },
  html: { what: 'an HTML page', code: 'UNEXPECTED_HTML' },
  other: { what: 'a body that is not Salesforce’s', code: 'UNREADABLE_ANSWER' },
} as const

/**
 * Items belong to records by position alone. An item too few or too many shifts those after it, and
 * nothing tells where: taking positions at their word would give writes the ids of others' records. So
 * then no item is believed, and every record is in doubt.
 */
function perRecord({ status, usage }: ParsedAnswer, items: unknown[], { type, records }: Group): CallAnswer {
  if (items.length === records.length) {
    return { kind: 'answered', status, records: items.map((item) => toRecordAnswer(item, type)), usage }
  }
  const message = `The provider answered with ${items.length} items for ${records.length} records, so none can be matched.`
  if (items.length > records.length) return lostAnswer(status, 'ANSWER_MISMATCH', message)
  return {
    kind: 'answered',
    status,
    records: records.map(() => ambiguousRecord('NO_ANSWER_FOR_RECORD', message)),
    usage,
  }
}

/**
 * Reads what is not an answer per record: a redirect, the errors of a refused request, or nothing that
 * can be read. Never gives `answered`.
 */
export const readFailure = (answer: ParsedAnswer, type: ProviderGroup['type']): Unanswered =>
  elsewhere(answer) ?? failureOf(answer, type)

function failureOf(answer: ParsedAnswer, type: ProviderGroup['type']): Unanswered {
  const errors = requestErrors(answer.body)
  if (errors === null) return withoutBody(answer, type)
  const verdict = classifyRequestErrors(answer.status, errors, type)
  const [first] = errors
  return verdict.errorClass === 'ambiguous' && first !== undefined
    ? { kind: 'lost', status: answer.status, error: first }
    : refused(answer, errors, verdict, answer.body)
}

/** {@link readAnswer} for an answer that was taken apart. */
export function readParsed(answer: ParsedAnswer, group: Group): CallAnswer {
  const moved = elsewhere(answer)
  if (moved !== null) return moved
  const { body } = answer
  if (Array.isArray(body) && body.some(isItem)) return perRecord(answer, body, group)
  return failureOf(answer, group.type)
}

/**
 * Reads the answer to a collections call (facts 3.1). An array with a boolean `success` in it is
 * per record whatever the status; elements with `errorCode` alone are the request's. What may have been
 * written for all that the answer says comes back as `lost`.
 */
export const readAnswer = (answer: HttpAnswer, group: Group): CallAnswer =>
  readParsed(parseAnswer(answer), group)
