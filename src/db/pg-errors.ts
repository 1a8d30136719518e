/** What an error of a database call calls for. */
export type DatabaseErrorKind =
  /** No database to speak to right now: say so and come back later. Whether a commit in flight held is not known. */
  | 'unavailable'
  /** Somebody else's row is in the way: unique, foreign key or exclusion constraint. */
  | 'conflict'
  /** The transaction lost a race and was undone: running it again is safe and likely to do. */
  | 'retry'
  /** Our own mistake. */
  | 'bug'

const retryStates = new Set([
  '40001', // serialization failure
  '40P01', // deadlock
  '55P03', // lock not available
])

const conflictStates = new Set(['23505', '23503', '23P01'])

/** Driver and socket codes that mean that no answer came. */
const connectionCodes = new Set([
  'CONNECTION_CLOSED',
  'CONNECTION_DESTROYED',
  'CONNECTION_ENDED',
  'CONNECT_TIMEOUT',
  'POOL_BUSY',
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'ERR_STREAM_DESTROYED',
  'ERR_STREAM_WRITE_AFTER_END',
])

/**
 * SQLSTATEs, or whole classes of them by their first characters, that say that the server cannot serve.
 * A statement that ran into its time limit (57014) is among them: the database is there, but too slow
 * to be of use. So are refused log-ins (28, 3D000), since no statement can pass, and a read-only server
 * (25006), which is what a standby looks like after a failover.
 */
const unavailableStates = [
  '08',
  '53',
  '57P',
  '57014',
  '58',
  '28',
  '3D000',
  '25006',
  '25P03',
  'F0',
  'XX001',
  'XX002',
]

const sqlStatePattern = /^[0-9A-Z]{5}$/

function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/** A socket that is not there or not ours to open fails with a file's code. */
const isFailedConnect = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && 'syscall' in error && error.syscall === 'connect'

/** The server has ended the session, or has not begun it, whatever its reason. */
const isFatal = (error: unknown): boolean =>
  typeof error === 'object' &&
  error !== null &&
  'severity' in error &&
  (error.severity === 'FATAL' || error.severity === 'PANIC')

/**
 * Classes an error thrown by a database call, by its SQLSTATE or the driver's code. Only for errors of
 * database calls: a socket code of any other call would be read as the database's.
 */
export function databaseErrorKind(error: unknown): DatabaseErrorKind {
  const code = codeOf(error)
  if (code === undefined) return 'bug'
  if (connectionCodes.has(code) || isFailedConnect(error)) return 'unavailable'
  if (!sqlStatePattern.test(code)) return 'bug'
  if (isFatal(error)) return 'unavailable'
  if (retryStates.has(code)) return 'retry'
  if (conflictStates.has(code)) return 'conflict'
  return unavailableStates.some((state) => code.startsWith(state)) ? 'unavailable' : 'bug'
}

/** Whether the database could not be reached or could not serve. */
export const isDatabaseUnavailable = (error: unknown): boolean => databaseErrorKind(error) === 'unavailable'

/** Marks the error of a transaction whose end was not heard of. */
const commitUnknown = Symbol('commit unknown')

/** Notes that a transaction's connection was lost between its COMMIT and the answer to that. */
export function noteCommitUnknown(error: unknown): void {
  if (typeof error === 'object' && error !== null) Reflect.set(error, commitUnknown, true)
}

/** Whether a failed transaction may have been committed all the same. */
export const mayBeCommitted = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && Reflect.get(error, commitUnknown) === true

/** Whether a foreign key refused a row: what it names is not there any more, or something still names it. */
export const isForeignKeyViolation = (error: unknown): boolean => codeOf(error) === '23503'

/** Whether a unique constraint refused a row, optionally the one of this name. */
export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  if (codeOf(error) !== '23505') return false
  return constraint === undefined || (error as { constraint_name?: unknown }).constraint_name === constraint
}
