import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { bulkRoutes, type BulkLimits } from '../../src/api/ampersand/bulk.ts'
import type { BulkPort } from '../../src/api/ampersand/bulk-take.ts'
import { operationIdOf, type Submission } from '../../src/ingest/accept.ts'
import { defaultCallSettings } from '../../src/model/object-entry.ts'
import {
  ADMIN_KEY,
  jsonOf,
  keepingLogger,
  startHarness,
  type Harness,
  type HarnessOptions,
} from './harness.ts'

/** A write on its way to its commit. */
export interface Arrival {
  submission: Submission
  commit: () => void
  fail: (error: Error) => void
}

/** The bulk route over a queue whose commits are made by hand. */
export interface BulkHarness extends Harness {
  url: string
  path: string
  /** All that was submitted, in order. */
  arrivals: Arrival[]
  /** The most writes that waited for their commit at once. */
  readonly mostWaiting: number
  /** Writes that were asked whether there is room for them. */
  readonly taken: number
  /** Commits whatever comes, at once, from now on. */
  commitAll: () => void
  /** Refuses whatever comes from now on with this error; null for no more. */
  refuseWith: (error: Error | null) => void
  logged: string[]
}

/** Starts it on a socket. */
export async function startBulk(
  limits: Partial<BulkLimits> = {},
  timeouts?: HarnessOptions['timeouts'],
): Promise<BulkHarness> {
  const arrivals: Arrival[] = []
  const { logger, lines: logged } = keepingLogger()
  let isCommitting = false
  let refusal: Error | null = null
  let waiting = 0
  let mostWaiting = 0
  let taken = 0
  const port: BulkPort = {
    checkRoom: () => {
      if (refusal !== null) throw refusal
    },
    submit: (submission) => {
      const { promise, resolve, reject } = Promise.withResolvers<undefined>()
      waiting += 1
      mostWaiting = Math.max(mostWaiting, waiting)
      arrivals.push({ submission, commit: () => resolve(undefined), fail: reject })
      if (isCommitting) setImmediate(() => resolve(undefined))
      return promise
        .finally(() => (waiting -= 1))
        .then(() => ({ operationId: operationIdOf(submission), repeated: false }))
    },
    installation: (integrationId, groupRef) =>
      Promise.resolve(
        groupRef === 'nobody'
          ? null
          : {
              id: '01a20139-0000-7000-8000-000000000001',
              projectId: '01a20139-0000-7000-8000-000000000002',
              integrationId,
              configId: '01a20139-0000-7000-8000-000000000003',
              objects: null,
              calls: defaultCallSettings,
            },
      ),
    idempotency: { findOperation: () => Promise.resolve(null) },
    now: () => Date.now(),
    // asked once for every line
    isEnding: () => {
      taken += 1
      return false
    },
    logger,
  }
  const harness = await startHarness({ routes: [bulkRoutes(port, limits)], ...(timeouts && { timeouts }) })
  const project = jsonOf(await harness.call('POST', '/v1/projects', { body: { name: 'bulk' } }))
  const base = `/v1/projects/${String(project['id'])}/integrations`
  await harness.call('POST', base, { body: { name: 'crm', provider: 'salesforce' } })
  return {
    ...harness,
    url: await harness.app.listen({ host: '127.0.0.1', port: 0 }),
    path: `${base}/crm/writes`,
    arrivals,
    get mostWaiting() {
      return mostWaiting
    },
    get taken() {
      return taken
    },
    commitAll: () => {
      isCommitting = true
      for (const { commit } of arrivals) commit()
    },
    refuseWith: (error) => {
      refusal = error
    },
    logged,
    close: async () => {
      // What a failed test left open would be waited for.
      harness.app.server.closeAllConnections()
      await harness.close()
    },
  }
}

/** A write as a line. */
export const writeLine = (part: Record<string, unknown> = {}): string =>
  `${JSON.stringify({ groupRef: 'g', objectName: 'Contact', type: 'create', record: { LastName: 'x' }, ...part })}\n`

/** What an answer's line says. */
export interface Result {
  operationId?: string
  problem?: { code: string; status: number; detail: string; issues?: { path: string; message: string }[] }
}

export const resultsOf = (text: string): Result[] =>
  text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Result)

/** A call made by hand, whose bytes go and come one by one. */
export interface RawCall {
  socket: Socket
  /** Sends a chunk of the body. */
  send: (text: string) => void
  /** Sends the end of the body. */
  end: () => void
  /** All that has come so far, its head included. */
  readonly text: string
  /** Results that have come so far. */
  readonly results: Result[]
  /** Whether the connection is closed. */
  readonly isClosed: boolean
}

/** Begins a call in chunks. */
export async function rawCall(
  { url, path }: Pick<BulkHarness, 'url' | 'path'>,
  key = ADMIN_KEY,
): Promise<RawCall> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  await once(socket, 'connect')
  let text = ''
  let isClosed = false
  socket.on('data', (bytes) => (text += bytes.toString()))
  socket.on('error', () => undefined)
  socket.on('close', () => (isClosed = true))
  const head = ['Host: x', `X-Api-Key: ${key}`, 'Content-Type: application/x-ndjson']
  socket.write(`POST ${path} HTTP/1.1\r\n${head.join('\r\n')}\r\nTransfer-Encoding: chunked\r\n\r\n`)
  return {
    socket,
    send: (part) => socket.write(`${Buffer.byteLength(part).toString(16)}\r\n${part}\r\n`),
    end: () => socket.write('0\r\n\r\n'),
    get text() {
      return text
    },
    get results() {
      return text
        .split(/\r?\n/)
        .slice(0, -1)
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line) as Result)
    },
    get isClosed() {
      return isClosed
    },
  }
}
