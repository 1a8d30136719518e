import type { ErrorClass, FailureCause } from '../../model/outcome.ts'

/** What is known of one Salesforce error code. */
export interface ErrorRow {
  /** Class as an item of a per-record answer (`statusCode`): only a part of the request failed. */
  item: ErrorClass
  /** Class at request level (`errorCode`): the request as a whole failed. */
  request: ErrorClass
  /** How often it may be sent again; unset leaves it to the deadline. */
  maxRetries?: number
  /** What lies behind it, where the code alone tells. */
  cause?: FailureCause
  /**
   * The code covers several causes and the text tells which: a lock or a limit inside it makes the row
   * `transient`. The number bounds the retries after a lock; `null` leaves them to the deadline.
   */
  textHides?: { lockRetries: number | null }
  /** Why it has this class. */
  reason: string
}

/** Retries after an Apex limit: the same records in the same transaction may well hit it again. */
export const LIMIT_TEXT_RETRIES = 3

const both = (errorClass: ErrorClass, reason: string, extra: Partial<ErrorRow> = {}): ErrorRow => ({
  item: errorClass,
  request: errorClass,
  reason,
  ...extra,
})
const permanent = (reason: string, extra: Partial<ErrorRow> = {}): ErrorRow =>
  both('permanent', reason, extra)
const transient = (reason: string, extra: Partial<ErrorRow> = {}): ErrorRow =>
  both('transient', reason, extra)

/**
 * Every code of facts 7 with its class. Where the facts say "permanent for the connection" the class is
 * `auth`: the write is innocent, so it waits while the connection is refreshed once and then marked broken.
 */
export const errorTable: ReadonlyMap<string, ErrorRow> = new Map(
  Object.entries({
    UNABLE_TO_LOCK_ROW: transient('another save holds the record or its parent', { cause: 'lock' }),
    REQUEST_LIMIT_EXCEEDED: both('throttled', 'one of three limits of the org; the message tells which'),
    TOO_MANY_APEX_REQUESTS: transient('too much Apex runs at once; passes after a short wait'),
    QUERY_TIMEOUT: transient('a query in the processing took too long; fewer records make it shorter', {
      maxRetries: 3,
      cause: 'apex_limit',
    }),
    SERVER_UNAVAILABLE: transient('overloaded, and it said so itself, so nothing ran'),
    INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE: transient('read-only window of minutes'),
    TXN_SECURITY_METERING_ERROR: transient('evaluating the security policy took too long'),
    API_CURRENTLY_DISABLED: transient('a system problem, or the user lacks API permission', {
      maxRetries: 3,
    }),

    INVALID_SESSION_ID: both('auth', 'session expired or invalid; the write was not executed'),
    API_DISABLED_FOR_ORG: both('auth', 'the org cannot use the API: the connection is at fault'),
    ORG_LOCKED: both('auth', 'the org is locked: the connection is at fault'),
    TRIAL_EXPIRED: both('auth', 'the trial is over: the connection is at fault'),
    INVALID_AUTH_HEADER: permanent('malformed Authorization header, a bug'),

    ALL_OR_NONE_OPERATION_ROLLED_BACK: both('again', 'another record of the group failed'),
    PROCESSING_HALTED: both('again', 'another operation of the transaction failed'),
    BATCH_PROCESSING_HALTED: both('again', 'another operation of the batch failed'),

    UNKNOWN_EXCEPTION: {
      item: 'transient',
      request: 'ambiguous',
      maxRetries: 1,
      reason: 'platform fault: an item was not written, a whole request may have been',
    },
    INTERNAL_ERROR: {
      item: 'transient',
      request: 'ambiguous',
      maxRetries: 1,
      reason: 'platform fault: an item was not written, a whole request may have been',
    },

    CANNOT_EXECUTE_FLOW_TRIGGER: permanent('a flow failed; its text tells why', {
      textHides: { lockRetries: 1 },
    }),
    CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY: permanent('no permission, or any exception of a trigger', {
      textHides: { lockRetries: null },
    }),
    APEX_ERROR: permanent('uncaught exception in custom code; rolled back', {
      textHides: { lockRetries: null },
    }),

    LIMIT_EXCEEDED: permanent('a quota of the org, until an administrator acts'),
    EXCEEDED_QUOTA: permanent('a quota of the platform, until an administrator acts'),
    EXCEEDED_ID_LIMIT: permanent('more than 200 records in one call, a bug'),
    STORAGE_LIMIT_EXCEEDED: permanent('data storage is full, until an administrator acts'),

    DUPLICATES_DETECTED: permanent('a duplicate rule matched; needs allowSave or a human'),
    DUPLICATE_VALUE: permanent('a unique field clashes'),
    DUPLICATE_EXTERNAL_ID: permanent('the external id matches more than one record'),

    REQUIRED_FIELD_MISSING: permanent('a required field is missing'),
    MISSING_ARGUMENT: permanent('for example an update without an id'),
    FIELD_CUSTOM_VALIDATION_EXCEPTION: permanent('a validation rule; the text is the administrator’s'),
    FIELD_FILTER_VALIDATION_EXCEPTION: permanent('a lookup filter'),
    FIELD_INTEGRITY_EXCEPTION: permanent('fields do not fit together'),
    INVALID_FIELD: permanent('the field is unknown or hidden'),
    INVALID_FIELD_FOR_INSERT_UPDATE: permanent('the field cannot be written'),
    INVALID_CROSS_REFERENCE_KEY: permanent('the referenced record is invalid or invisible'),
    INVALID_ID_FIELD: permanent('the id field cannot be used'),
    MALFORMED_ID: permanent('not an id, or of another object'),
    INVALID_TYPE: permanent('the object is unknown or invisible'),
    INVALID_TYPE_ON_FIELD_IN_RECORD: permanent('wrong JSON type for the field'),
    JSON_PARSER_ERROR: permanent('bad JSON, or a value that does not fit its field; nothing was written'),
    INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST: permanent('not a value of the picklist'),
    INVALID_EMAIL_ADDRESS: permanent('not an e-mail address'),
    STRING_TOO_LONG: permanent('the text is too long for the field'),
    NUMBER_OUTSIDE_VALID_RANGE: permanent('the number does not fit the field'),

    ENTITY_IS_DELETED: permanent('the record is in the recycle bin'),
    NOT_FOUND: permanent('no such record or resource'),
    ENTITY_IS_LOCKED: permanent('locked by an approval process for hours to days'),
    INACTIVE_OWNER_OR_USER: permanent('state of the business data'),
    CANNOT_UPDATE_CONVERTED_LEAD: permanent('state of the business data'),
    DELETE_FAILED: permanent('state of the business data'),
    MIXED_DML_OPERATION: permanent('setup and other objects in one transaction'),

    INSUFFICIENT_ACCESS_OR_READONLY: permanent('no right to edit the record'),
    INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY: permanent('no right on a related record'),
    INSUFFICIENT_ACCESS: permanent('no right on a related record'),
    TXN_SECURITY_NO_ACCESS: permanent('blocked by a transaction security policy'),
    TXN_SECURITY_APEX_ERROR: permanent('a transaction security policy crashed'),
    TXN_SECURITY_RUNTIME_ERROR: permanent('a transaction security policy crashed'),

    METHOD_NOT_ALLOWED: permanent('wrong verb, a bug'),
    CONFLICT: permanent('a conditional header does not hold'),
    MATCH_PRECONDITION_FAILED: permanent('a conditional header does not hold'),
    MATCH_PRECONDITION_REQUIRED: permanent('a conditional header is missing'),
  } satisfies Record<string, ErrorRow>),
)
