import { Agent, buildConnector, type Dispatcher } from 'undici'
import type { Clock } from '../../kernel/clock.ts'
import { guardedLookup, type OutboundPolicy } from './outbound.ts'

/** A request with its whole body. */
export interface HttpRequest {
  method: string
  /** Absolute URL, checked by the caller against the outbound policy. */
  url: string
  headers: Record<string, string>
  body: string | null
}

/** An answer with its whole body; `headers` by lower-case name. */
export interface HttpAnswer {
  kind: 'answer'
  status: number
  headers: Record<string, string>
  body: string
}

/** A call without a usable answer. Its message holds no header and no body. */
export interface HttpFailure {
  kind: 'failure'
  /** False only when it is certain that no byte of the request was written. */
  sent: boolean
  /** The status, when at least the head of an answer came. */
  status: number | null
  code: string
  message: string
}

/** How one call ended. */
export type HttpOutcome = HttpAnswer | HttpFailure

/** Limits of one call. */
export interface HttpLimits {
  /** Milliseconds for all of it: waiting for a socket, connecting, sending, and reading the whole answer. */
  timeoutMs: number
  signal?: AbortSignal
}

/** Settings of {@link createHttpClient}. */
export interface HttpClientOptions {
  policy: OutboundPolicy
  clock: Clock
  /** Sockets per origin, 32 when unset; further calls wait for a free one within their own time. */
  connectionsPerOrigin?: number
  /** Bytes of an answer's body, 16 MiB when unset (200 items with long messages are under 1 MiB). */
  maxAnswerBytes?: number
}

/** Sends requests; see {@link createHttpClient}. */
export interface HttpClient {
  /** Never rejects, settles once, and by its time limit at the latest. */
  send(request: HttpRequest, limits: HttpLimits): Promise<HttpOutcome>
  close(): Promise<void>
}

const CONNECT_TIMEOUT_MS = 10_000
/** An idle socket is dropped this long after its last answer, unless the server says how long it keeps it. */
const KEEP_ALIVE_MS = 4_000
const KEEP_ALIVE_MAX_MS = 30_000
/** Subtracted from what the server says. */
const KEEP_ALIVE_MARGIN_MS = 2_000

/** Why we ended a call ourselves; thrown into undici to stop it there too. */
class GivenUp extends Error {
  readonly code: string
  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

/**
 * One call as undici's handler. It is on undici's lowest level for one fact that the higher ones hide:
 * `onRequestStart` comes in the same turn as the first write to the socket and never later. A call that
 * ends without it was certainly not sent; a call that ends after it may have been. HTTP/2 is off, since
 * there undici may start a request again by itself.
 */
class Exchange implements Dispatcher.DispatchHandler {
  readonly outcome: Promise<HttpOutcome>
  readonly #resolve: (outcome: HttpOutcome) => void
  readonly #maxBytes: number
  readonly #chunks: Buffer[] = []
  #bytes = 0
  #controller: Dispatcher.DispatchController | null = null
  #status: number | null = null
  #headers: Record<string, string> = {}
  #ended: GivenUp | null = null
  #settled = false

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
    const { promise, resolve } = Promise.withResolvers<HttpOutcome>()
    this.outcome = promise
    this.#resolve = resolve
  }

  /** Ends the call: what is still waiting for a socket will not be sent, what is under way is cut off. */
  giveUp(reason: GivenUp): void {
    if (this.#settled) return
    this.#ended = reason
    this.#fail(reason)
    this.#controller?.abort(reason)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // Throwing here makes undici drop the request before it writes, and keeps the socket for others.
    if (this.#ended !== null) throw this.#ended
    if (this.#controller !== null)
      throw new GivenUp('RESENT', 'The request was about to be sent a second time.')
    this.#controller = controller
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    // Informational answers come before the real one.
    if (status < 200) return
    this.#status = status
    for (const [name, value] of Object.entries(headers)) {
      if (value !== undefined)
        this.#headers[name.toLowerCase()] = Array.isArray(value) ? value.join(', ') : value
    }
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#bytes > this.#maxBytes) {
      this.giveUp(new GivenUp('ANSWER_TOO_LARGE', `The answer is larger than ${this.#maxBytes} bytes.`))
    } else if (!this.#settled) {
      this.#chunks.push(chunk)
    }
  }

  onResponseEnd(): void {
    if (this.#status === null) {
      this.#fail(new GivenUp('NO_STATUS', 'The answer has no status.'))
      return
    }
    const body = Buffer.concat(this.#chunks).toString('utf8')
    this.#settle({
      kind: 'answer',
      status: this.#status,
      headers: this.#headers,
      body: body.startsWith('\uFEFF') ? body.slice(1) : body,
    })
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#fail(error)
  }

  #fail(error: Error): void {
    const code = codeOf(error)
    this.#settle({
      kind: 'failure',
      sent: this.#controller !== null,
      status: this.#status,
      code,
      message: error.message === '' ? code : error.message,
    })
  }

  #settle(outcome: HttpOutcome): void {
    if (this.#settled) return
    this.#settled = true
    this.#resolve(outcome)
    this.#chunks.length = 0
  }
}

