import { errorCatalogue, WritebackError, type ErrorCode } from '../kernel/errors.ts'
import type { Answer, Document, DocumentedCall, Example, Schema } from './document.ts'
import { problemOf, statusOf } from './error-handler.ts'

/** What a call that writes can be refused with, whichever way in it is. */
const ofWrites: ErrorCode[] = [
  'NOT_FOUND',
  'IDEMPOTENCY_KEY_IN_USE',
  'IDEMPOTENCY_KEY_REUSED',
  'NO_WORKING_CONNECTION',
  'TOO_MUCH_QUEUED',
  'PROVIDER_UNREACHABLE',
  'OUTCOME_UNKNOWN',
  'STILL_TRYING',
  'RECORD_BUSY',
  'PROVIDER_TIMEOUT',
  'SHUTTING_DOWN',
]

/** What a call can be refused with that the org answers at once. */
const ofReads: ErrorCode[] = [
  'NOT_FOUND',
  'NO_WORKING_CONNECTION',
  'PROVIDER_UNREACHABLE',
  'INVALID_SESSION_ID',
  'PROVIDER_TIMEOUT',
]

/** What a call can be refused with for what it does, beside what any call of its shape can be. */
const ofCall: Record<string, ErrorCode[]> = {
  getReadiness: ['DATABASE_UNAVAILABLE'],
  write: ofWrites,
  createRecord: ofWrites,
  updateRecord: ofWrites,
  upsertRecord: ofWrites,
  createRecords: ofWrites,
  updateRecords: ofWrites,
  query: ofReads,
  callApi: [...ofReads, 'OUTCOME_UNKNOWN'],
  listObjectOptions: ofReads,
  listExternalIdFieldOptions: ofReads,
  listFieldOptions: ofReads,
  floqerUpsert: [...ofWrites, 'INVALID_SESSION_ID'],
  writeEngagementInteraction: ofWrites,
  promoteOperation: [
    'INVALID_REQUEST',
    'CONFLICT',
    'NO_WORKING_CONNECTION',
    'PROVIDER_UNREACHABLE',
    'OUTCOME_UNKNOWN',
    'STILL_TRYING',
    'RECORD_BUSY',
    'PROVIDER_TIMEOUT',
    'SHUTTING_DOWN',
  ],
  cancelOperation: ['CONFLICT'],
  retryOperation: ['CONFLICT'],
  resolveOperation: ['CONFLICT'],
  // A name that is taken, or a thing that is still in use.
  createProject: ['CONFLICT'],
  updateProject: ['CONFLICT'],
  deleteProject: ['CONFLICT'],
  createIntegration: ['CONFLICT'],
  updateIntegration: ['CONFLICT'],
  deleteIntegration: ['CONFLICT'],
  deleteConnection: ['CONFLICT'],
  createInstallation: ['CONFLICT'],
  createDestination: ['CONFLICT'],
  updateDestination: ['CONFLICT'],
}

/** Codes whose status is another one in some cases. */
const furtherStatuses: Partial<Record<ErrorCode, number[]>> = { OUTCOME_UNKNOWN: [502] }

/** Every code that a call can be refused with. INTERNAL and what the HTTP parser refuses are in its default answer. */
export function codesOf(call: DocumentedCall, method: string, path: string): ErrorCode[] {
  const codes = new Set<ErrorCode>(ofCall[call.operationId ?? ''])
  const isOpen = call.security?.length === 0
  if (!isOpen)
    for (const code of ['UNAUTHENTICATED', 'FORBIDDEN', 'DATABASE_UNAVAILABLE'] as const) codes.add(code)
  if (path.includes('{')) codes.add('NOT_FOUND')
  if (call.parameters?.some((parameter) => parameter.in === 'query') === true) codes.add('INVALID_REQUEST')
  // A call without a body of its own refuses one that cannot be read all the same.
  if (method === 'post' || method === 'patch')
    for (const code of ['INVALID_REQUEST', 'BODY_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE'] as const)
      codes.add(code)
  return [...codes]
}

const statusesOf = (code: ErrorCode): number[] => [statusOf(code), ...(furtherStatuses[code] ?? [])]

const retryAfter = { $ref: '#/components/headers/Retry-After' }
const mayTellWhen: ReadonlySet<string> = new Set(['409', '429', '503'])

