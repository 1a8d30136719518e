import { describe, expect, it } from 'vitest'
import type { ErrorClass, FailureCause, ProviderError } from '../../src/model/outcome.ts'
import { readAnswer } from '../../src/providers/salesforce/answer.ts'
import { failedCall } from '../../src/providers/salesforce/call-series.ts'
import { classifyRecordErrors, classifyRequestErrors } from '../../src/providers/salesforce/classify.ts'
import { errorTable } from '../../src/providers/salesforce/error-table.ts'

const error = (code: string, message = 'some text'): ProviderError => ({ code, message, fields: [] })

/** The answer to a call with one record. */
const answerOf = (status: number, body: string, type: 'create' | 'update' | 'delete' = 'create') => {
  const contentType = body.startsWith('<') ? 'text/html' : 'application/json'
  return readAnswer(
    { kind: 'answer', status, headers: { 'content-type': contentType }, body },
    { type, records: ['{}'] },
  )
}

/** Facts 7, written down a second time: code, class as an item, class at request level, retries, cause. */
const rows: [
  code: string,
  item: ErrorClass,
  request: ErrorClass,
  maxRetries?: number | undefined,
  cause?: FailureCause,
][] = [
  ['UNABLE_TO_LOCK_ROW', 'transient', 'transient', undefined, 'lock'],
  ['REQUEST_LIMIT_EXCEEDED', 'throttled', 'throttled'],
  ['TOO_MANY_APEX_REQUESTS', 'transient', 'transient'],
  ['INVALID_SESSION_ID', 'auth', 'auth'],
  ['INVALID_AUTH_HEADER', 'permanent', 'permanent'],
  ['SERVER_UNAVAILABLE', 'transient', 'transient'],
  ['QUERY_TIMEOUT', 'transient', 'transient', 3, 'apex_limit'],
  ['INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE', 'transient', 'transient'],
  ['CANNOT_EXECUTE_FLOW_TRIGGER', 'permanent', 'permanent'],
  ['CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY', 'permanent', 'permanent'],
  ['APEX_ERROR', 'permanent', 'permanent'],
  ['LIMIT_EXCEEDED', 'permanent', 'permanent'],
  ['EXCEEDED_QUOTA', 'permanent', 'permanent'],
  ['EXCEEDED_ID_LIMIT', 'permanent', 'permanent'],
  ['STORAGE_LIMIT_EXCEEDED', 'permanent', 'permanent'],
  ['DUPLICATES_DETECTED', 'permanent', 'permanent'],
  ['DUPLICATE_VALUE', 'permanent', 'permanent'],
  ['DUPLICATE_EXTERNAL_ID', 'permanent', 'permanent'],
  ['ALL_OR_NONE_OPERATION_ROLLED_BACK', 'again', 'again'],
  ['PROCESSING_HALTED', 'again', 'again'],
  ['BATCH_PROCESSING_HALTED', 'again', 'again'],
  ['REQUIRED_FIELD_MISSING', 'permanent', 'permanent'],
  ['MISSING_ARGUMENT', 'permanent', 'permanent'],
  ['FIELD_CUSTOM_VALIDATION_EXCEPTION', 'permanent', 'permanent'],
  ['FIELD_FILTER_VALIDATION_EXCEPTION', 'permanent', 'permanent'],
  ['FIELD_INTEGRITY_EXCEPTION', 'permanent', 'permanent'],
  ['INVALID_FIELD', 'permanent', 'permanent'],
  ['INVALID_FIELD_FOR_INSERT_UPDATE', 'permanent', 'permanent'],
  ['INVALID_CROSS_REFERENCE_KEY', 'permanent', 'permanent'],
  ['INVALID_ID_FIELD', 'permanent', 'permanent'],
  ['MALFORMED_ID', 'permanent', 'permanent'],
  ['INVALID_TYPE', 'permanent', 'permanent'],
  ['INVALID_TYPE_ON_FIELD_IN_RECORD', 'permanent', 'permanent'],
  ['JSON_PARSER_ERROR', 'permanent', 'permanent'],
  ['INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST', 'permanent', 'permanent'],
  ['INVALID_EMAIL_ADDRESS', 'permanent', 'permanent'],
  ['STRING_TOO_LONG', 'permanent', 'permanent'],
  ['NUMBER_OUTSIDE_VALID_RANGE', 'permanent', 'permanent'],
  ['ENTITY_IS_DELETED', 'permanent', 'permanent'],
  ['NOT_FOUND', 'permanent', 'permanent'],
  ['ENTITY_IS_LOCKED', 'permanent', 'permanent'],
  ['INSUFFICIENT_ACCESS_OR_READONLY', 'permanent', 'permanent'],
  ['INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY', 'permanent', 'permanent'],
  ['INSUFFICIENT_ACCESS', 'permanent', 'permanent'],
  ['INACTIVE_OWNER_OR_USER', 'permanent', 'permanent'],
  ['CANNOT_UPDATE_CONVERTED_LEAD', 'permanent', 'permanent'],
  ['DELETE_FAILED', 'permanent', 'permanent'],
  ['MIXED_DML_OPERATION', 'permanent', 'permanent'],
  ['TXN_SECURITY_NO_ACCESS', 'permanent', 'permanent'],
  ['TXN_SECURITY_APEX_ERROR', 'permanent', 'permanent'],
  ['TXN_SECURITY_RUNTIME_ERROR', 'permanent', 'permanent'],
  ['TXN_SECURITY_METERING_ERROR', 'transient', 'transient'],
  ['API_DISABLED_FOR_ORG', 'auth', 'auth'],
  ['ORG_LOCKED', 'auth', 'auth'],
  ['TRIAL_EXPIRED', 'auth', 'auth'],
  ['API_CURRENTLY_DISABLED', 'transient', 'transient', 3],
  ['METHOD_NOT_ALLOWED', 'permanent', 'permanent'],
  ['CONFLICT', 'permanent', 'permanent'],
  ['MATCH_PRECONDITION_FAILED', 'permanent', 'permanent'],
  ['MATCH_PRECONDITION_REQUIRED', 'permanent', 'permanent'],
  ['UNKNOWN_EXCEPTION', 'transient', 'ambiguous', 1],
  ['INTERNAL_ERROR', 'transient', 'ambiguous', 1],
]

