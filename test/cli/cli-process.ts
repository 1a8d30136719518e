import { spawn, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { waitUntil } from '../support/wait-until.ts'

const main = join(import.meta.dirname, '../../src/main.ts')

/** What a command said and how it ended. */
export interface Ended {
  /** The exit code; null after a signal that it did not handle. */
  code: number | null
  stdout: string
  stderr: string
}

/** A command under way. */
export interface Running {
  child: ChildProcess
  stdout: () => string
  /** Resolves once standard output holds this. */
  says: (text: string | RegExp) => Promise<void>
  ended: Promise<Ended>
}

/** What a command is started with. */
export interface CliOptions {
  /** All of its environment but `PATH`. */
  env?: Record<string, string>
  /** Its standard input; none when absent. */
  input?: string
  cwd?: string
}

/** Starts `writeback` as a user would, without anything of this process's environment. */
export function startCli(args: string[], { env = {}, input, cwd }: CliOptions = {}): Running {
  const child = spawn(process.execPath, [main, ...args], {
    env: {
      PATH: process.env['PATH'],
      TZ: 'UTC',
      NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
      ...env,
    },
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    ...(cwd === undefined ? {} : { cwd }),
  })
  const said = { stdout: '', stderr: '' }
  child.stdout!.setEncoding('utf8').on('data', (chunk: string) => (said.stdout += chunk))
  child.stderr!.setEncoding('utf8').on('data', (chunk: string) => (said.stderr += chunk))
  // A command that refuses its options does not read its input.
  child.stdin?.on('error', () => undefined)
  child.stdin?.end(input)
  const ended = new Promise<Ended>((resolve) => child.once('close', (code) => resolve({ code, ...said })))
  return {
    child,
    stdout: () => said.stdout,
    says: (text) =>
      waitUntil(
        () => {
          if (child.exitCode !== null) throw new Error(`it ended: ${said.stdout}${said.stderr}`)
          return typeof text === 'string' ? said.stdout.includes(text) : text.test(said.stdout)
        },
        { timeoutMs: 20_000, what: `${String(text)} in ${said.stdout}${said.stderr}` },
      ),
    ended,
  }
}

/** Runs `writeback` to its end. */
export const cli = (args: string[], options?: CliOptions): Promise<Ended> => startCli(args, options).ended
