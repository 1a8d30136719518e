import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/kernel/clock.ts'
import {
  createHttpClient,
  type HttpClient,
  type HttpClientOptions,
} from '../../src/providers/salesforce/http.ts'
import { manualClock } from './manual-clock.ts'
import { rawAnswer, startRawServer, unusedPort, type RawRequest, type RawServer } from './raw-server.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

function client(options: Partial<HttpClientOptions> = {}): HttpClient {
  const http = createHttpClient({ policy: { allowInsecure: true }, clock: systemClock, ...options })
  cleanups.push(() => http.close())
  return http
}

async function serve(
  onRequest: (request: RawRequest) => void,
  onHead?: Parameters<typeof startRawServer>[1],
): Promise<RawServer> {
  const server = await startRawServer(onRequest, onHead)
  cleanups.push(() => server.close())
  return server
}

const post = (url: string, body = '{"a":1}') => ({
  method: 'POST',
  url: `${url}/x?y=1`,
  headers: { 'x-a': 'b' },
  body,
})
const limits = { timeoutMs: 20_000 }

describe('a whole answer', () => {
  it('comes with status, headers and body, whatever the status', async () => {
    const server = await serve(({ socket }) => {
      socket.write('HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n')
      socket.write(rawAnswer(503, '{"é":1}', { 'Sforce-Limit-Info': 'api-usage=1/2' }))
    })
    expect(await client().send(post(server.url), limits)).toEqual({
      kind: 'answer',
      status: 503,
      headers: { 'sforce-limit-info': 'api-usage=1/2', 'content-length': '8' },
      body: '{"é":1}',
    })
    expect(server.requests[0]?.head).toMatch(/^POST \/x\?y=1 HTTP\/1\.1\r\n/)
    expect(server.requests[0]?.head).toMatch(/x-a: b/)
    expect(server.requests[0]?.body).toBe('{"a":1}')
  })

  it('is not followed elsewhere', async () => {
    const server = await serve(({ socket }) => socket.write(rawAnswer(302, '', { location: '/other' })))
    expect(await client().send(post(server.url), limits)).toMatchObject({ kind: 'answer', status: 302 })
    expect(server.requests).toHaveLength(1)
  })
})

describe('certainly not sent', () => {
  const notSent = (code: unknown) => ({ kind: 'failure', sent: false, status: null, code })

  it('with nothing listening', async () => {
    const url = `http://127.0.0.1:${await unusedPort()}`
    expect(await client().send(post(url), limits)).toMatchObject(notSent('ECONNREFUSED'))
  })

  it('with no TLS on the other side', async () => {
    const plain = createServer((socket) =>
      socket
        .on('error', () => undefined)
        .resume()
        .end('not TLS\r\n'),
    )
    plain.listen(0, '127.0.0.1')
    await once(plain, 'listening')
    cleanups.push(async () => {
      plain.close()
      await once(plain, 'close')
    })
    const { port } = plain.address() as AddressInfo
    const outcome = await client().send(post(`https://127.0.0.1:${port}`), limits)
    expect(outcome).toMatchObject(notSent(expect.stringMatching(/SSL|TLS|EPROTO|ECONNRESET/)))
  })

  it('to a name that points into a private network', async () => {
    const server = await serve(({ socket }) => socket.write(rawAnswer(200, 'x')))
    const strict = client({ policy: { allowInsecure: false } })
    const url = server.url.replace('http://127.0.0.1', 'https://localhost')
    expect(await strict.send(post(url), limits)).toMatchObject(notSent('HOST_NOT_ALLOWED'))
    expect(server.requests).toHaveLength(0)
  })

  it('when aborted before, out of time before, or with a header that cannot be sent', async () => {
    const server = await serve(({ socket }) => socket.write(rawAnswer(200, 'x')))
    const http = client()
    expect(await http.send(post(server.url), { ...limits, signal: AbortSignal.abort() })).toMatchObject(
      notSent('ABORTED'),
    )
    expect(await http.send(post(server.url), { timeoutMs: 0 })).toMatchObject(notSent('TIMEOUT'))
    const secret = { ...post(server.url), headers: { authorization: 'Bearer secret\r\n' } }
    const outcome = await http.send(secret, limits)
    expect(outcome).toMatchObject(notSent(expect.any(String)))
    expect(JSON.stringify(outcome)).not.toContain('secret')
    expect(server.requests).toHaveLength(0)
  })

  it('when it gave up while waiting for a socket, and then never', async () => {
    const held = Promise.withResolvers<RawRequest>()
    const server = await serve((request) => {
      if (request.body === 'first') held.resolve(request)
      else request.socket.write(rawAnswer(200, request.body))
    })
    const http = client({ connectionsPerOrigin: 1 })
    const first = http.send(post(server.url, 'first'), limits)
    const { socket } = await held.promise
    const controller = new AbortController()
    const second = http.send(post(server.url, 'second'), { ...limits, signal: controller.signal })
    const third = http.send(post(server.url, 'third'), limits)
    controller.abort()
    expect(await second).toMatchObject(notSent('ABORTED'))
    socket.write(rawAnswer(200, 'first'))
    expect(await first).toMatchObject({ body: 'first' })
    expect(await third).toMatchObject({ body: 'third' })
    expect(server.requests.map(({ body, connection }) => [body, connection])).toEqual([
      ['first', 0],
      ['third', 0],
    ])
  })

  it('after it was closed', async () => {
    const server = await serve(({ socket }) => socket.write(rawAnswer(200, 'x')))
    const http = client()
    await http.close()
    expect(await http.send(post(server.url), limits)).toMatchObject({ kind: 'failure', sent: false })
    expect(server.requests).toHaveLength(0)
  })
})