const verdict = (errorClass: ErrorClass, maxRetries?: number, cause?: FailureCause): object => ({
  errorClass,
  ...(maxRetries === undefined ? {} : { maxRetries }),
  ...(cause === undefined ? {} : { cause }),
})

describe('the error table', () => {
  it.each(rows.map(([code, item, , ...rest]) => [code, item, ...rest] as const))(
    '%s as a record’s error is %s',
    (code, item, maxRetries, cause) => {
      expect(classifyRecordErrors([error(code)], 'create')).toEqual(verdict(item, maxRetries, cause))
    },
  )

  it.each(rows.map(([code, , request, ...rest]) => [code, request, ...rest] as const))(
    '%s as a request’s error is %s, whatever the status says',
    (code, request, maxRetries, cause) => {
      for (const status of [200, 400, 401, 403, 404, 500, 503]) {
        const found = classifyRequestErrors(status, [error(code)], 'create')
        expect(found).toEqual(verdict(request, maxRetries, cause))
      }
    },
  )

  it('OPERATION_ENQUEUED in an item that says success is a success', () => {
    const item = { id: 'e00', success: true, errors: [{ statusCode: 'OPERATION_ENQUEUED', message: 'x' }] }
    expect(answerOf(200, JSON.stringify([item]))).toMatchObject({ records: [{ ok: true }] })
  })

  it('ENTITY_IS_DELETED is a success for a delete, and for nothing else', () => {
    const item = { success: false, errors: [{ statusCode: 'ENTITY_IS_DELETED', message: 'x' }] }
    expect(answerOf(200, JSON.stringify([item]), 'delete')).toMatchObject({ records: [{ ok: true }] })
    expect(answerOf(200, JSON.stringify([item]), 'update')).toMatchObject({ records: [{ ok: false }] })
  })

  it('has no row beyond those named here', () => {
    expect([...errorTable.keys()].sort()).toEqual(rows.map(([code]) => code).sort())
  })
})

