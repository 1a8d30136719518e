import { BY_HAND } from '../kernel/telemetry.ts'

/**
 * What a failed write's code says in a word an operator can act on. A fixed list: codes are the provider's, and
 * a label must not grow with them.
 */
export type CodeClass =
  | 'validation'
  | 'duplicate'
  | 'not_found'
  | 'permission'
  | 'lock'
  | 'limit'
  | 'connection'
  | 'unreachable'
  | 'rolled_back'
  | 'business_state'
  | 'cancelled'
  | 'by_hand'
  | 'other'

/** The codes of each class, Salesforce's (facts 7) and the service's own. */
const codes: Record<Exclude<CodeClass, 'other'>, string[]> = {
  validation: [
    'REQUIRED_FIELD_MISSING',
    'MISSING_ARGUMENT',
    'FIELD_CUSTOM_VALIDATION_EXCEPTION',
    'FIELD_FILTER_VALIDATION_EXCEPTION',
    'FIELD_INTEGRITY_EXCEPTION',
    'INVALID_FIELD',
    'INVALID_FIELD_FOR_INSERT_UPDATE',
    'INVALID_ID_FIELD',
    'MALFORMED_ID',
    'INVALID_TYPE',
    'INVALID_TYPE_ON_FIELD_IN_RECORD',
    'JSON_PARSER_ERROR',
    'INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST',
    'INVALID_EMAIL_ADDRESS',
    'STRING_TOO_LONG',
    'NUMBER_OUTSIDE_VALID_RANGE',
    'INVALID_GROUP',
  ],
  duplicate: ['DUPLICATES_DETECTED', 'DUPLICATE_VALUE', 'DUPLICATE_EXTERNAL_ID'],
  not_found: ['NOT_FOUND', 'ENTITY_IS_DELETED', 'INVALID_CROSS_REFERENCE_KEY'],
  permission: [
    'INSUFFICIENT_ACCESS_OR_READONLY',
    'INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY',
    'INSUFFICIENT_ACCESS',
    'TXN_SECURITY_NO_ACCESS',
    'TXN_SECURITY_APEX_ERROR',
    'TXN_SECURITY_RUNTIME_ERROR',
    'CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY',
  ],
  lock: ['UNABLE_TO_LOCK_ROW', 'ENTITY_IS_LOCKED', 'RECORD_BUSY'],
  limit: [
    'REQUEST_LIMIT_EXCEEDED',
    'API_BUDGET_USED_UP',
    'TOO_MANY_APEX_REQUESTS',
    'QUERY_TIMEOUT',
    'LIMIT_EXCEEDED',
    'EXCEEDED_QUOTA',
    'EXCEEDED_ID_LIMIT',
    'STORAGE_LIMIT_EXCEEDED',
    'TXN_SECURITY_METERING_ERROR',
  ],
  connection: [
    'NO_WORKING_CONNECTION',
    'INVALID_SESSION_ID',
    'API_DISABLED_FOR_ORG',
    'API_CURRENTLY_DISABLED',
    'ORG_LOCKED',
    'TRIAL_EXPIRED',
    'INVALID_AUTH_HEADER',
    'HOST_NOT_ALLOWED',
  ],
  unreachable: [
    'PROVIDER_UNREACHABLE',
    'SERVER_UNAVAILABLE',
    'INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE',
    'DATABASE_UNAVAILABLE',
    'TIMEOUT',
    'ECONNREFUSED',
    'ECONNRESET',
    'ENOTFOUND',
    'ETIMEDOUT',
    'UND_ERR_CONNECT_TIMEOUT',
    'UND_ERR_SOCKET',
    'UNKNOWN_EXCEPTION',
    'INTERNAL_ERROR',
  ],
  rolled_back: ['ALL_OR_NONE_OPERATION_ROLLED_BACK', 'PROCESSING_HALTED', 'BATCH_PROCESSING_HALTED'],
  business_state: [
    'INACTIVE_OWNER_OR_USER',
    'CANNOT_UPDATE_CONVERTED_LEAD',
    'DELETE_FAILED',
    'MIXED_DML_OPERATION',
    'CANNOT_EXECUTE_FLOW_TRIGGER',
    'APEX_ERROR',
  ],
  cancelled: ['INSTALLATION_DELETED', 'CANCELLED'],
  by_hand: [BY_HAND],
}

const classes: ReadonlyMap<string, CodeClass> = new Map(
  Object.entries(codes).flatMap(([name, of]) => of.map((code) => [code, name as CodeClass])),
)

/** The class of a code; `other` for any that is not known. */
export const classOf = (code: string): CodeClass => classes.get(code) ?? 'other'
