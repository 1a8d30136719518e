import type { ValidateFunction } from 'ajv'
import type { FastifyRequest } from 'fastify'
import type { EngagementRequest } from '../../contract/engagement.ts'
import { refuse } from '../../ingest/examine.ts'
import { findInteractionIssues } from '../../ingest/rules/interaction.ts'
import { isSynchronous } from '../../ingest/write-body.ts'
import type { Issue } from '../../kernel/errors.ts'
import { readCallHeaders, readWriteBody } from '../ampersand/write-request.ts'
import { eachPlaceOnce, schemaIssuesOf } from '../issues.ts'
import type { Validation } from '../validation.ts'

const PATH = '/engagementInteraction'

/** A call without issues. */
export interface InteractionCall {
  body: EngagementRequest
  /** Its variables' values in place. */
  interaction: Record<string, unknown>
  /** Milliseconds that a synchronous call may take. */
  timeMs: number
  /** The call's Idempotency-Key; null when it has none. */
  key: string | null
}

/**
 * Reads a call that writes an engagement interaction. Its fields are looked at once the values of its variables
 * are in place: before that, a token stands where a number or a flag belongs.
 *
 * @param validate of the interaction alone
 * @throws {WritebackError} INVALID_REQUEST with every issue
 */
export function readInteractionCall(
  request: FastifyRequest,
  validation: Validation,
  validate: ValidateFunction,
): InteractionCall {
  const given = isObject(request.body) ? request.body : {}
  const { engagementInteraction: record, ...rest } = given
  const read = readWriteBody({ ...rest, type: 'create', record: isObject(record) ? record : {} }, [], {
    recordPath: () => PATH,
  })
  const interaction = read.examined.records[0]?.record ?? {}
  const headers = readCallHeaders(request, isSynchronous(read.body))
  const issues = eachPlaceOnce([
    ...schemaIssuesOf(request).filter(({ path }) => !path.startsWith(`${PATH}/`)),
    ...(isObject(record) ? fieldIssues(interaction, validation, validate) : []),
    ...read.issues,
    ...policyIssues(read.body.autoBatchPolicy),
    ...headers.issues,
  ])
  if (issues.length > 0) refuse(issues)
  const { timeMs, key } = headers
  return { body: request.body as EngagementRequest, interaction, timeMs, key }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function fieldIssues(
  interaction: Record<string, unknown>,
  validation: Validation,
  validate: ValidateFunction,
): Issue[] {
  const found = validate(interaction) ? [] : validation.toError(validate.errors, 'body').issues
  return [
    ...(found ?? []).map(({ path, message }) => ({ path: `${PATH}${path}`, message })),
    ...findInteractionIssues(interaction, PATH),
  ]
}

/** Interactions of one request are no transaction (facts 4.2): what was written of them stays. */
function policyIssues(policy: { allOrNone?: boolean; onRollback?: unknown } | undefined): Issue[] {
  const path = '/autoBatchPolicy'
  const message = 'is not for interactions: each is written by itself, and none is undone with another'
  return [
    ...(policy?.allOrNone === true ? [{ path: `${path}/allOrNone`, message }] : []),
    ...(policy?.onRollback === 'resend' ? [{ path: `${path}/onRollback`, message }] : []),
  ]
}
