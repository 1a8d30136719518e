import { hash } from 'node:crypto'

/** A hash of texts in the form of a UUID: it names a record, or one that is locked with it. */
export function hashedKey(parts: readonly string[]): string {
  const hex = hash('sha256', JSON.stringify(parts), 'hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`
}

/** The key of a record by its id, 15 or 18 characters, both the same. */
export const keyOfId = (id: string): string => hashedKey(['id', id.slice(0, 15)])

/**
 * The key of a record by its external id. The case of the value is left out: whether the field minds it
 * is the org's to know, and keeping two values in order that did not need it costs nothing.
 */
export const keyOfExternalId = (objectName: string, field: string, value: unknown): string =>
  hashedKey(['external', objectName.toLowerCase(), field.toLowerCase(), String(value).trim().toLowerCase()])
