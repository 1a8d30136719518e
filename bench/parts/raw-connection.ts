import { connect, type Socket } from 'node:net'
import type { LoadRequest } from './load-protocol.ts'

/** Gets the status and the body of an answer; the body is only valid during the call. */
export type OnAnswer = (status: number, body: Buffer) => void

const HEAD_END = Buffer.from('\r\n\r\n')

/** A call as the bytes that go out, made once. */
export function toBytes(url: string, { method, path, headers, body }: LoadRequest): Buffer {
  const payload = body === undefined ? null : Buffer.from(body)
  const lines = [
    `${method} ${path} HTTP/1.1`,
    `host: ${new URL(url).host}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ...(payload === null ? [] : [`content-length: ${payload.length}`]),
  ]
  const head = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
  return payload === null ? head : Buffer.concat([head, payload])
}

/**
 * One HTTP/1.1 connection with one call at a time, that reads no more of an answer than its status, its
 * length and its body. A general client costs as much per call as a bare server, and with everything on two
 * processors the load would be what is measured.
 */
export class RawConnection {
  readonly #socket: Socket
  readonly #onLost: (error: Error) => void
  #onAnswer: OnAnswer | null = null
  /** What came of an answer whose end has not come. */
  #rest: Buffer | null = null
  #closing = false

  constructor(socket: Socket, onLost: (error: Error) => void) {
    this.#socket = socket
    this.#onLost = onLost
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('error', (error) => this.#lost(error))
    socket.on('close', () => this.#lost(new Error('the connection was closed')))
  }

  send(request: Buffer, onAnswer: OnAnswer): void {
    this.#onAnswer = onAnswer
    this.#socket.write(request)
  }

  close(): void {
    this.#closing = true
    this.#socket.destroy()
  }

  #lost(error: Error): void {
    if (this.#closing) return
    this.close()
    this.#onLost(error)
  }

  #read(chunk: Buffer): void {
    const data = this.#rest === null ? chunk : Buffer.concat([this.#rest, chunk])
    const headEnd = data.indexOf(HEAD_END)
    const body = headEnd < 0 ? null : readBody(data, headEnd + HEAD_END.length)
    if (body === undefined) {
      this.#lost(new Error(`an answer without a length: ${data.toString('latin1', 0, headEnd)}`))
      return
    }
    if (body === null) {
      this.#rest = data
      return
    }
    this.#rest = null
    const done = this.#onAnswer
    this.#onAnswer = null
    done?.(Number(data.toString('latin1', 9, 12)), body)
  }
}

/** The body; null when its end has not come, undefined when the head does not say where that is. */
function readBody(data: Buffer, bodyAt: number): Buffer | null | undefined {
  const head = data.toString('latin1', 0, bodyAt)
  const [, length] = /\r\ncontent-length: *(\d+)/i.exec(head) ?? []
  if (length !== undefined) {
    const end = bodyAt + Number(length)
    return data.length < end ? null : data.subarray(bodyAt, end)
  }
  return /\r\ntransfer-encoding: *chunked/i.test(head) ? joinChunks(data, bodyAt) : undefined
}

/** A body in chunks, joined; null when the last one has not come. */
function joinChunks(data: Buffer, bodyAt: number): Buffer | null {
  const chunks: Buffer[] = []
  for (let at = bodyAt; ;) {
    const sizeEnd = data.indexOf('\r\n', at)
    if (sizeEnd < 0) return null
    const size = parseInt(data.toString('latin1', at, sizeEnd), 16)
    const end = sizeEnd + 2 + size
    if (data.length < end + 2) return null
    if (size === 0) return Buffer.concat(chunks)
    chunks.push(data.subarray(sizeEnd + 2, end))
    at = end + 2
  }
}

/** Opens a connection. @throws {Error} when it is refused */
export function openConnection(url: string, onLost: (error: Error) => void): Promise<RawConnection> {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port) })
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      resolve(new RawConnection(socket, onLost))
    })
  })
}

/** Opens several, a few hundred at a time: a server's queue of new ones is not longer. */
export async function openConnections(
  url: string,
  count: number,
  onLost: (error: Error) => void,
): Promise<RawConnection[]> {
  const AT_ONCE = 200
  const opened: RawConnection[] = []
  while (opened.length < count) {
    const width = Math.min(AT_ONCE, count - opened.length)
    opened.push(...(await Promise.all(Array.from({ length: width }, () => openConnection(url, onLost)))))
  }
  return opened
}
