import { fork, type ChildProcess } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'

/** Milliseconds that a process may take to end by itself: the service finishes what is in flight first. */
const STOP_MS = 40_000

/** A process of the bench's own; it ends by itself when the bench is gone. */
export interface Child {
  process: ChildProcess
  pid: number
  /** Resolves with how it ended, once it has. */
  ended: Promise<string>
  /** Ends it and waits for that. May be called again. */
  stop: () => Promise<void>
}

/** How a process is started. */
export interface ChildOptions {
  /** The program, relative to the project's folder. */
  file: string
  args?: string[]
  /** All of its environment but `PATH` and where compiled modules are kept. */
  env?: Record<string, string>
  /** Where its standard error goes, and what it said last comes from. */
  folder: string
  execArgv?: string[]
  onLine?: (line: string) => void
}

const project = resolve(import.meta.dirname, '../..')

/** Starts a program of the project with a channel to this process, whose end ends it. */
export function startChild({
  file,
  args = [],
  env = {},
  folder,
  execArgv = [],
  onLine,
}: ChildOptions): Child {
  const child = fork(join(project, file), args, {
    execArgv: [...execArgv, '--import', join(project, 'src/cli/demo/end-with-parent.ts')],
    env: { PATH: process.env['PATH'], NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'], ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    // A process group of its own: Ctrl-C is for the bench, which stops its parts in order.
    detached: true,
  })
  const log = createWriteStream(join(folder, `${basename(file, '.ts')}.log`), { flags: 'a', mode: 0o600 })
  let said = ''
  if (child.stdout !== null) createInterface({ input: child.stdout }).on('line', (line) => onLine?.(line))
  if (child.stderr !== null)
    createInterface({ input: child.stderr }).on('line', (line) => {
      log.write(`${line}\n`)
      // Node.js ends its account of an error with its own version.
      if (line.trim() !== '' && !/^Node\.js v/.test(line) && !/^\s+at /.test(line)) said = line
    })
  const ended = new Promise<string>((done) => {
    child.once('error', (error) => done(error.message))
    child.once('close', (code, killer) => {
      log.end()
      const how = killer === null ? `with code ${String(code)}` : `by ${killer}`
      done(`${basename(file)} ended ${how}${said === '' ? '' : `: ${said}`}`)
    })
  })
  return { process: child, pid: child.pid ?? 0, ended, stop: stopper(child, ended) }
}

/** Ends a process by SIGTERM, and harder when that takes too long. */
export function stopper(child: ChildProcess, ended: Promise<unknown>): () => Promise<void> {
  return async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
    const hard = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
    await ended
    clearTimeout(hard)
  }
}

/** Waits for the first of what a process is to bring, or its end. @throws {Error} with how it ended before */
export async function orItsEnd<T>(child: Pick<Child, 'ended'>, awaited: Promise<T>): Promise<T> {
  const end = child.ended.then((how): never => {
    throw new Error(how)
  })
  // The process may end long after it brought what was waited for.
  end.catch(() => undefined)
  return Promise.race([awaited, end])
}
