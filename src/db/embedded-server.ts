import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { chown, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { messageOf } from '../kernel/errors.ts'
import type { Logger } from '../kernel/log.ts'
import type { Binaries } from './embedded-binaries.ts'
import type { ServerUser } from './embedded-user.ts'
import { isPostmasterOf } from './process-identity.ts'

const run = promisify(execFile)

/** One cluster and how to run it. */
export interface ServerOptions {
  binaries: Binaries
  /** The cluster's own folder, absolute and real; `data` in it is PostgreSQL's. */
  cluster: string
  user: ServerUser | undefined
  /** Where the server writes what it has to say. */
  logFile: string
  settings: Record<string, string>
}

/** The superuser of an embedded cluster. */
export const superuser = 'writeback'

/** PostgreSQL's messages are read in one place (its own log), so they must not be translated. */
const environment = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' }

/** How long an interrupted server may take to replay its log. */
const readyTimeoutMs = 600_000
const stopTimeoutMs = 60_000
const pollMs = 20

/** Makes the cluster if there is none. It appears complete or not at all, so being killed half way is no harm. */
export async function initialiseCluster(
  options: ServerOptions,
  password: string,
  sync: boolean,
): Promise<void> {
  const data = join(options.cluster, 'data')
  if (await stat(data).catch(() => undefined)) return
  const unfinished = join(options.cluster, 'initialising')
  const passwordFile = join(options.cluster, 'initial-password')
  await rm(unfinished, { recursive: true, force: true })
  await writeFile(passwordFile, password, { mode: 0o600 })
  if (options.user) await chown(passwordFile, options.user.uid, options.user.gid)
  const flags = [
    `--pgdata=${unfinished}`,
    `--username=${superuser}`,
    '--auth=scram-sha-256',
    `--pwfile=${passwordFile}`,
    '--encoding=UTF8',
    // PostgreSQL's own rules, the same on every host whatever locales it has
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--no-instructions',
    ...(sync ? [] : ['--no-sync']),
  ]
  try {
    await run(options.binaries.initdb, flags, { ...options.user, cwd: '/', env: environment })
  } catch (error) {
    const { stderr } = error as { stderr?: string }
    const said = stderr?.trim() ?? messageOf(error)
    throw new Error(`The embedded PostgreSQL could not be set up in ${options.cluster}: ${said}`, {
      cause: error,
    })
  } finally {
    await rm(passwordFile, { force: true })
  }
  await rename(unfinished, data)
}

/** The lines of `postmaster.pid`: the process id first, the state eighth. */
async function pidFile(cluster: string): Promise<string[] | undefined> {
  const text = await readFile(join(cluster, 'data', 'postmaster.pid'), 'utf8').catch(() => undefined)
  return text?.split('\n').map((line) => line.trim())
}

async function waitUntilGone(isThere: () => Promise<boolean>, timeoutMs: number): Promise<boolean> {
  const end = performance.now() + timeoutMs
  while (await isThere()) {
    if (performance.now() > end) return false
    await delay(pollMs)
  }
  return true
}

/**
 * Ends a server that outlived the process that had started it. Only a process that is known to be
 * PostgreSQL on this very folder is touched. The id of a dead server is crossed out: PostgreSQL would
 * refuse to start if it now belongs to somebody else, or if nobody has collected the dead process yet (a
 * container without an init). The rest of the file stays, because by it PostgreSQL sees whether children
 * of a killed server still have its shared memory.
 */
export async function stopOrphan(cluster: string, logger: Logger): Promise<void> {
  const lines = await pidFile(cluster)
  if (!lines) return
  const pid = Number(lines[0])
  const data = join(cluster, 'data')
  const isThere = (): Promise<boolean> => isPostmasterOf(pid, data)
  if (!Number.isInteger(pid) || pid <= 0) return
  if (await isThere()) {
    logger.warn({ pid, folder: cluster }, 'stopping the PostgreSQL that an earlier process left behind')
    process.kill(pid, 'SIGINT')
    if (await waitUntilGone(isThere, stopTimeoutMs)) return
    process.kill(pid, 'SIGQUIT')
    if (await waitUntilGone(isThere, stopTimeoutMs)) return
    throw new Error(
      `The PostgreSQL left behind on ${cluster} (process ${pid}) does not stop: end it by hand.`,
    )
  }
  const beyondAnyProcess = String(2 ** 31 - 2)
  await writeFile(join(data, 'postmaster.pid'), [beyondAnyProcess, ...lines.slice(1)].join('\n'))
}

/** A running server. */
export interface RunningServer {
  pid: number
  child: ChildProcess
  /** Settles when the process ends, however it ends. */
  exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
}

/** What the server has written since `offset`, for an error message. */
async function logSince(logFile: string, offset: number): Promise<string> {
  const text = await readFile(logFile).catch(() => Buffer.alloc(0))
  return text.subarray(offset).toString('utf8').trim().split('\n').slice(-6).join(' | ')
}

async function spawnServer(options: ServerOptions, port: number): Promise<RunningServer> {
  const log = await open(options.logFile, 'a', 0o600)
  try {
    const flags = Object.entries({ ...options.settings, port: String(port) }).flatMap(([name, value]) => [
      '-c',
      `${name}=${value}`,
    ])
    const child = spawn(options.binaries.postgres, ['-D', join(options.cluster, 'data'), ...flags], {
      ...options.user,
      cwd: '/',
      env: environment,
      // a process group of its own: Ctrl-C in a terminal is for us, and the database must outlast our drain
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
    })
    const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve, reject) => {
      child.once('exit', (code, signal) => resolve({ code, signal }))
      child.once('error', reject)
    })
    exited.catch(() => undefined)
    if (child.pid === undefined) {
      await exited
      throw new Error('The embedded PostgreSQL could not be started')
    }
    return { pid: child.pid, child, exited }
  } finally {
    await log.close()
  }
}

