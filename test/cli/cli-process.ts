import { spawn, type ChildProcess } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { runCli } from '../../src/cli/run-cli.ts'
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

/** Text that is written, kept. */
function kept(): Writable & { text: string } {
  const stream = Object.assign(new Writable({ decodeStrings: false }), { text: '' })
  stream._write = (chunk: string, _encoding, done) => {
    stream.text += chunk
    done()
  }
  return stream
}

/**
 * Runs one of the commands that call the service to its end in this process, which takes a tenth of the time: what
 * `main.ts` calls, with another process's environment, input and output. The folder is this process's own.
 */
export async function cliHere(
  args: string[],
  { env = {}, input, isTerminal = false }: Omit<CliOptions, 'cwd'> & { isTerminal?: boolean } = {},
): Promise<Ended> {
  const stdin = Readable.from(input === undefined ? [] : [Buffer.from(input)])
  const setRawMode = () => {
    throw new Error('Ctrl-C would be a key, and no signal any more')
  }
  const [stdout, stderr] = [kept(), kept()]
  if (isTerminal)
    for (const stream of [stdin, stdout, stderr]) Object.assign(stream, { isTTY: true, setRawMode })
  const signals = new EventEmitter()
  const code = await runCli(args, {
    env,
    stdin,
    stdout,
    stderr,
    once: (name, listener) => signals.once(name, listener),
    exit: (code) => {
      throw new Error(`the command would have ended the process with ${code}`)
    },
  })
  return { code, stdout: stdout.text, stderr: stderr.text }
}
