import { pino } from 'pino'
import pretty from 'pino-pretty'
import type { Logger } from './kernel/log.ts'

/** The last names of the paths that are never logged, however written: `clientSecret`, `client_secret`, `Client-Secret`. */
const secretNames = new Set([
  'accesstoken',
  'adminkey',
  'apikey',
  'assertion',
  'authorization',
  'clientsecret',
  'connectionstring',
  'cookie',
  'credentials',
  'databaseurl',
  'encryptionkey',
  'idtoken',
  'key',
  'password',
  'privatekey',
  'refreshtoken',
  'rotatedrefreshtoken',
  'secret',
  'session',
  'sessionid',
  'setcookie',
  'token',
  'xapikey',
])

/** Nothing that is worth reading in a log is nested deeper. */
const maxDepth = 12

/** An error as it is logged. */
interface LoggedError {
  type: string
  message: string
  code?: string | number
  stack?: string
  cause?: LoggedError
}

/** A URL may carry a password, and messages quote URLs. */
const withoutPasswords = (text: string): string => text.replaceAll(/:\/\/[^/@\s]*@/g, '://')

/**
 * An error's own words and where it came from, and those of its causes; nothing else that it carries.
 * What libraries hang on their errors (requests with headers and bodies, statements with parameters)
 * is where secrets and callers' data would leak from.
 */
export function logError(error: unknown, level = 0): LoggedError {
  if (!(error instanceof Error)) return { type: typeof error, message: withoutPasswords(String(error)) }
  const code = 'code' in error ? error.code : undefined
  return {
    type: error.name,
    message: withoutPasswords(error.message),
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    ...(error.stack === undefined ? {} : { stack: withoutPasswords(error.stack) }),
    ...(error.cause === undefined || level > 3 ? {} : { cause: logError(error.cause, level + 1) }),
  }
}

const isSecret = (name: string): boolean => secretNames.has(name.toLowerCase().replaceAll(/[-_]/g, ''))

/**
 * A value as it may be logged: what stands under a secret name, at any depth, is cut out, and errors are
 * cut down to their words. Walking the line ourselves costs a few microseconds; pino's own `redact` with
 * these names at five depths cost a quarter of a millisecond, found no error inside an object and nothing
 * deeper.
 */
function redact(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Error) return logError(value)
  if (value instanceof URL) return withoutPasswords(value.href)
  // dates and buffers say themselves how they are written
  if ('toJSON' in value) return value
  if (depth > maxDepth) return '[too deep]'
  if (Array.isArray(value)) return value.map((item) => redact(item, depth + 1))
  return isPlain(value) ? redactObject(value, depth) : `[${value.constructor.name}]`
}

/** Objects of classes (sockets, requests, pools) hold whole worlds; only their kind is logged. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype
}

/** The two words by which the configuration tells of a secret without telling it. */
const saysWhetherSet = (value: unknown): boolean => value === 'set' || value === 'unset'

function redactObject(object: object, depth: number): Record<string, unknown> {
  const shown: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(object)) {
    const hidden =
      isSecret(name) &&
      !saysWhetherSet(value) &&
      (typeof value === 'string' || (typeof value === 'object' && value !== null))
    shown[name] = hidden ? '[redacted]' : redact(value, depth + 1)
  }
  return shown
}

/** What a logger is made with. */
export interface LoggerOptions {
  /** A level of pino, or `silent`. */
  level: string
  /** Readable lines instead of JSON (default: when standard output is a terminal). */
  pretty?: boolean
  /** Where the lines go (default: standard output). */
  destination?: NodeJS.WritableStream
}

/** A logger whose lines are JSON, with secrets cut out by their paths and errors cut down to their words. */
export function createLogger(options: LoggerOptions): Logger {
  const isPretty = options.pretty ?? process.stdout.isTTY
  const destination = options.destination ?? pino.destination({ fd: 1, sync: true })
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: {
        level: (label) => ({ level: label }),
        log: (line) => redactObject(line, 0),
      },
      // errors are cut down before; pino's own serializer would read them again
      serializers: { err: (value: unknown) => value },
    },
    isPretty ? pretty({ destination, singleLine: true, translateTime: 'SYS:HH:MM:ss.l' }) : destination,
  )
}
