import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { toWritebackError } from '../../src/api/error-handler.ts'
import { isDatabaseUnavailable } from '../../src/db/pg-errors.ts'
import { WritebackError } from '../../src/kernel/errors.ts'
import { issuesOf, jsonOf, startHarness, type Harness } from './harness.ts'

const failures: Record<string, Error> = {
  bug: new TypeError('secret internals at line 7'),
  internal: new WritebackError('INTERNAL', 'secret internals'),
  database: Object.assign(new Error('connect ECONNREFUSED 10.0.0.1:5432'), { code: 'ECONNREFUSED' }),
  full: new WritebackError('TOO_MUCH_QUEUED', 'Too much waits.', { retryAfter: 1.5, remedy: 'Send less.' }),
}

let harness: Harness
const someText: unknown = expect.any(String)
const someTime: unknown = expect.stringMatching(/^\d{4}-.*Z$/)
beforeAll(async () => {
  harness = await startHarness({
    routes: [
      (app) => {
        app.get<{ Params: { kind: string } }>('/fail/:kind', (request) =>
          Promise.reject(failures[request.params.kind] ?? new Error('unknown')),
        )
        return Promise.resolve()
      },
    ],
  })
})
afterAll(() => harness.close())

describe('problems', () => {
  test('carry what the contract names', async () => {
    const answer = await harness.call('GET', '/v1/nowhere', { headers: { 'x-request-id': 'abc/1' } })
    expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8')
    expect(answer.headers['x-request-id']).toBe('abc/1')
    expect(jsonOf(answer)).toEqual({
      type: 'urn:writeback:problem:not-found',
      title: 'Not found',
      status: 404,
      detail: someText,
      instance: 'urn:writeback:request:abc%2F1',
      code: 'NOT_FOUND',
      requestId: 'abc/1',
      time: someTime,
      retryable: false,
      remedy: someText,
    })
  })

  test.each(['bug', 'internal'])(
    '%s: a 500 that tells nothing, and a log line that tells all',
    async (kind) => {
      const answer = await harness.call('GET', `/v1/fail/${kind}?token=query-secret`)
      expect(answer.statusCode).toBe(500)
      expect(answer.body).not.toContain('secret')
      const id = String(answer.headers['x-request-id'])
      const line = harness.lines.find((text) => text.includes(id) && text.startsWith('["warn"'))
      expect(line).toContain('secret internals')
      expect(harness.lines.join()).not.toContain('query-secret')
    },
  )

  test('the database away is a 503 with Retry-After', async () => {
    const answer = await harness.call('GET', '/v1/fail/database')
    expect(answer.statusCode).toBe(503)
    expect(answer.headers['retry-after']).toBe('2')
    expect(jsonOf(answer)).toMatchObject({ code: 'DATABASE_UNAVAILABLE', retryable: true })
    expect(answer.body).not.toContain('10.0.0.1')
  })

  test('Retry-After says in seconds what retryAfter says as a time', async () => {
    const answer = await harness.call('GET', '/v1/fail/full')
    const { retryAfter, time, remedy } = jsonOf(answer)
    expect([answer.statusCode, answer.headers['retry-after'], remedy]).toEqual([429, '2', 'Send less.'])
    expect(Date.parse(String(retryAfter)) - Date.parse(String(time))).toBe(1_500)
  })

  test('an insane request id is replaced', async () => {
    for (const given of ['two words', 'x'.repeat(200), 'a\u00e9', '']) {
      const answer = await harness.call('GET', '/healthz', { headers: { 'x-request-id': given } })
      expect(answer.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/)
    }
  })

  test('a known path with another method is a 405 that says which there are', async () => {
    for (const [method, url, allow] of [
      ['DELETE', '/v1/projects', 'GET, HEAD, POST'],
      ['POST', '/healthz', 'GET, HEAD'],
      ['PUT', '/v1/projects/some-name/api-keys', 'GET, HEAD, POST'],
    ] as const) {
      const answer = await harness.call(method, url, { key: null })
      expect([answer.statusCode, answer.headers.allow]).toEqual([405, allow])
    }
  })

  test('an unknown path is a 404 whatever is sent there', async () => {
    for (const [type, body] of [
      ['application/json', '{ not json'],
      ['text/plain', 'hello'],
      ['application/json', '{}'],
    ] as const) {
      const answer = await harness.call('POST', '/v2/x', { body, headers: { 'content-type': type } })
      expect(answer.statusCode).toBe(404)
    }
  })

  test('a path that is no path is a 400', async () => {
    const answer = await harness.call('GET', '/v1/projects/%zz')
    expect([answer.statusCode, jsonOf(answer).code]).toEqual([400, 'INVALID_REQUEST'])
    expect(answer.headers['x-request-id']).toBe(jsonOf(answer).requestId)
  })

  test('an error of the catalogue keeps its code; its cause stays inside', () => {
    const error = new WritebackError('CONFLICT', 'Taken.', { cause: new Error('inner') })
    expect(toWritebackError(error, isDatabaseUnavailable)).toBe(error)
    expect(toWritebackError('a thrown text', isDatabaseUnavailable).code).toBe('INTERNAL')
    expect(toWritebackError(undefined, isDatabaseUnavailable).code).toBe('INTERNAL')
  })
})

describe('lists', () => {
  test('are cut into pages that together hold everything once', async () => {
    for (let n = 0; n < 7; n++) await harness.call('POST', '/v1/projects', { body: { name: `page-${n}` } })
    const names: string[] = []
    let token = ''
    let pages = 0
    do {
      const answer = await harness.call('GET', `/v1/projects?pageSize=3&pageToken=${token}`)
      const page = answer.json<{
        results: { name: string }[]
        pagination: { done: boolean; nextPageToken?: string }
      }>()
      names.push(...page.results.map(({ name }) => name))
      expect(page.pagination.done).toBe(page.pagination.nextPageToken === undefined)
      token = page.pagination.nextPageToken ?? ''
      pages++
    } while (token !== '')
    expect(pages).toBe(3)
    expect(names).toEqual([6, 5, 4, 3, 2, 1, 0].map((n) => `page-${n}`))
  })

  test('refuse what they do not know', async () => {
    const answer = await harness.call('GET', '/v1/projects?pageSize=0&page=2')
    expect(issuesOf(answer)).toEqual([
      '/query/page is not a known field',
      '/query/pageSize must be at least 1',
    ])
    const wrong = await harness.call('GET', '/v1/projects?pageSize=x')
    expect(issuesOf(wrong)).toEqual(['/query/pageSize must be a whole number'])
    for (const token of ['nonsense', '%00', 'AAAA', 'x'.repeat(22)]) {
      const answer = await harness.call('GET', `/v1/projects?pageToken=${token}`)
      expect([answer.statusCode, issuesOf(answer)[0]?.split(' ')[0]]).toEqual([400, '/query/pageToken'])
    }
  })
})
