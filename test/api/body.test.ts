import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MAX_DEPTH, MAX_VALUES, parseJson, unstorableText } from '../../src/api/json-body.ts'
import { issuesOf, jsonOf, startHarness, type Harness } from './harness.ts'

let harness: Harness
const echoed: unknown[] = []
beforeAll(async () => {
  harness = await startHarness({
    routes: [
      (app) => {
        app.post('/echo', (request) => {
          echoed.push(request.body)
          return Promise.resolve({ ok: true })
        })
        return Promise.resolve()
      },
    ],
  })
})
afterAll(() => harness.close())

const post = (body: string | Buffer, headers: Record<string, string> = {}) =>
  harness.app.inject({
    method: 'POST',
    url: '/v1/projects',
    headers: { 'x-api-key': 'the-operator-key', 'content-type': 'application/json', ...headers },
    payload: body,
  })

describe('bodies that are no good', () => {
  test.each([
    ['{"name": ', 'is not valid JSON'],
    ['{"name":\n "x" "y"}', 'is not valid JSON (line 2 column 6)'],
    ["{'name': 'x'}", 'is not valid JSON'],
    ['', 'must be JSON'],
    ['{"name":"x"} trailing', 'is not valid JSON'],
    ['[]', 'must be an object'],
    ['null', 'must be an object'],
    ['"text"', 'must be an object'],
  ])('%j', async (body, message) => {
    const answer = await post(body)
    expect(answer.statusCode).toBe(400)
    expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8')
    expect(issuesOf(answer)[0]).toContain(` ${message}`)
  })

  test('no body at all', async () => {
    const answer = await harness.call('POST', '/v1/projects')
    expect([answer.statusCode, issuesOf(answer)]).toEqual([400, [' must be an object']])
  })

  test('bytes that are not UTF-8 are refused, not replaced', async () => {
    const answer = await post(Buffer.from([...Buffer.from('{"name":"'), 0xff, 0xfe, ...Buffer.from('"}')]))
    expect([answer.statusCode, issuesOf(answer)]).toEqual([400, [' must be UTF-8']])
  })

  test.each([
    ['text/plain', {}],
    ['application/x-www-form-urlencoded', {}],
    ['application/xml', {}],
    ['nonsense', {}],
    ['application/json', { 'content-encoding': 'gzip' }],
  ])('%s %j is a 415', async (type, headers) => {
    const answer = await post('{"name":"y"}', { 'content-type': type, ...headers })
    expect([answer.statusCode, jsonOf(answer).code]).toEqual([415, 'UNSUPPORTED_MEDIA_TYPE'])
  })

  test.each(['application/json', 'application/json; charset=utf-8', 'Application/JSON;charset=UTF-8'])(
    '%s is taken',
    async (type) => {
      const name = `by ${type.replaceAll('/', ' ')}`
      expect((await post(JSON.stringify({ name }), { 'content-type': type })).statusCode).toBe(201)
    },
  )

  test('NUL characters and half surrogate pairs are named with their place', async () => {
    const answer = await post(
      '{"name": "a\\u0000b", "list": [1, {"\\ud800": "\\udfff"}], "ok": "\\ud83e\\udd86"}',
    )
    expect(answer.statusCode).toBe(400)
    expect(issuesOf(answer)).toEqual([
      '/list/1/\uFFFD the name must not contain NUL characters or half surrogate pairs',
      '/name must not contain NUL characters or half surrogate pairs',
    ])
  })

  test('too deep, and too many values', async () => {
    const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
    expect(parseJson(Buffer.from(nested(MAX_DEPTH)))).toBeInstanceOf(Array)
    expect(issuesOf(await post(nested(MAX_DEPTH + 1)))).toEqual([' must not nest more than 64 levels'])
    expect((await post('{"a":'.repeat(1_000_000))).statusCode).toBe(400)
    const many = `[${'0,'.repeat(MAX_VALUES + 1)}0]`
    expect(issuesOf(await post(many))).toEqual([' must not hold more than 250000 values'])
    // brackets and commas inside texts count for nothing, whatever is escaped around them
    const text = JSON.stringify({ a: '[[{{,,"'.repeat(50_000), b: '\\', c: '"\\"[' })
    expect(parseJson(Buffer.from(text))).toMatchObject({ b: '\\', c: '"\\"[' })
  })

  test('a hostile body full of unknown fields is answered with a bounded number of issues', async () => {
    const body = `{${Array.from({ length: 100_000 }, (_, n) => `"k${n}":1`).join(',')}}`
    const answer = await post(body)
    expect(answer.statusCode).toBe(400)
    expect(issuesOf(answer)).toHaveLength(100)
  })
})

describe('members that name what every object has', () => {
  test('are unknown fields like others', async () => {
    const answer = await post(
      '{"name":"p","__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}',
    )
    expect(answer.statusCode).toBe(400)
    expect(issuesOf(answer)).toEqual(['/__proto__ is not a known field', '/constructor is not a known field'])
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
    const missing = await post('{"__proto__":{"name":"inherited"}}')
    expect(issuesOf(missing)).toEqual(['/__proto__ is not a known field', '/name is required'])
  })

  test('are data where any field is allowed', async () => {
    const text = '{"record":{"__proto__":{"a":1},"constructor":2,"hasOwnProperty":3}}'
    await harness.call('POST', '/v1/echo', { body: text })
    const body = echoed.at(-1)
    expect(JSON.stringify(body)).toBe(text)
    expect(Object.getPrototypeOf((body as { record: object }).record)).toBe(Object.prototype)
  })
})

test('unstorable text is found in any JSON value', () => {
  const message: unknown = expect.any(String)
  expect(unstorableText({ a: ['fine', '\u0000'], 'b/c~d': '\ud800' })).toEqual([
    { path: '/a/1', message },
    { path: '/b~1c~0d', message },
  ])
  expect(unstorableText({ a: '🦆', b: null, c: 1 })).toEqual([])
})
