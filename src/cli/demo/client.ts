import { once } from 'node:events'
import { Agent, request, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { json } from 'node:stream/consumers'
import { messageOf } from '../../kernel/errors.ts'

/** An HTTP answer, read whole. */
export interface Answer {
  status: number
  headers: IncomingHttpHeaders
  body: unknown
}

/** What a call may say besides its body. */
export interface CallOptions {
  headers?: Record<string, string>
  /** Milliseconds after which the answer is not waited for any more; by default there is no end. */
  timeoutMs?: number
}

/** Calls the service; rejects when there is no answer, or the client is stopped. */
export type Call = (method: string, path: string, body?: unknown, options?: CallOptions) => Promise<Answer>

/** There was no answer at all. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable'
}

/** One client of the service, with connections of its own. */
export interface Client {
  /** Calls with a key. */
  as: (key: string) => Call
  /** Closes every connection, so that the service need not wait for any to be given up. */
  close: () => void
}

/**
 * Makes a client whose calls end with the signal.
 * @throws {Unreachable} from a call, when no whole answer came; the signal's own reason when that ended it
 */
export function createClient(url: string, signal: AbortSignal): Client {
  const agent = new Agent({ keepAlive: true })
  const as =
    (key: string): Call =>
    async (method, path, body, options = {}) => {
      const headers = {
        'x-api-key': key,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...options.headers,
      }
      const { timeoutMs } = options
      const until =
        timeoutMs === undefined ? signal : AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
      try {
        const sent = request(url + path, { agent, method, signal: until, headers })
        // Once the answer has begun, an error comes through it; the request's own must only not be unhandled.
        sent.on('error', () => undefined)
        sent.end(body === undefined ? undefined : JSON.stringify(body))
        const [response] = (await once(sent, 'response')) as [IncomingMessage]
        return { status: response.statusCode ?? 0, headers: response.headers, body: await json(response) }
      } catch (error) {
        signal.throwIfAborted()
        throw new Unreachable(`${method} ${path} got no answer: ${messageOf(error)}`, { cause: error })
      }
    }
  return { as, close: () => agent.destroy() }
}

/** An answer that must have been another; names the call and what the problem says. */
export function unexpected(method: string, path: string, answer: Answer): Error {
  const { detail } = (answer.body ?? {}) as { detail?: unknown }
  const said = typeof detail === 'string' ? detail : JSON.stringify(answer.body)
  return new Error(`${method} ${path} was answered with ${answer.status}: ${said}`)
}

/** Runs a task for each item with at most `width` at once; results in order. The first error ends it. */
export async function concurrently<T, R>(
  items: readonly T[],
  width: number,
  run: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length)
  const queue = items.entries()
  const lane = async (): Promise<void> => {
    // One iterator for all lanes: each item is taken once.
    for (const [index, item] of queue) results[index] = await run(item, index)
  }
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, lane))
  return results
}
