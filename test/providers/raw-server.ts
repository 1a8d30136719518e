import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'

/** One request as it came over a socket, head and body as text. */
export interface RawRequest {
  head: string
  body: string
  socket: Socket
  /** Counts sockets and, on each, its requests; both from 0. */
  connection: number
  turn: number
}

/** A server that speaks bytes, so that it can misbehave in every way. */
export interface RawServer {
  url: string
  requests: RawRequest[]
  close(): Promise<void>
}

const lengthOf = (head: string): number => Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0)

/** Starts a server on a free port; `onRequest` gets each request once its whole body is there. */
export async function startRawServer(
  onRequest: (request: RawRequest) => void,
  onHead?: (socket: Socket, head: string) => void,
): Promise<RawServer> {
  const requests: RawRequest[] = []
  const sockets = new Set<Socket>()
  let connections = 0
  const server = createServer((socket) => {
    const connection = connections++
    let turn = 0
    let pending = Buffer.alloc(0)
    let headSeen = false
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
    socket.on('data', (chunk) => {
      pending = Buffer.concat([pending, chunk])
      for (;;) {
        const end = pending.indexOf('\r\n\r\n')
        if (end < 0) return
        const head = pending.subarray(0, end).toString()
        if (!headSeen) onHead?.(socket, head)
        headSeen = true
        const total = end + 4 + lengthOf(head)
        if (pending.length < total) return
        const body = pending.subarray(end + 4, total).toString()
        pending = pending.subarray(total)
        headSeen = false
        const request = { head, body, socket, connection, turn: turn++ }
        requests.push(request)
        onRequest(request)
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** A whole answer as bytes. */
export function rawAnswer(
  status: number,
  body: string,
  headers: Record<string, string> = { 'content-type': 'application/json' },
): string {
  const lines = Object.entries({ ...headers, 'content-length': String(Buffer.byteLength(body)) })
  return `HTTP/1.1 ${status} X\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`
}

/** A port on which nothing listens. */
export async function unusedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
