import type { RecordsAnswer } from '../../contract/records.ts'
import type { Issue, WritebackError } from '../../kernel/errors.ts'
import type { NowOutcome, NowRecord } from '../../model/now-outcome.ts'
import type { ProviderError } from '../../model/outcome.ts'
import { normaliseRecordId } from '../../model/salesforce-id.ts'
import type { Answer, AnswerShape } from '../ampersand/keyed-write.ts'
import { toAnswer, type AnsweredOperation } from '../ampersand/write-answer.ts'
import { statusOf } from '../error-handler.ts'
import { echoOf, errorsOf, isObject, placed } from './scripts.ts'

type Result = RecordsAnswer['records'][number]

/** The request's own values that its answer repeats. */
const echoed = ['orgId', 'roomId', 'origin', 'storedProcedure', 'method', 'type'] as const

/** How the records call answers (contract section 8): one envelope, whatever came of it. */
export const recordsShape = (body: unknown): Required<AnswerShape> => ({
  ofOutcome: (operation, outcome) => ({ status: 200, body: outcomeOf(body, operation, outcome) }),
  ofError: (error) => errorAnswer(body, error),
})

function envelope(body: unknown, part: Omit<RecordsAnswer, (typeof echoed)[number]>): RecordsAnswer {
  const { success, message, errors, ...rest } = part
  return { success, message, errors, ...echoOf(body, echoed), ...rest }
}

const recordsOf = (body: unknown): unknown[] => {
  const records = isObject(body) ? body.records : undefined
  return Array.isArray(records) ? (records as unknown[]) : []
}

/**
 * What came of each record.
 *
 * @throws {WritebackError} when the call ended without an outcome, as the write call does
 */
function outcomeOf(body: unknown, operation: AnsweredOperation, outcome: NowOutcome): RecordsAnswer {
  toAnswer(operation, outcome)
  const records = outcome.kind === 'ended' ? outcome.records : []
  const failures = records.flatMap((record, index) => (record.ok ? [] : [{ record, index }]))
  const { operationId } = operation
  return envelope(body, {
    success: failures.length === 0,
    message: summaryOf(failures.length, records.length),
    errors: failures.flatMap(({ record, index }) =>
      record.errors.map((error) => `/records/${index} ${sentenceOf(error)}`),
    ),
    records: recordsOf(body).map((given, index) =>
      resultOf(given, records[index] ?? { ok: false, errors: [] }, operation.namedId(index)),
    ),
    operationId,
  })
}

function summaryOf(failed: number, all: number): string | null {
  if (failed === 0) return null
  if (all === 1) return 'The record was not written.'
  return failed === all
    ? `None of the ${all} records was written.`
    : `${failed} of the ${all} records failed.`
}

const sentenceOf = ({ code, message }: ProviderError): string => `${code}: ${message}`

/** @param namedId the id by which an update named its record */
function resultOf(given: unknown, record: NowRecord, namedId: string | null): Result {
  const own = isObject(given) ? given : {}
  if (!record.ok) {
    const message = record.errors.map((one) => one.message).join('; ')
    const errors = record.errors.map(({ code, message: text, fields }) => ({ code, message: text, fields }))
    return { ...own, success: false, message: message === '' ? 'was not written' : message, errors }
  }
  const id = record.recordId ?? namedId
  return {
    ...own,
    ...(id !== null && { id }),
    success: true,
    message: otherRecord(own.id, id),
  }
}

/** An upsert may have found another record by its key than the one that the caller's id names. */
function otherRecord(named: unknown, written: string | null): string | null {
  const meant = typeof named === 'string' ? normaliseRecordId(named) : null
  if (meant === null || written === null || meant === written) return null
  return `was written to the record that its key names, which is not ${meant}`
}

/** The envelope of a call that was refused or ended without an outcome. */
export function errorAnswer(body: unknown, error: WritebackError): Answer {
  const { issues, operationId, code, message } = error
  const ofRecords = Map.groupBy(issues ?? [], ({ path }) => /^\/records\/\d+(?=\/|$)/.exec(path)?.[0])
  return {
    status: error.status ?? statusOf(code),
    body: envelope(body, {
      success: false,
      message,
      errors: errorsOf(error),
      records: recordsOf(body).map((given, index) => {
        const base = `/records/${index}`
        return refused(given, base, ofRecords.get(base) ?? [], message)
      }),
      ...(operationId !== undefined && { operationId }),
      code,
    }),
  }
}

/** @param whole why the call as a whole has no outcome: that of a record without issues of its own, too */
function refused(given: unknown, base: string, issues: readonly Issue[], whole: string): Result {
  const messages = issues.map(({ path, message }) => placed({ path: path.slice(base.length + 1), message }))
  return {
    ...(isObject(given) ? given : {}),
    success: false,
    message: messages.length === 0 ? whole : messages.join('; '),
  }
}