/** The most telling code of an error: its cause's (`ECONNRESET`) before undici's wrapping (`UND_ERR_SOCKET`). */
function codeOf(error: Error): string {
  for (const one of [error.cause, error]) {
    if (one instanceof Error && 'code' in one && typeof one.code === 'string') return one.code
  }
  return error.name
}

/**
 * An HTTP/1.1 client with a bounded pool of sockets per origin. It follows no redirect, retries nothing,
 * and ignores proxy variables of the environment: behind a proxy the outbound policy could not see which
 * address a request really goes to.
 *
 * Two things keep a reset on a reused socket rare, which for a create cannot be told from a lost answer:
 * idle sockets are dropped before the server would (its `Keep-Alive` hint less a margin, else 4 s), and
 * undici looks for a waiting FIN or RST in the turn before it writes on a reused socket.
 */
export function createHttpClient(options: HttpClientOptions): HttpClient {
  const { policy, clock, connectionsPerOrigin = 32, maxAnswerBytes = 16 * 1024 * 1024 } = options
  const connector = (protocol: 'http' | 'https'): buildConnector.connector =>
    buildConnector({ allowH2: false, timeout: CONNECT_TIMEOUT_MS, lookup: guardedLookup(protocol, policy) })
  const secure = connector('https')
  const plain = connector('http')
  const agent = new Agent({
    connections: connectionsPerOrigin,
    pipelining: 1,
    allowH2: false,
    connect: (target: buildConnector.Options, done: buildConnector.Callback) =>
      (target.protocol === 'https:' ? secure : plain)(target, done),
    // One limit of our own covers the whole call; these would only end it with another error.
    headersTimeout: 0,
    bodyTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MAX_MS,
    keepAliveTimeoutThreshold: KEEP_ALIVE_MARGIN_MS,
  })
  let closing: Promise<void> | null = null

  return {
    async send(request, { timeoutMs, signal }) {
      const exchange = new Exchange(maxAnswerBytes)
      const onAbort = (): void => exchange.giveUp(new GivenUp('ABORTED', 'The call was aborted.'))
      const giveUpLate = (): void =>
        exchange.giveUp(new GivenUp('TIMEOUT', `There was no whole answer within ${timeoutMs} ms.`))
      const cancelTimer = clock.after(timeoutMs, giveUpLate)
      signal?.addEventListener('abort', onAbort, { once: true })
      try {
        if (signal?.aborted === true) onAbort()
        else if (timeoutMs <= 0) giveUpLate()
        else dispatch(agent, request, exchange)
        return await exchange.outcome
      } finally {
        cancelTimer()
        signal?.removeEventListener('abort', onAbort)
      }
    },
    close() {
      closing ??= agent.close()
      return closing
    },
  }
}

function dispatch(agent: Agent, request: HttpRequest, exchange: Exchange): void {
  try {
    const url = new URL(request.url)
    agent.dispatch(
      {
        origin: url.origin,
        path: url.pathname + url.search,
        method: request.method,
        headers: request.headers,
        body: request.body,
      },
      exchange,
    )
  } catch (error) {
    // A URL or header that cannot be sent at all; nothing has left.
    const message = error instanceof Error ? error.message : String(error)
    exchange.giveUp(new GivenUp('UNSENDABLE', message))
  }
}