/** Adds the refusals of a call to its answers, by status. */
export function addErrors(call: DocumentedCall, codes: readonly ErrorCode[]): void {
  const byStatus = Map.groupBy(
    codes.flatMap((code) => statusesOf(code).map((status) => ({ status: String(status), code }))),
    ({ status }) => status,
  )
  for (const [status, entries] of byStatus) {
    const answer = errorAnswer(
      status,
      entries.map(({ code }) => code),
    )
    const present = call.responses[status]
    call.responses[status] =
      present === undefined
        ? answer
        : {
            ...present,
            headers: { ...answer.headers, ...present.headers },
            content: { ...present.content, ...answer.content },
          }
  }
  const problem = call.responses['default']?.content?.['application/problem+json']
  if (problem !== undefined) problem.examples = pointersTo(anywhere)
  // Statuses in order, `default` last.
  call.responses = Object.fromEntries(
    Object.entries(call.responses).sort(([a], [b]) =>
      a === 'default' ? 1 : b === 'default' ? -1 : a < b ? -1 : 1,
    ),
  )
}

/** What the default answer of every call stands for. */
const anywhere: ErrorCode[] = ['METHOD_NOT_ALLOWED', 'REQUEST_TIMEOUT', 'INTERNAL']

const pointersTo = (codes: ErrorCode[]) =>
  Object.fromEntries(codes.map((code) => [code, { $ref: `#/components/examples/${code}` }]))

function errorAnswer(status: string, codes: ErrorCode[]): Answer {
  const description = codes.map((code) => `\`${code}\`: ${errorCatalogue[code].title}.`).join(' ')
  const schema: Schema = {
    allOf: [
      { $ref: '#/components/schemas/Problem' },
      {
        type: 'object',
        properties: { status: { const: Number(status) }, code: { type: 'string', enum: codes } },
      },
    ],
  }
  // A code that is answered with two statuses has its example in one of them.
  const examples = pointersTo(codes.filter((code) => String(statusOf(code)) === status))
  return {
    description,
    ...(mayTellWhen.has(status) ? { headers: { 'Retry-After': retryAfter } } : {}),
    content: {
      'application/problem+json': { schema, ...(Object.keys(examples).length > 0 ? { examples } : {}) },
    },
  }
}

const REQUEST_ID = '0197a3b2-6b1f-7c52-9a53-0d3f5f2b8c11'
const AT = Date.UTC(2026, 0, 31, 12)

/** What the problems say in examples, where the title does not do. */
const details: Partial<Record<ErrorCode, string>> = {
  INVALID_REQUEST: 'The body has issues; nothing was written.',
  NOT_FOUND: 'There is no project "acme".',
  FORBIDDEN: 'The key lacks the scope write.',
  UNAUTHENTICATED: 'The request carries no API key.',
}
const remedies: Partial<Record<ErrorCode, string>> = {
  INVALID_REQUEST: 'Correct what the issues name and send the request again.',
  NOT_FOUND: 'Check the path and the key.',
  FORBIDDEN: 'Use a key that has it.',
  UNAUTHENTICATED: 'Send a valid key as X-Api-Key or as Authorization: Bearer.',
}

/** One example for each code. */
export function errorExamples(): Record<string, Example> {
  const codes = Object.keys(errorCatalogue) as ErrorCode[]
  return Object.fromEntries(
    codes.map((code) => {
      const { title, retryable } = errorCatalogue[code]
      const remedy = remedies[code]
      const error = new WritebackError(code, details[code] ?? `${title}.`, {
        ...(remedy === undefined ? {} : { remedy }),
        ...(retryable ? { retryAfter: 2 } : {}),
        ...(code === 'INVALID_REQUEST' ? { issues: [{ path: '/groupRef', message: 'is required' }] } : {}),
      })
      return [code, { summary: title, value: problemOf(error, REQUEST_ID, AT) }]
    }),
  )
}

/** Headers that answers share. */
export const sharedHeaders: NonNullable<Document['components']['headers']> = {
  'X-Request-Id': {
    description:
      "The caller's own `X-Request-Id` where it was fit for it, else one of ours: name it to the operator.",
    schema: { type: 'string' },
  },
  'Retry-After': {
    description: 'Seconds after which trying again makes sense.',
    schema: { type: 'integer' },
  },
}