describe('what depends on more than the code', () => {
  it('lets an upsert that lost a race for a new key go once more, but no create', () => {
    const clash = error(
      'DUPLICATE_VALUE',
      'duplicate value found: Key__c duplicates value on record with id: 003',
    )
    expect(classifyRecordErrors([clash], 'upsert')).toEqual({ errorClass: 'transient', maxRetries: 1 })
    expect(classifyRecordErrors([clash], 'create')).toEqual({ errorClass: 'permanent' })
    expect(classifyRecordErrors([clash], 'update')).toEqual({ errorClass: 'permanent' })
  })

  it.each([
    [
      'CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY',
      'T: execution of AfterInsert caused by: UNABLE_TO_LOCK_ROW',
      undefined,
      'lock',
    ],
    [
      'CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY',
      'unable to obtain exclusive access to this record',
      undefined,
      'lock',
    ],
    [
      'CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY',
      'T: System.LimitException: Apex CPU time limit exceeded',
      3,
      'apex_limit',
    ],
    ['CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY', 'T: Too many SOQL queries: 101', 3, 'apex_limit'],
    ['CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY', 'T: Too many DML statements: 151', 3, 'apex_limit'],
    ['CANNOT_EXECUTE_FLOW_TRIGGER', 'UNABLE_TO_LOCK_ROW: unable to obtain exclusive access', 1, 'lock'],
    ['CANNOT_EXECUTE_FLOW_TRIGGER', 'Apex CPU time limit exceeded', 1, 'apex_limit'],
    ['APEX_ERROR', 'System.LimitException: Too many query rows: 50001', 3, 'apex_limit'],
    ['APEX_ERROR', 'deadlock detected', undefined, 'lock'],
    ['UNABLE_TO_LOCK_ROW', 'unable to obtain exclusive access to this record', undefined, 'lock'],
    [
      'ANYTHING',
      'Too many batch retries in the presence of Apex triggers and partial failures.',
      3,
      'apex_limit',
    ],
  ] as const)('%s with the text "%s" can succeed later', (code, message, maxRetries, cause) => {
    const expected = verdict('transient', maxRetries, cause)
    expect(classifyRecordErrors([error(code, message)], 'create')).toEqual(expected)
    expect(classifyRequestErrors(400, [error(code, message)], 'create')).toEqual(expected)
  })

  it.each([
    ['CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY', 'T: System.NullPointerException'],
    ['CANNOT_EXECUTE_FLOW_TRIGGER', 'The flow failed to look up an Account'],
    ['FIELD_CUSTOM_VALIDATION_EXCEPTION', 'UNABLE_TO_LOCK_ROW is what the administrator wrote here'],
  ])('%s with the text "%s" stays permanent', (code, message) => {
    expect(classifyRecordErrors([error(code, message)], 'create')).toEqual({ errorClass: 'permanent' })
  })
})

describe('codes that are not listed', () => {
  it('are permanent as an item', () => {
    expect(classifyRecordErrors([error('BRAND_NEW')], 'create')).toEqual({ errorClass: 'permanent' })
    expect(classifyRecordErrors([], 'create')).toEqual({ errorClass: 'permanent' })
  })

  it.each<[number, ErrorClass]>([
    [400, 'permanent'],
    [401, 'auth'],
    [403, 'permanent'],
    [404, 'permanent'],
    [405, 'permanent'],
    [408, 'ambiguous'],
    [409, 'permanent'],
    [410, 'permanent'],
    [414, 'permanent'],
    [415, 'permanent'],
    [420, 'transient'],
    [429, 'throttled'],
    [431, 'permanent'],
    [500, 'ambiguous'],
    [502, 'ambiguous'],
    [503, 'ambiguous'],
    [504, 'ambiguous'],
    [200, 'ambiguous'],
  ])('go by the status at request level: %i is %s', (status, errorClass) => {
    expect(classifyRequestErrors(status, [error('BRAND_NEW')], 'create')).toEqual({ errorClass })
    expect(classifyRequestErrors(status, [], 'create')).toEqual({ errorClass })
  })
})

