import { fork, type ChildProcess } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { rm, realpath } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { silentLogger } from '../../kernel/log.ts'
import { stopOrphan } from '../../db/embedded-server.ts'

/** Milliseconds that the service may take to stop: its drain of 30 s and its database's end. */
const STOP_MS = 60_000

/** The service with its embedded database, in a process of its own. */
export interface ServiceProcess {
  url: string
  logFile: string
  /** Ends the service and its database. May be called again. */
  stop: () => Promise<void>
}

/** A file beside this one: TypeScript in the sources, JavaScript in the built package. */
const sibling = (name: string): URL => new URL(`${name}${extname(import.meta.filename)}`, import.meta.url)

/** The environment without what would configure the service: the demo's is a throw-away one. */
function ownEnvironment(dataDir: string): NodeJS.ProcessEnv {
  const foreign = /^(WRITEBACK_.*|DATABASE_URL|HOST|PORT|LOG_LEVEL)$/
  const kept = Object.entries(process.env).filter(([name]) => !foreign.test(name))
  return { ...Object.fromEntries(kept), PORT: '0', WRITEBACK_DATA_DIR: dataDir }
}

/**
 * Starts `writeback serve` on a data folder, with an embedded PostgreSQL of its own, and waits until it
 * listens.
 *
 * @param options.onEnd called when it ends, for whatever reason, with an error that says how
 * @param options.signal gives up waiting: what was begun is stopped before the call rejects
 * @throws {Error} one line, with what the service said last
 */
export async function startServiceProcess(options: {
  dataDir: string
  signal: AbortSignal
  onEnd: (error: Error) => void
}): Promise<ServiceProcess> {
  const { dataDir, signal, onEnd } = options
  signal.throwIfAborted()
  const child = fork(fileURLToPath(sibling('../../main')), ['serve'], {
    execArgv: ['--import', sibling('./end-with-parent').href],
    env: ownEnvironment(dataDir),
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    // A process group of its own: Ctrl-C is for the demo, which stops its parts in order.
    detached: true,
  })
  const logFile = join(dataDir, 'service.log')
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const stop = stopper(child, exited, dataDir)
  try {
    const url = await listening(child, logFile, signal, onEnd)
    return { url, logFile, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Resolves with the service's URL, which its log names; keeps that log in a file. */
function listening(
  child: ChildProcess,
  logFile: string,
  signal: AbortSignal,
  onEnd: (error: Error) => void,
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const log = createWriteStream(logFile, { flags: 'a', mode: 0o600 })
  let said = ''
  const follow = (stream: NodeJS.ReadableStream | null, take: (line: string) => void): void => {
    if (stream !== null) createInterface({ input: stream }).on('line', take)
  }
  follow(child.stdout, (line) => {
    log.write(`${line}\n`)
    const { level, msg, url } = logLine(line)
    if (msg === 'listening' && url !== undefined) resolve(url)
    if (level === 'fatal' && msg !== undefined) said = msg
  })
  follow(child.stderr, (line) => {
    log.write(`${line}\n`)
    if (line.trim() !== '') said = line.replace(/^writeback: /, '')
  })
  child.once('error', reject)
  child.once('close', (code, killer) => {
    log.end()
    const how = killer === null ? `with code ${String(code)}` : `by ${killer}`
    const error = new Error(`The service ended ${how}${said === '' ? '.' : `: ${said}`}`)
    reject(error)
    onEnd(error)
  })
  signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  return promise
}

function logLine(line: string): { level?: string; msg?: string; url?: string } {
  // One line of a thousand is of interest; the others are not worth parsing.
  return /"listening"|"fatal"/.test(line) ? (JSON.parse(line) as ReturnType<typeof logLine>) : {}
}

function stopper(child: ChildProcess, exited: Promise<void>, dataDir: string): () => Promise<void> {
  let stopping: Promise<void> | undefined
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM')
    const hard = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
    await exited
    clearTimeout(hard)
    // A service that did not end by itself may have left its database running.
    const cluster = await realpath(join(dataDir, 'postgres')).catch(() => undefined)
    if (cluster !== undefined) await stopOrphan(cluster, silentLogger)
  }
  return () => (stopping ??= stop())
}

/** Removes a data folder with its cluster, which root keeps elsewhere when PostgreSQL's user cannot reach the folder. */
export async function removeDataFolder(dataDir: string): Promise<void> {
  const cluster = await realpath(join(dataDir, 'postgres')).catch(() => undefined)
  if (cluster !== undefined) await rm(cluster, { recursive: true, force: true })
  await rm(dataDir, { recursive: true, force: true })
}
