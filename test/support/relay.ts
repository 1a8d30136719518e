import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/** A way to a database that can be cut and mended. */
export interface Relay {
  url: string
  /** Ends every connection and takes no more. */
  cut: () => void
  mend: () => void
  stop: () => Promise<void>
}

/** Opens a way to the database at this URL. */
export async function startRelay(to: string): Promise<Relay> {
  const url = new URL(to)
  const [port, host] = [Number(url.port), url.hostname]
  const sockets = new Set<Socket>()
  let isCut = false
  const server = createServer((near) => {
    if (isCut) return void near.destroy()
    const far = connect(port, host)
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
    near.pipe(far).pipe(near)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url.hostname = '127.0.0.1'
  url.port = String((server.address() as AddressInfo).port)
  const end = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    url: url.href,
    cut: () => {
      isCut = true
      end()
    },
    mend: () => {
      isCut = false
    },
    stop: async () => {
      end()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
