import type { FastifyReply } from 'fastify'
import type { BatchAnswer, WriteAnswer, WriteFailed, WriteSucceeded } from '../../contract/write-answers.ts'
import { WritebackError } from '../../kernel/errors.ts'
import type { NowOutcome, NowRecord } from '../../model/now-outcome.ts'
import type { ProviderError } from '../../model/outcome.ts'
import { operationIdOf, type Submission } from '../../ingest/accept.ts'

/** Tells the caller when nothing is recorded of what it is answered (contract section 5). */
export function markUnrecorded(reply: FastifyReply, outcome: Pick<NowOutcome, 'unrecorded'>): void {
  if (outcome.unrecorded === true) reply.header('writeback-recorded', 'false')
}

/** A problem's texts: what was wrong, and what to do. */
type Sentences = [detail: string, remedy: string]

const LOOK_UP_FIRST =
  'Nothing of the call is recorded: look the records up at the provider before sending the write again.'

const LOOK_IT_UP =
  'Look the records up at the provider; the operation stays in doubt until it is settled by :retry or :resolve.'

/** A provider's or a transport's own words as the end of a sentence. */
const because = (reason: string): string => (reason === '' ? '.' : `: ${reason.replace(/\.$/, '')}.`)

/** What an answer has to know of its operation. */
export interface AnsweredOperation {
  operationId: string
  isBatch: boolean
  /** The id by which an update or a delete named its record, by the caller's positions; null for any other write. */
  namedId: (index: number) => string | null
}

/** The same of a submission. */
export const answeredBy = (submission: Submission): AnsweredOperation => ({
  operationId: operationIdOf(submission),
  isBatch: submission.operation !== null,
  namedId: (index) => {
    const { type } = submission.lane
    const text = submission.writes[index]?.record
    if ((type !== 'update' && type !== 'delete') || text === undefined) return null
    return (JSON.parse(text) as { id: string }).id
  },
})

/**
 * What a synchronous call answers (contract section 5): 200 when a record was written, 422 when none was.
 *
 * @throws {WritebackError} OUTCOME_UNKNOWN, STILL_TRYING, RECORD_BUSY, PROVIDER_TIMEOUT or
 *   PROVIDER_UNREACHABLE, with the operation's id, when it ended without an outcome
 */
export function toAnswer(
  operation: AnsweredOperation,
  outcome: NowOutcome,
): { status: 200 | 422; body: WriteAnswer } {
  const { operationId } = operation
  const fail = (code: WritebackError['code'], [detail, remedy]: Sentences, status?: number): never => {
    throw new WritebackError(code, detail, {
      remedy,
      operationId,
      ...(status === undefined ? {} : { status }),
    })
  }
  switch (outcome.kind) {
    case 'ended':
      return operation.isBatch
        ? batchAnswer(operation, outcome.records)
        : singleAnswer(operation, outcome.records)
    case 'unknown': {
      const detail = `The answer was lost, so it is not known what was written${because(outcome.reason)}`
      const remedy = outcome.unrecorded === true ? LOOK_UP_FIRST : LOOK_IT_UP
      return fail('OUTCOME_UNKNOWN', [detail, remedy], outcome.because === 'cut_off' ? 502 : 504)
    }
    case 'still_trying':
      return fail('STILL_TRYING', [
        `The time of the call is up; the queue goes on with the write${because(outcome.reason)}`,
        'Follow the operation; sending the write again would write it twice.',
      ])
    case 'given_up':
      return fail('PROVIDER_TIMEOUT', [
        `The time of the call is up, and with the database away nothing goes on with the write, which may have been made${because(outcome.reason)}`,
        'Send the write again: of its kind, once more does no harm.',
      ])
    case 'record_busy':
      return fail('RECORD_BUSY', [
        'Waiting for an earlier write to the same record took all the time; nothing was sent.',
        'Send the write again, or send it asynchronously to have it wait.',
      ])
    case 'unreachable':
      return fail('PROVIDER_UNREACHABLE', [
        `The provider was never reached; nothing was written${because(outcome.reason)}`,
        'Send the write again a little later.',
      ])
  }
}

/** How the write call answers (contract section 5). */
export const writeShape = { ofOutcome: toAnswer }

function singleAnswer(
  operation: AnsweredOperation,
  [record]: NowRecord[],
): { status: 200 | 422; body: WriteSucceeded | WriteFailed } {
  const { operationId } = operation
  if (record === undefined) throw new Error('a write that has ended has no outcome')
  if (record.ok) {
    const result = { success: true as const, ...recordIdOf(operation, 0, record), data: dataOf(record) }
    return { status: 200, body: { operationId, result } }
  }
  return {
    status: 422,
    body: {
      operationId,
      errors: record.errors.map(toError),
      result: { success: false },
      ...(record.raw === undefined ? {} : { rawResponse: record.raw }),
    },
  }
}

function batchAnswer(
  operation: AnsweredOperation,
  records: NowRecord[],
): { status: 200 | 422; body: BatchAnswer } {
  const results = records.map((record, index) =>
    record.ok
      ? { success: true, ...recordIdOf(operation, index, record), data: dataOf(record) }
      : { success: false, data: { errors: record.errors.map(toError) } },
  )
  const errors = records.flatMap((record) => (record.ok ? [] : record.errors.map(toError)))
  const successCount = records.filter((record) => record.ok).length
  const failureCount = records.length - successCount
  return {
    status: successCount === 0 ? 422 : 200,
    body: {
      operationId: operation.operationId,
      results,
      successCount,
      failureCount,
      ...(failureCount === 0 ? {} : { errors }),
    },
  }
}

type Written = NowRecord & { ok: true }

/** The provider's own result; where it has none, an answer without a body, what is known of it. */
const dataOf = ({ data, created }: Written): unknown => data ?? (created === null ? {} : { created })

/** Where the provider does not repeat the id of an update or a delete, it is the one that was asked for. */
function recordIdOf(
  operation: AnsweredOperation,
  index: number,
  { recordId }: Written,
): { recordId?: string } {
  const id = recordId ?? operation.namedId(index)
  return id === null ? {} : { recordId: id }
}

/** Named key by key, so that nothing else slips into the answer. */
const toError = ({ message, code, fields }: ProviderError) => ({ message, code, fields })