describe('several errors at once', () => {
  it('is permanent for a record as soon as one of them is', () => {
    const errors = [error('UNABLE_TO_LOCK_ROW'), error('STRING_TOO_LONG')]
    expect(classifyRecordErrors(errors, 'create')).toEqual({ errorClass: 'permanent' })
  })

  it('allows the fewest retries among those of the class that decides', () => {
    const errors = [error('QUERY_TIMEOUT'), error('UNKNOWN_EXCEPTION'), error('UNABLE_TO_LOCK_ROW')]
    expect(classifyRecordErrors(errors, 'create')).toMatchObject({ errorClass: 'transient', maxRetries: 1 })
  })

  it('keeps the cause of what decides, and of nothing else', () => {
    const errors = [error('UNKNOWN_EXCEPTION'), error('UNABLE_TO_LOCK_ROW')]
    expect(classifyRecordErrors(errors, 'create')).toEqual({
      errorClass: 'transient',
      maxRetries: 1,
      cause: 'lock',
    })
    expect(classifyRecordErrors([...errors, error('STRING_TOO_LONG')], 'create')).not.toHaveProperty('cause')
  })

  it('believes a request-level word about the session or a limit before anything else', () => {
    const errors = [error('INVALID_FIELD'), error('INVALID_SESSION_ID')]
    expect(classifyRequestErrors(401, errors, 'create')).toEqual({ errorClass: 'auth' })
  })
})

describe('what went wrong on the way (facts 7.1)', () => {
  const failure = (code: string, sent: boolean, status: number | null = null) =>
    failedCall({ kind: 'failure', sent, status, code, message: 'why' })

  it.each([
    'ENOTFOUND',
    'EAI_AGAIN',
    'ECONNREFUSED',
    'UND_ERR_CONNECT_TIMEOUT',
    'ERR_TLS_CERT_ALTNAME_INVALID',
  ])('%s before the request left: not sent', (code) => {
    expect(failure(code, false)).toMatchObject({ kind: 'not_sent', error: { code } })
  })

  it.each(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET', 'ETIMEDOUT', 'TIMEOUT', 'ABORTED'])(
    '%s after it left: lost',
    (code) => {
      expect(failure(code, true)).toMatchObject({ kind: 'lost', status: null, error: { code } })
    },
  )

  it('an answer cut off after its head: lost, with its status', () => {
    expect(failure('UND_ERR_SOCKET', true, 200)).toMatchObject({ kind: 'lost', status: 200 })
  })

  it.each([
    [500, ''],
    [502, ''],
    [503, ''],
    [504, ''],
    [500, '<html></html>'],
    [502, '<html></html>'],
    [503, '<html></html>'],
    [504, '<html></html>'],
    [200, '<html></html>'],
  ])('%i with the body "%s": lost', (status, body) => {
    expect(answerOf(status, body)).toMatchObject({ kind: 'lost', status })
  })

  it('a page under 302: the connection’s fault', () => {
    expect(answerOf(302, '<html></html>')).toMatchObject({ kind: 'refused', errorClass: 'auth' })
  })

  it('503 with a body of Salesforce’s own: nothing ran', () => {
    const body = JSON.stringify([{ errorCode: 'SERVER_UNAVAILABLE', message: 'why' }])
    expect(answerOf(503, body)).toMatchObject({ kind: 'refused', errorClass: 'transient' })
  })
})
