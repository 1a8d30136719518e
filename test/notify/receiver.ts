import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { Webhook } from 'standardwebhooks'
import { waitUntil } from '../support/wait-until.ts'

/** A message as a receiver got it. */
export interface Received {
  id: string
  /** When it came, in milliseconds of no particular clock. */
  at: number
  headers: Record<string, string>
  /** As it came. */
  text: string
  body: { notificationType: string; data: Record<string, unknown> & Record<string, unknown>[] }
}

/** What a receiver does with a message: the status, with a `Retry-After` or without, or `hang` for no answer at all. */
export type Does = number | { status: number; retryAfter: string } | 'hang' | 'cut'
export type Behaviour = (message: Received) => Does | Promise<Does>

/** A webhook receiver over real HTTP. */
export interface Receiver {
  url: string
  /** Every message that came, refused ones too. */
  got: Received[]
  /** Messages that it has not answered yet. */
  readonly open: number
  /** Answers from now on. */
  behave: (behaviour: Behaviour) => void
  /** Resolves when so many messages have come. */
  until: (count: number, timeoutMs?: number) => Promise<void>
  /** The ids of operations that were told of in messages that it took. */
  taken: () => Set<string>
  /** Goes away, and comes back at the same place. */
  close: () => Promise<void>
  reopen: () => Promise<void>
}

async function read(request: IncomingMessage): Promise<Received> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const text = Buffer.concat(chunks).toString('utf8')
  const headers = request.headers as Record<string, string>
  const at = performance.now()
  return { id: headers['webhook-id'] ?? '', at, headers, text, body: JSON.parse(text) as Received['body'] }
}

/** The operations that a message tells of. */
export const operationsOf = ({ body: { data } }: Received): string[] =>
  (Array.isArray(data) ? data : [data]).map((one) => String(one['operationId']))

/** Whether a message is signed with this secret. */
export function isSigned({ text, headers }: Received, secret: string): boolean {
  try {
    new Webhook(secret).verify(text, headers)
    return true
  } catch {
    return false
  }
}

/** Starts a receiver that takes everything. */
export async function startReceiver(): Promise<Receiver> {
  const got: Received[] = []
  const taken = new Set<string>()
  let behaviour: Behaviour = () => 204
  let open = 0
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const message = await read(request)
    got.push(message)
    open += 1
    response.on('close', () => (open -= 1))
    const does = await behaviour(message)
    if (does === 'hang') return
    if (does === 'cut') return void request.socket.destroy()
    const status = typeof does === 'number' ? does : does.status
    if (status >= 200 && status < 300) for (const id of operationsOf(message)) taken.add(id)
    response.statusCode = status
    if (typeof does !== 'number') response.setHeader('retry-after', does.retryAfter)
    if (status >= 300 && status < 400) response.setHeader('location', 'http://127.0.0.1:1/')
    response.end(status === 204 ? '' : `answered ${status}`)
  }
  const make = () =>
    createServer((request, response) => {
      answer(request, response).catch(() => request.socket.destroy())
    })
  let server = make()
  const listen = async (port: number): Promise<void> => {
    for (let tries = 1; ; tries += 1) {
      try {
        await new Promise<void>((resolve, reject) => {
          server.once('error', reject)
          server.listen(port, '127.0.0.1', resolve)
        })
        return
      } catch (error) {
        if (tries === 20) throw error
        await delay(50)
      }
    }
  }
  await listen(0)
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/hook?token=in-the-url`,
    got,
    get open() {
      return open
    },
    behave: (next) => {
      behaviour = next
    },
    until: (count, timeoutMs = 20_000) =>
      waitUntil(() => got.length >= count, { timeoutMs, what: `${count} messages (${got.length} came)` }),
    taken: () => taken,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
    reopen: async () => {
      server = make()
      await listen(port)
    },
  }
}
