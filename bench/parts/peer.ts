import { messageOf } from '../../src/kernel/errors.ts'
import type { Bench } from '../harness/bench.ts'
import type { Done } from '../peers/tally.ts'
import { orItsEnd, startChild } from './child.ts'
import type { WriteTarget } from './writes.ts'

/** The programs that ours is measured beside. */
export type PeerName = 'pg-boss' | 'graphile-worker' | 'synchronous' | 'bare-handler'

/** A peer in a process of its own, on a database of its own. */
export interface Peer {
  name: PeerName
  pid: number
  target: WriteTarget
  /** Lets its worker begin. */
  drain: () => Promise<void>
  done: () => Promise<Done>
  stop: () => Promise<void>
}

const fileOf = (name: string): string => `bench/peers/${name}.ts`

/** Starts a peer; it ends with the question, if not before. */
export async function startPeer(
  bench: Bench,
  name: PeerName,
  role: 'api' | 'all',
  loginUrl: string,
): Promise<Peer> {
  const database = await bench.server.create(name)
  const listening = Promise.withResolvers<string>()
  const child = startChild({
    file: fileOf(name),
    env: { DATABASE_URL: database.url, LOGIN_URL: loginUrl, PORT: '0', ROLE: role },
    folder: bench.folder,
    onLine: (line) => {
      if (line.startsWith('{"listening"'))
        listening.resolve((JSON.parse(line) as { listening: string }).listening)
    },
  })
  let stopping: Promise<void> | undefined
  const stop = (): Promise<void> => (stopping ??= child.stop().then(() => database.drop()))
  bench.stops.add(stop)
  const url = await orItsEnd(child, listening.promise)
  return {
    name,
    pid: child.pid,
    target: {
      url,
      pathOf: (object) => `/v1/projects/p/integrations/i/objects/${object}`,
      headers: {},
      groupRef: 'bench',
    },
    drain: async () => {
      await read(`${url}/drain`, { method: 'POST' })
    },
    done: () => read<Done>(`${url}/done`),
    stop,
  }
}

async function read<T>(url: string, init: RequestInit = {}): Promise<T> {
  const response = await fetch(url, init)
  if (!response.ok) throw new Error(`${url} answered ${response.status}`)
  return (await response.json()) as T
}

/** What is not there is left out with a note: the others' figures still stand. */
export async function unlessMissing<T>(name: string, notes: string[], start: () => Promise<T>): Promise<T[]> {
  try {
    return [await start()]
  } catch (error) {
    notes.push(`${name} is left out: ${messageOf(error)}`)
    return []
  }
}

/** Runs a limit, which does its work and tells of it in one line. @throws {Error} with what it said last */
export async function runLimit<T>(
  bench: Bench,
  name: 'insert-rows' | 'jsforce-alone',
  args: Record<string, string | number>,
  env: Record<string, string>,
): Promise<T> {
  const told = Promise.withResolvers<T>()
  const child = startChild({
    file: fileOf(name),
    args: Object.entries(args).flatMap(([option, value]) => [`--${option}`, String(value)]),
    env,
    folder: bench.folder,
    onLine: (line) => {
      if (line.startsWith('{')) told.resolve(JSON.parse(line) as T)
    },
  })
  const onAbort = (): void => void child.process.kill('SIGTERM')
  bench.signal.addEventListener('abort', onAbort, { once: true })
  try {
    const result = await orItsEnd(child, told.promise)
    await child.ended
    return result
  } finally {
    bench.signal.removeEventListener('abort', onAbort)
    await child.stop()
  }
}
