import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Done } from '../../bench/peers/tally.ts'
import { caller, type Answer } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'

/** A program of `bench/peers`, started as the bench does. */
function start(name: string, args: string[], env: Record<string, string>): ChildProcess {
  return fork(join(import.meta.dirname, '../../bench/peers', `${name}.ts`), args, {
    execArgv: [],
    env: {
      PATH: process.env['PATH'],
      NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
      PORT: '0',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
}

/** The first line that a program prints, parsed; rejects when it ends without one. */
async function firstLine<T>(child: ChildProcess): Promise<T> {
  const lines = createInterface({ input: child.stdout! })
  const line = await Promise.race([
    once(lines, 'line') as Promise<[string]>,
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`it ended with code ${String(code)}`))),
  ])
  return JSON.parse(line[0]) as T
}

/** Runs a program to its end. */
export async function runProgram<T>(name: string, args: string[], env: Record<string, string>): Promise<T> {
  const child = start(name, args, env)
  const exited = once(child, 'exit') as Promise<[number | null]>
  const result = await firstLine<T>(child)
  const [code] = await exited
  if (code !== 0) throw new Error(`${name} ended with code ${String(code)}`)
  return result
}

/** An HTTP peer. */
export interface PeerProcess {
  post: (
    object: string,
    record: Record<string, unknown>,
    more?: Record<string, unknown>,
  ) => Promise<Answer<{ operationId?: string }>>
  drain: () => Promise<void>
  done: () => Promise<Done>
  /** Resolves with the counts once nothing waits any more. */
  emptied: () => Promise<Done>
  /** Ends it by SIGTERM, or by letting go of it; resolves with the exit code. */
  stop: (how?: 'SIGTERM' | 'disconnect') => Promise<number | null>
}

/** Starts an HTTP peer and waits until it listens. */
export async function startPeer(name: string, env: Record<string, string>): Promise<PeerProcess> {
  const child = start(name, [], env)
  const exited = once(child, 'exit') as Promise<[number | null]>
  const { listening } = await firstLine<{ listening: string }>(child)
  const call = caller(listening, 'no key')
  const done = async (): Promise<Done> => (await call<Done>('GET', '/done')).body
  return {
    post: (object, record, more) =>
      call('POST', `/v1/projects/p/integrations/i/objects/${object}`, {
        groupRef: 'customer-42',
        mode: 'asynchronous',
        type: 'create',
        record,
        ...more,
      }),
    drain: async () => {
      const { status } = await call('POST', '/drain')
      if (status !== 200) throw new Error(`the worker did not begin: ${status}`)
    },
    done,
    emptied: async () => {
      const isEmpty = async (): Promise<boolean> => (await done()).waiting === 0
      await waitUntil(isEmpty, { timeoutMs: 20_000, what: `${name} to have sent everything` })
      return done()
    },
    stop: async (how = 'SIGTERM') => {
      if (how === 'disconnect') child.disconnect()
      else child.kill('SIGTERM')
      const [code] = await exited
      return code
    },
  }
}
