import type { Readable, Writable } from 'node:stream'
import { exitCodes } from './exit-codes.ts'

/** What a command has of the process that it runs in: `process`, or what a test puts in its place. */
export interface Host {
  env: NodeJS.ProcessEnv
  stdin: Readable & { isTTY?: boolean }
  stdout: Writable & { isTTY?: boolean; columns?: number }
  stderr: Writable & { isTTY?: boolean }
  /** Tells of a signal. */
  once: (signal: 'SIGINT' | 'SIGTERM', listener: () => void) => unknown
  exit: (code: number) => unknown
}

/** A mistake in how a command was called: a line on standard error for each, exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** The command was told to stop by a signal. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted'
  readonly exitCode: number
  constructor(signal: 'SIGINT' | 'SIGTERM') {
    super(`Stopped by ${signal}.`)
    this.exitCode = signal === 'SIGINT' ? exitCodes.interrupted : exitCodes.terminated
  }
}

/** Resolves with the reason to stop: SIGTERM, SIGINT, or what `raise` was called with first. */
export function stopSignal(): { raised: Promise<string>; raise: (reason: string) => void } {
  const { promise, resolve } = Promise.withResolvers<string>()
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => resolve(name))
  return { raised: promise, raise: resolve }
}

/** A signal that SIGINT and SIGTERM abort, with {@link Interrupted} as its reason. A second one ends the process. */
export function interruption(host: Host): AbortSignal {
  const control = new AbortController()
  for (const name of ['SIGTERM', 'SIGINT'] as const)
    host.once(name, () => control.abort(new Interrupted(name)))
  return control.signal
}

/**
 * The environment of the service's own commands: what only tells the other commands whom to call is left out,
 * so that both can be set in one shell. The service refuses variables that it does not know.
 */
export function serviceEnvironment(env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const own: readonly string[] = Object.values(clientVariables)
  return Object.fromEntries(Object.entries(env).filter(([name]) => !own.includes(name)))
}

/** The variables that tell the commands whom to call and what about. */
export const clientVariables = {
  url: 'WRITEBACK_URL',
  key: 'WRITEBACK_API_KEY',
  project: 'WRITEBACK_PROJECT',
  integration: 'WRITEBACK_INTEGRATION',
  group: 'WRITEBACK_GROUP',
} as const
