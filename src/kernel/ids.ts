import { uuidv7 } from 'uuidv7'

/** A new UUIDv7: unique, and within one process ordered by the time it was made. */
export const newId = (): string => uuidv7()

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** Whether a text is a UUID in its usual form; anything else must never reach a uuid column. */
export const isUuid = (text: string): boolean => uuidPattern.test(text)