describe('lost after it was sent', () => {
  const lost = (status: number | null, code: unknown = expect.any(String)) => ({
    kind: 'failure',
    sent: true,
    status,
    code,
  })

  it.each<[string, (number | null)[], (request: RawRequest) => void]>([
    ['closed without a word', [null], ({ socket }) => socket.end()],
    ['reset without a word', [null], ({ socket }) => socket.resetAndDestroy()],
    ['cut off inside the head', [null], ({ socket }) => socket.end('HTTP/1.1 200 OK\r\ncontent-le')],
    [
      'cut off inside the body',
      [200],
      ({ socket }) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[{"success":true}]'),
    ],
    [
      'cut off between chunks',
      [200],
      ({ socket }) => socket.end('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n[{"\r\n'),
    ],
    ['not HTTP, 1 MB of it', [null], ({ socket }) => socket.end(Buffer.alloc(1024 * 1024, 'garbage '))],
    [
      'reset inside the body',
      // A reset may overtake the head that was sent before it.
      [200, null],
      ({ socket }) => {
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[', () => socket.resetAndDestroy())
      },
    ],
  ])('the answer is %s', async (_, statuses, onRequest) => {
    const server = await serve(onRequest)
    const outcome = await client().send(post(server.url), limits)
    expect(statuses).toContain('status' in outcome ? outcome.status : 'none')
    expect(outcome).toMatchObject({ kind: 'failure', sent: true })
    expect(server.requests).toHaveLength(1)
  })

  it('when the socket is reset before the whole body was read', async () => {
    const server = await serve(
      () => undefined,
      (socket) => socket.resetAndDestroy(),
    )
    const large = 'x'.repeat(8 * 1024 * 1024)
    expect(await client().send(post(server.url, large), limits)).toMatchObject(lost(null))
  })

  it('when time runs out before an answer, or after its head', async () => {
    const clock = manualClock()
    const http = client({ clock })
    const arrived: (() => void)[] = []
    const server = await serve(({ socket, body }) => {
      if (body === 'head') socket.write('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab')
      arrived.shift()?.()
    })
    const silent = http.send(post(server.url, 'silent'), { timeoutMs: 250 })
    await new Promise<void>((done) => arrived.push(done))
    clock.expire()
    expect(await silent).toEqual({
      ...lost(null, 'TIMEOUT'),
      message: 'There was no whole answer within 250 ms.',
    })
    // The part that came is of no use, however soon it came: the limit is for all of the answer.
    const started = client().send(post(server.url, 'head'), { timeoutMs: 200 })
    expect(await started).toMatchObject(lost(200, 'TIMEOUT'))
  })

  it('when aborted under way', async () => {
    const controller = new AbortController()
    const server = await serve(() => controller.abort())
    const outcome = await client().send(post(server.url), { ...limits, signal: controller.signal })
    expect(outcome).toMatchObject(lost(null, 'ABORTED'))
  })

  it('when the answer is larger than allowed', async () => {
    const server = await serve(({ socket }) => socket.write(rawAnswer(200, 'x'.repeat(3000))))
    const http = client({ maxAnswerBytes: 2000 })
    expect(await http.send(post(server.url), limits)).toMatchObject(lost(200, 'ANSWER_TOO_LARGE'))
  })
})

describe('kept sockets', () => {
  it('carry one call after the other', async () => {
    const server = await serve(({ socket, body }) => socket.write(rawAnswer(200, body)))
    const http = client({ connectionsPerOrigin: 1 })
    for (const body of ['1', '2', '3']) {
      expect(await http.send(post(server.url, body), limits)).toMatchObject({ body })
    }
    expect(server.requests.map(({ connection }) => connection)).toEqual([0, 0, 0])
  })

  it('that the server closed meanwhile are not used again', async () => {
    const closed = Promise.withResolvers<undefined>()
    const server = await serve(({ socket, connection, body }) => {
      socket.write(rawAnswer(200, body), () => {
        if (connection === 0) socket.on('close', () => closed.resolve(undefined)).end()
      })
    })
    const http = client({ connectionsPerOrigin: 1 })
    await http.send(post(server.url, '1'), limits)
    await closed.promise
    expect(await http.send(post(server.url, '2'), limits)).toMatchObject({ kind: 'answer', body: '2' })
    expect(server.requests.map(({ connection }) => connection)).toEqual([0, 1])
  })

  it('that are reset as the next call arrives lose it, and it is not sent again', async () => {
    const server = await serve(({ socket, turn, body }) => {
      if (turn === 0) socket.write(rawAnswer(200, body))
      else socket.resetAndDestroy()
    })
    const http = client({ connectionsPerOrigin: 1 })
    await http.send(post(server.url, '1'), limits)
    expect(await http.send(post(server.url, '2'), limits)).toMatchObject({
      kind: 'failure',
      sent: true,
      status: null,
    })
    expect(server.requests.map(({ body }) => body)).toEqual(['1', '2'])
  })

  it('are dropped before the server drops them, when it says how long it keeps them', async () => {
    const server = await serve(({ socket, body }) => {
      socket.write(rawAnswer(200, body, { connection: 'keep-alive', 'keep-alive': 'timeout=2' }))
    })
    const http = client({ connectionsPerOrigin: 1 })
    await http.send(post(server.url, '1'), limits)
    await http.send(post(server.url, '2'), limits)
    expect(server.requests.map(({ connection }) => connection)).toEqual([0, 1])
  })
})
