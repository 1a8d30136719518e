import { describe, expect, it } from 'vitest'
import type { ErrorClass, ProviderError } from '../../src/model/outcome.ts'
import { classifyRecordErrors, classifyRequestErrors } from '../../src/providers/salesforce/classify.ts'
import { errorTable } from '../../src/providers/salesforce/error-table.ts'

const error = (code: string, message = 'some text'): ProviderError => ({ code, message, fields: [] })

/** Facts 7, written down a second time: code, class as an item, class at request level, retries. */
const rows: [code: string, item: ErrorClass, request: ErrorClass, maxRetries?: number][] = [
  ['UNABLE_TO_LOCK_ROW', 'transient', 'transient'],
  ['REQUEST_LIMIT_EXCEEDED', 'throttled', 'throttled'],
  ['TOO_MANY_APEX_REQUESTS', 'transient', 'transient'],
  ['INVALID_SESSION_ID', 'auth', 'auth'],
  ['INVALID_AUTH_HEADER', 'permanent', 'permanent'],
  ['SERVER_UNAVAILABLE', 'transient', 'transient'],
  ['QUERY_TIMEOUT', 'transient', 'transient', 3],
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

const verdict = (errorClass: ErrorClass, maxRetries?: number): object =>
  maxRetries === undefined ? { errorClass } : { errorClass, maxRetries }

describe('the error table', () => {
  it.each(rows)('%s is %s as an item and %s at request level', (code, item, request, maxRetries) => {
    expect(classifyRecordErrors([error(code)], 'create')).toEqual(verdict(item, maxRetries))
    // The code decides, whatever the status says.
    for (const status of [200, 400, 401, 403, 500, 503]) {
      expect(classifyRequestErrors(status, [error(code)], 'create')).toEqual(verdict(request, maxRetries))
    }
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
    ],
    ['CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY', 'unable to obtain exclusive access to this record', undefined],
    ['CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY', 'T: System.LimitException: Apex CPU time limit exceeded', 3],
    ['CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY', 'T: Too many SOQL queries: 101', 3],
    ['CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY', 'T: Too many DML statements: 151', 3],
    ['CANNOT_EXECUTE_FLOW_TRIGGER', 'UNABLE_TO_LOCK_ROW: unable to obtain exclusive access', 1],
    ['CANNOT_EXECUTE_FLOW_TRIGGER', 'Apex CPU time limit exceeded', 1],
    ['APEX_ERROR', 'System.LimitException: Too many query rows: 50001', 3],
    ['UNABLE_TO_LOCK_ROW', 'unable to obtain exclusive access to this record', undefined],
    ['ANYTHING', 'Too many batch retries in the presence of Apex triggers and partial failures.', 3],
  ])('%s with the text "%s" can succeed later', (code, message, maxRetries) => {
    const expected = verdict('transient', maxRetries)
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
    expect(classifyRecordErrors(errors, 'create')).toEqual({ errorClass: 'transient', maxRetries: 1 })
  })

  it('believes a request-level word about the session or a limit before anything else', () => {
    const errors = [error('INVALID_FIELD'), error('INVALID_SESSION_ID')]
    expect(classifyRequestErrors(401, errors, 'create')).toEqual({ errorClass: 'auth' })
  })
})
