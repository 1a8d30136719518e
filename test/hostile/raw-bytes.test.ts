import { once } from 'node:events'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ADMIN_KEY, startHarness, type Harness } from '../api/harness.ts'

let harness: Harness
let url: URL
beforeAll(async () => {
  harness = await startHarness({ timeouts: { headers: 500, request: 800, checked: 50 } })
  url = new URL(await harness.app.listen({ host: '127.0.0.1', port: 0 }))
})
afterAll(() => harness.close())

const key = `X-Api-Key: ${ADMIN_KEY}`
const json = 'Content-Type: application/json'
const post = (head: string[], body = ''): string =>
  ['POST /v1/projects HTTP/1.1', 'Host: x', key, json, ...head, '', body].join('\r\n')

/** Sends bytes and nothing more; resolves with what came back once the server has closed. */
async function exchange(bytes: string): Promise<string> {
  const socket = connect(Number(url.port), '127.0.0.1')
  await once(socket, 'connect')
  socket.on('error', () => undefined)
  socket.write(Buffer.from(bytes, 'latin1'))
  return text(socket)
}

it.each([
  ['a line break within a header', post(['X-Request-Id: a\nX-Evil: 1\r: 2', 'Content-Length: 2'], '{}'), 400],
  ['a NUL within a header', post(['X-A: a\0b', 'Content-Length: 2'], '{}'), 400],
  ['two lengths', post(['Content-Length: 2', 'Content-Length: 3'], '{}x'), 400],
  ['a length and chunks', post(['Content-Length: 2', 'Transfer-Encoding: chunked'], '0\r\n\r\n'), 400],
  ['a length that is none', post(['Content-Length: -1'], '{}'), 400],
  ['chunks that are none', post(['Transfer-Encoding: chunked'], 'zz\r\n{}\r\n'), 400],
  ['a body that ends too soon', post(['Content-Length: 100'], '{"name":'), 408],
  ['headers that never end', `POST /v1/projects HTTP/1.1\r\nHost: x\r\n${key}\r\n`, 408],
  ['a method that is none', 'STEAL / HTTP/1.1\r\nHost: x\r\n\r\n', 400],
  ['no HTTP at all', '\u0016\u0003\u0001 hello\r\n\r\n', 400],
  ['headers without measure', post([`X-Long: ${'x'.repeat(20_000)}`]), 431],
])('%s is answered with a problem', async (_, bytes, status) => {
  const answer = await exchange(bytes)
  const [head = '', body = ''] = answer.split('\r\n\r\n')
  expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
  expect(head).toMatch(/content-type: application\/problem\+json/i)
  expect(head).not.toMatch(/x-evil/i)
  const problem = JSON.parse(body) as { status: number; requestId: string }
  expect(problem.status).toBe(status)
  expect(/x-request-id: (\S+)/i.exec(head)?.[1]).toBe(problem.requestId)
  expect((await harness.app.inject('/healthz')).statusCode).toBe(200)
})

it('no project was made by any of it', async () => {
  expect(await harness.sql`select name from project`).toEqual([])
})
