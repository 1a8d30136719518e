import { fork, type ChildProcess } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'

const source = (path: string): string => resolve(import.meta.dirname, '../../src', path)

/** A process of the service. */
export interface ServeProcess {
  child: ChildProcess
  /** Where it listens; rejects when it ended before that, with what it said last. */
  url: Promise<string>
  /** Resolves when it has ended, with how. */
  ended: Promise<string>
}

/** How a process is started. */
export interface ServeOptions {
  /** All of its environment but `PATH` and where compiled modules are kept. */
  env: Record<string, string>
  /** Where its output goes, behind what is there. */
  logFile?: string
  /** Gets every line that it logs. */
  onLine?: (line: string) => void
}

/** Starts `writeback serve`, as `npm start` does; it ends, cleanly, when this process is gone. */
export function startServe({ env, logFile, onLine }: ServeOptions): ServeProcess {
  const child = fork(source('main.ts'), ['serve'], {
    execArgv: ['--max-semi-space-size=8', '--import', source('cli/demo/end-with-parent.ts')],
    env: {
      PATH: process.env['PATH'],
      NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
      PORT: '0',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    // A process group of its own: Ctrl-C is for the one that started it, which stops its parts in order.
    detached: true,
  })
  const listening = Promise.withResolvers<string>()
  listening.promise.catch(() => undefined)
  const log = logFile === undefined ? null : createWriteStream(logFile, { flags: 'a', mode: 0o600 })
  let said = ''
  const follow = (stream: NodeJS.ReadableStream | null, take: (line: string) => void): void => {
    if (stream !== null) createInterface({ input: stream }).on('line', take)
  }
  follow(child.stdout, (line) => {
    log?.write(`${line}\n`)
    onLine?.(line)
    // One line of a thousand is of interest; the others are not worth parsing.
    if (line.includes('"listening"')) listening.resolve((JSON.parse(line) as { url: string }).url)
  })
  follow(child.stderr, (line) => {
    log?.write(`${line}\n`)
    said = line
  })
  const ended = new Promise<string>((done) => {
    child.once('close', (code, killer) => {
      log?.end()
      const how = killer === null ? `with code ${String(code)}` : `by ${killer}`
      listening.reject(new Error(`the process ended ${how} before it listened: ${said}`))
      done(how)
    })
  })
  child.once('error', (error) => listening.reject(error))
  return { child, url: listening.promise, ended }
}
