import type { RecordError } from './api-error.ts'
import type { FieldDefinition, FieldValue } from './schema.ts'

/** Stands for a JSON value that cannot be of the field's type at all. */
export const badType = Symbol('bad type')

const datePattern = /^(\d{4})-(\d{2})-(\d{2})$/
const dateTimePattern = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})$/
const emailPattern = /^[^\s@,;<>()[\]"]+@[^\s@,;<>()[\]"]+\.[^\s@,;<>()[\].]{2,}$/

/**
 * A JSON value as the field keeps it, or {@link badType}. What is wrong with a value of the right
 * type is added to `errors`; the value returned is then of no use. References are not looked up here.
 */
export function coerce(
  field: FieldDefinition,
  raw: unknown,
  errors: RecordError[],
): FieldValue | typeof badType {
  if (raw === null || raw === undefined) return field.type === 'boolean' ? false : null
  switch (field.type) {
    case 'boolean':
      return coerceBoolean(raw)
    case 'int':
    case 'double':
    case 'currency':
    case 'percent':
      return coerceNumber(field, raw, errors)
    case 'date':
      return typeof raw === 'string' && isDate(raw) ? raw : badType
    case 'datetime':
      return coerceDateTime(raw)
    default:
      return coerceText(field, raw, errors)
  }
}

function coerceBoolean(raw: unknown): FieldValue | typeof badType {
  if (typeof raw === 'boolean') return raw
  if (raw === 'true') return true
  return raw === 'false' ? false : badType
}

function coerceNumber(
  field: FieldDefinition,
  raw: unknown,
  errors: RecordError[],
): FieldValue | typeof badType {
  const text = typeof raw === 'string' && raw.trim() !== ''
  const value = typeof raw === 'number' ? raw : text ? Number(raw) : Number.NaN
  if (!Number.isFinite(value)) return badType
  if (field.type === 'int' && !Number.isInteger(value)) return badType
  if (Math.abs(value) >= 10 ** (field.precision - field.scale)) {
    errors.push({
      statusCode: 'NUMBER_OUTSIDE_VALID_RANGE',
      message: `${field.label}: value outside of valid range on numeric field: ${value}`,
      fields: [field.name],
    })
  }
  const factor = 10 ** field.scale
  return Math.round(value * factor) / factor
}

function isDate(text: string): boolean {
  const parts = datePattern.exec(text)
  if (!parts) return false
  const time = new Date(`${text}T00:00:00Z`)
  // JavaScript rolls 30 February over into March; the org does not.
  return !Number.isNaN(time.getTime()) && time.getUTCDate() === Number(parts[3])
}

function coerceDateTime(raw: unknown): FieldValue | typeof badType {
  if (typeof raw !== 'string' || !dateTimePattern.test(raw) || !isDate(raw.slice(0, 10))) return badType
  const time = new Date(raw.replace(/([+-]\d{2})(\d{2})$/, '$1:$2'))
  return Number.isNaN(time.getTime()) ? badType : renderDateTime(time.getTime())
}

/** A time as answers show it. */
export const renderDateTime = (ms: number): string => new Date(ms).toISOString().replace('Z', '+0000')

function coerceText(
  field: FieldDefinition,
  raw: unknown,
  errors: RecordError[],
): FieldValue | typeof badType {
  if (typeof raw === 'object') return badType
  const value = typeof raw === 'string' ? raw : JSON.stringify(raw)
  if (value === '') return null
  if (field.type === 'reference') return value
  const problem = textProblem(field, value)
  if (problem) errors.push({ ...problem, fields: [field.name] })
  return value
}

function textProblem(field: FieldDefinition, value: string): Omit<RecordError, 'fields'> | undefined {
  if (field.restrictedPicklist && !field.picklistValues.includes(value)) {
    return {
      statusCode: 'INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST',
      message: `${field.label}: bad value for restricted picklist field: ${value}`,
    }
  }
  if (value.length > field.length) {
    const shown = value.length > 255 ? `${value.slice(0, 252)}...` : value
    return {
      statusCode: 'STRING_TOO_LONG',
      message: `${field.label}: data value too large: ${shown} (max length=${field.length})`,
    }
  }
  if (field.type === 'email' && !emailPattern.test(value)) {
    return { statusCode: 'INVALID_EMAIL_ADDRESS', message: `${field.label}: invalid email address: ${value}` }
  }
  return undefined
}

/** The name of a JSON value's first token, as the platform's parser puts it in its messages (facts 7). */
export function tokenOf(raw: unknown): string {
  if (typeof raw === 'string') return `VALUE_STRING value ${raw}`
  if (typeof raw === 'number') return `VALUE_NUMBER_${Number.isInteger(raw) ? 'INT' : 'FLOAT'} value ${raw}`
  if (typeof raw === 'boolean') return `VALUE_${raw ? 'TRUE' : 'FALSE'} value ${raw}`
  return Array.isArray(raw) ? 'START_ARRAY value [' : 'START_OBJECT value {'
}
