import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ADMIN_KEY, startHarness, type Harness } from './harness.ts'

let harness: Harness
let url: string
beforeAll(async () => {
  harness = await startHarness({ timeouts: { headers: 200, request: 300, checked: 50 } })
  url = await harness.app.listen({ host: '127.0.0.1', port: 0 })
})
afterAll(() => harness.close())

const headers = { 'x-api-key': ADMIN_KEY, 'content-type': 'application/json' }
const isAlive = async (): Promise<boolean> => (await fetch(`${url}/healthz`)).ok

async function open(): Promise<Socket> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  await once(socket, 'connect')
  return socket
}

test('closing finishes what is in flight', async () => {
  const arrived = Promise.withResolvers<undefined>()
  const gate = Promise.withResolvers<undefined>()
  const other = await startHarness({
    routes: [
      (app) => {
        app.get('/slow', async () => {
          arrived.resolve(undefined)
          await gate.promise
          return { ok: true }
        })
        return Promise.resolve()
      },
    ],
  })
  const answer = fetch(`${await other.app.listen({ host: '127.0.0.1', port: 0 })}/v1/slow`)
  await arrived.promise
  const closed = other.close()
  gate.resolve(undefined)
  expect(await (await answer).json()).toEqual({ ok: true })
  await closed
})

test('closing does not wait for a connection that never carried a request', async () => {
  const other = await startHarness()
  const { port } = new URL(await other.app.listen({ host: '127.0.0.1', port: 0 }))
  const accepted = once(other.app.server, 'connection')
  const socket = connect(Number(port), '127.0.0.1')
  socket.on('error', () => undefined)
  await accepted
  const ended = once(socket, 'close')
  await other.close()
  await ended
  expect(socket.destroyed).toBe(true)
})

describe('over a real socket', () => {
  test('sets up and reads back', async () => {
    const body = JSON.stringify({ name: 'real' })
    const made = await fetch(`${url}/v1/projects`, { method: 'POST', headers, body })
    expect(made.status).toBe(201)
    const got = await fetch(`${url}${String(made.headers.get('location'))}`, { headers })
    expect(await got.json()).toEqual(await made.json())
  })

  test('30 MB are a 413, declared or not, and the process lives', async () => {
    const bytes = Buffer.alloc(30 * 1024 * 1024, 0x20)
    const declared = await fetch(`${url}/v1/projects`, { method: 'POST', headers, body: bytes })
    expect(declared.status).toBe(413)
    expect(await declared.json()).toMatchObject({ code: 'BODY_TOO_LARGE', status: 413 })
    const chunks = new ReadableStream({
      start(controller) {
        for (let at = 0; at < bytes.length; at += 1 << 20)
          controller.enqueue(bytes.subarray(at, at + (1 << 20)))
        controller.close()
      },
    })
    const streamed = await fetch(`${url}/v1/projects`, {
      method: 'POST',
      headers,
      body: chunks,
      duplex: 'half',
    })
    expect(streamed.status).toBe(413)
    expect(await isAlive()).toBe(true)
  })

  test('a body just under the limit is read', async () => {
    const body = JSON.stringify({ name: 'x', filler: 'y'.repeat(6 * 1024 * 1024 - 30) })
    const answer = await fetch(`${url}/v1/projects`, { method: 'POST', headers, body })
    expect(answer.status).toBe(400)
    expect(await answer.json()).toMatchObject({
      issues: [{ path: '/filler', message: 'is not a known field' }],
    })
  })

  test.each([
    ['headers that never end', 'GET /healthz HTTP/1.1\r\nHost: x\r\n', '408', 'REQUEST_TIMEOUT'],
    [
      'a body that never comes',
      `POST /v1/projects HTTP/1.1\r\nHost: x\r\nX-Api-Key: ${ADMIN_KEY}\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{`,
      '408',
      'REQUEST_TIMEOUT',
    ],
    ['no HTTP at all', 'hello there\r\n\r\n', '400', 'INVALID_REQUEST'],
    ['headers without end', `GET / HTTP/1.1\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`, '431', 'INVALID_REQUEST'],
  ])('%s: a problem, and the connection is closed', async (_, bytes, status, code) => {
    const socket = await open()
    socket.write(bytes)
    const answer = await text(socket)
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    const body = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))) as Record<string, unknown>
    expect(body).toMatchObject({ status: Number(status), code })
    expect(await isAlive()).toBe(true)
  })

  test('a client that hangs up in the middle of its body harms nobody', async () => {
    const socket = await open()
    socket.write(
      `POST /v1/projects HTTP/1.1\r\nHost: x\r\nX-Api-Key: ${ADMIN_KEY}\r\nContent-Type: application/json\r\nContent-Length: 2000\r\n\r\n{"name`,
    )
    const closed = once(socket, 'close')
    socket.resetAndDestroy()
    await closed
    expect(await isAlive()).toBe(true)
  })
})
