import type { Logger as PinoLogger } from 'pino'

/** The part of pino that the floors use: structured, levelled lines. */
export type Logger = Pick<PinoLogger, 'debug' | 'info' | 'warn' | 'error' | 'fatal'>

/** A logger that says nothing; for tests and for tools that print their own output. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  fatal: () => undefined,
}
