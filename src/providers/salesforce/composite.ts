import { isObject, lostAnswer, parseAnswer, readFailure, readParsed } from './answer.ts'
import type { Json, ParsedAnswer, Unanswered } from './answer.ts'
import { areInteractions } from '../../model/engagement.ts'
import type { ApiUsage, CallAnswer } from '../../model/outcome.ts'
import type { ProviderGroup } from '../provider.ts'
import type { CollectionsRequest } from './collections.ts'
import type { HttpAnswer } from './http.ts'
import type { InteractionsRequest } from './interactions.ts'

/** A group with the call that writes it. */
export interface PackedGroup {
  group: ProviderGroup
  request: CollectionsRequest | InteractionsRequest
}

/** `@{name.field}`, also with its signs escaped: a composite call fills it in from an earlier subrequest (facts 4). */
const reference = /(?:@|\\u0040)(?:\{|\\u007b)/i

/**
 * Whether a group can go in a composite call: a Connect resource cannot (facts 4), and no record may be taken for
 * something else there.
 */
export const isPackable = ({ group, request }: PackedGroup): boolean =>
  !areInteractions(group) && (request.body === null || !reference.test(request.body))

const nameOf = (position: number): string => `g${position}`

/**
 * The body of a composite call that carries groups (facts 4.1). Each keeps its own allOrNone and its own
 * headers: one on the outer request would be nobody's. Not collated, so that the order holds.
 * @param apiVersion for example `67.0`
 */
export function compositeBody(packed: readonly PackedGroup[], apiVersion: string): string {
  const subrequests = packed.map(({ group, request }, position) => {
    const { method, path, body } = request
    const httpHeaders = Object.fromEntries(group.headers.map(({ key, value }) => [key, value]))
    const head = JSON.stringify({
      method,
      url: `/services/data/v${apiVersion}${path}`,
      referenceId: nameOf(position),
      ...(group.headers.length === 0 ? {} : { httpHeaders }),
    })
    // The body is JSON text already.
    return body === null ? head : `${head.slice(0, -1)},"body":${body}}`
  })
  return `{"allOrNone":false,"collateSubrequests":false,"compositeRequest":[${subrequests.join(',')}]}`
}

/** What a composite call came to: an answer per group, or one that holds for all of them. */
export type CompositeAnswer =
  | { kind: 'per_group'; answers: CallAnswer[] }
  | {
      kind: 'whole'
      answer: Unanswered
      /** Nothing ran, and the groups may well pass on their own. */
      sendSingly: boolean
      /** The org does not offer the resource, so that asking again soon is a call spent for nothing. */
      unavailable: boolean
    }

/** Reads the answer to a composite call (facts 4.1). */
export function readComposite(answer: HttpAnswer, packed: readonly PackedGroup[]): CompositeAnswer {
  const parsed = parseAnswer(answer)
  const { status, body, usage } = parsed
  const isWhole = status < 200 || status >= 300 || !isObject(body) || !Array.isArray(body.compositeResponse)
  if (isWhole) return readWhole(parsed)
  const byName = subresponsesByName(body.compositeResponse as unknown[])
  const answers = packed.map(({ group }, position) => {
    const subresponses = byName.get(nameOf(position)) ?? []
    return readSubresponse(subresponses, group, status, usage)
  })
  return { kind: 'per_group', answers }
}

function readWhole(parsed: ParsedAnswer): CompositeAnswer {
  const { status } = parsed
  const answer = readFailure(parsed, 'update')
  const whole = (outcome: Unanswered, sendSingly: boolean): CompositeAnswer => ({
    kind: 'whole',
    answer: outcome,
    sendSingly,
    unavailable: sendSingly && isUnavailable(outcome),
  })
  if (answer.kind !== 'refused' || answer.errorClass !== 'permanent') return whole(answer, false)
  if (status >= 400 && status < 500) return whole(answer, true)
  // Under any other status a code that is permanent for one group does not say that no group was written.
  const [first] = answer.errors
  return whole(
    lostAnswer(
      status,
      first?.code ?? 'UNREADABLE_ANSWER',
      first?.message ?? `The provider answered ${status}.`,
    ),
    false,
  )
}

const notOffered = new Set(['FUNCTIONALITY_NOT_ENABLED', 'METHOD_NOT_ALLOWED', 'NOT_FOUND'])

const isUnavailable = (answer: Unanswered): boolean =>
  answer.kind === 'refused' &&
  ([403, 404, 405].includes(answer.status) || answer.errors.some(({ code }) => notOffered.has(code)))

function subresponsesByName(subresponses: readonly unknown[]): Map<string, Json[]> {
  const byName = new Map<string, Json[]>()
  for (const one of subresponses) {
    if (!isObject(one) || typeof one.referenceId !== 'string') continue
    const named = byName.get(one.referenceId)
    if (named === undefined) byName.set(one.referenceId, [one])
    else named.push(one)
  }
  return byName
}

/** Matched by name, never by position; none, or more than one of a name, tells nothing of the group. */
function readSubresponse(
  subresponses: readonly Json[],
  group: ProviderGroup,
  outerStatus: number,
  usage: ApiUsage | null,
): CallAnswer {
  const [subresponse] = subresponses
  const status = subresponse?.httpStatusCode
  if (subresponse === undefined || subresponses.length > 1 || typeof status !== 'number') {
    const message =
      'The provider’s answer holds no one answer for this group, so what became of it is not known.'
    return lostAnswer(outerStatus, 'ANSWER_MISMATCH', message)
  }
  const { body, httpHeaders } = subresponse
  const text = typeof body === 'string' ? body.trim() : null
  return readParsed(
    {
      status,
      headers: headersOf(httpHeaders),
      body,
      content: body === null || body === undefined || text === '' ? 'empty' : isHtml(text) ? 'html' : 'other',
      usage,
    },
    group,
  )
}

const isHtml = (text: string | null): boolean => text?.startsWith('<') === true

function headersOf(httpHeaders: unknown): Record<string, string> {
  if (!isObject(httpHeaders)) return {}
  return Object.fromEntries(
    Object.entries(httpHeaders).flatMap(([name, value]) =>
      typeof value === 'string' ? [[name.toLowerCase(), value]] : [],
    ),
  )
}
