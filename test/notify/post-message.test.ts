import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { systemClock } from '../../src/kernel/clock.ts'
import { createPoster, readRetryAfter, type Poster } from '../../src/notify/post-message.ts'

let server: Server
let calls: number
let port: number
let posters: Poster[]
let answer: RequestListener

beforeEach(async () => {
  calls = 0
  posters = []
  server = createServer((request, response) => {
    calls += 1
    answer(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  port = (server.address() as AddressInfo).port
})
afterEach(async () => {
  await Promise.all(posters.map((one) => one.close()))
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

const poster = (allowInsecure: boolean, timeoutMs = 10_000): Poster => {
  const one = createPoster({ policy: { allowInsecure }, clock: systemClock, timeoutMs })
  posters.push(one)
  return one
}
const post = (one: Poster, host = '127.0.0.1') => one.post(`http://${host}:${port}/x`, {}, '{}')

it('an answer that does not come is given up in time', async () => {
  answer = () => undefined
  expect(await post(poster(true, 150))).toEqual({
    status: null,
    body: '',
    error: 'The receiver did not answer within 0.15 s.',
    retryAfterSeconds: null,
  })
})

it('a status is enough: a body without an end is not waited for', async () => {
  answer = (_, response) => {
    response.statusCode = 202
    const more = (): void => {
      if (!response.destroyed) response.write('x'.repeat(1_000), () => setImmediate(more))
    }
    more()
  }
  const posted = await post(poster(true))
  expect([posted.status, posted.body.length, posted.error]).toEqual([202, 1_024, null])
  answer = (_, response) => {
    response.writeHead(200)
    response.flushHeaders()
  }
  expect(await post(poster(true, 200))).toMatchObject({ status: 200, body: '', error: null })
})

it('only 2xx is taken, and a redirect leads nowhere', async () => {
  for (const status of [200, 204, 299, 300, 302, 307, 400, 410, 500]) {
    calls = 0
    answer = (_, response) => {
      response.writeHead(status, { location: `http://127.0.0.1:${port}/elsewhere` }).end()
    }
    const posted = await post(poster(true))
    expect([status, posted.error === null, calls]).toEqual([status, status < 300, 1])
  }
})

it('loopback is refused by the URL', async () => {
  const strict = poster(false)
  for (const url of [
    `https://127.0.0.1:${port}/`,
    `http://127.0.0.1:${port}/`,
    `https://localhost:${port}/`,
  ]) {
    const posted = await strict.post(url, {}, '{}')
    expect(posted).toMatchObject({
      status: null,
      error: expect.stringMatching(/private or loopback/) as string,
    })
  }
  expect(calls).toBe(0)
})

it('and by what a name resolves to when a socket is opened', async () => {
  // Lets the name pass where only the URL is looked at.
  let looks = 0
  const policy = {
    get allowInsecure() {
      looks += 1
      return looks === 1
    },
  }
  const one = createPoster({ policy, clock: systemClock })
  posters.push(one)
  const posted = await one.post(`https://localhost:${port}/`, {}, '{}')
  expect(posted).toMatchObject({ status: null, error: 'The host localhost resolves to a private address.' })
  expect(calls).toBe(0)
})

it('what cannot be reached is told in words, without the URL', async () => {
  const closed = port
  const posted = await poster(true).post(`http://127.0.0.1:1/x?token=secret-${closed}`, {}, '{}')
  expect(posted.status).toBeNull()
  expect(posted.error).toContain('ECONNREFUSED')
  expect(posted.error).not.toContain('secret')
})

it('what a receiver asks for is read as seconds or as a date, and nonsense as nothing', () => {
  const now = Date.UTC(2026, 0, 31, 12)
  const read = (text: string | undefined) => readRetryAfter(text, now)
  expect(['0', '120', 'Sat, 31 Jan 2026 12:00:30 GMT', 'Sat, 31 Jan 2026 11:00:00 GMT'].map(read)).toEqual([
    0, 120, 30, 0,
  ])
  expect([undefined, '', 'soon', '-1', '1.5', '2026', '2026-02-01'].map(read)).toEqual([
    null,
    null,
    null,
    null,
    null,
    2026,
    null,
  ])
})