/** Why a start did not succeed, and whether another try makes sense. */
export class StartFailure extends Error {
  readonly again: 'now' | 'soon' | 'never'
  constructor(message: string, again: StartFailure['again']) {
    super(message)
    this.name = 'StartFailure'
    this.again = again
  }
}

/**
 * Starts the server and waits until it takes connections.
 *
 * @throws {StartFailure} with the end of the server's log
 */
export async function runServer(options: ServerOptions, port: number): Promise<RunningServer> {
  const offset = (await stat(options.logFile).catch(() => undefined))?.size ?? 0
  const server = await spawnServer(options, port)
  let ended = false
  void server.exited.then(() => (ended = true))
  const isReady = async (): Promise<boolean> => {
    const lines = await pidFile(options.cluster)
    return lines?.[0] === String(server.pid) && lines[7] === 'ready'
  }
  const deadline = performance.now() + readyTimeoutMs
  const hasEnded = (): boolean => ended
  while (!hasEnded()) {
    if (await isReady()) return server
    if (performance.now() > deadline) {
      server.child.kill('SIGQUIT')
      break
    }
    await delay(pollMs)
  }
  const said = await logSince(options.logFile, offset)
  const again = said.includes('shared memory block')
    ? 'soon'
    : said.includes('could not bind')
      ? 'now'
      : 'never'
  throw new StartFailure(`The embedded PostgreSQL in ${options.cluster} did not start: ${said}`, again)
}

/** Ends the server: at once for its clients, with everything written out. Harder only if it does not answer. */
export async function stopServer(server: RunningServer): Promise<void> {
  server.child.ref()
  const isThere = (): Promise<boolean> =>
    Promise.resolve(server.child.exitCode === null && server.child.signalCode === null)
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
    if (!(await isThere())) return
    server.child.kill(signal)
    if (await waitUntilGone(isThere, stopTimeoutMs)) return
  }
}
