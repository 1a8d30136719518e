import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { silentLogger } from '../../src/kernel/log.ts'
import type { Session } from '../../src/model/credentials.ts'
import type { CallAnswer } from '../../src/model/outcome.ts'
import type { CallOptions, Provider, ProviderGroup } from '../../src/providers/provider.ts'
import { createSalesforceProvider } from '../../src/providers/salesforce/index.ts'
import { rawAnswer, startRawServer, unusedPort, type RawRequest, type RawServer } from './raw-server.ts'

// Before anything is loaded, since jsforce reads these as it loads: a proxy that nobody answers at.
vi.hoisted(() => {
  for (const name of ['http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY'])
    process.env[name] = 'http://127.0.0.1:9'
})

const limits = { timeoutMs: 20_000 }
let answerWith: (request: RawRequest) => void
let host: RawServer
let provider: Provider

beforeEach(async () => {
  host = await startRawServer((request) => answerWith(request))
  provider = createSalesforceProvider({ logger: silentLogger, allowInsecure: true })
})
afterEach(async () => {
  await provider.close()
  await host.close()
})

const session = (accessToken = 'token-1') => ({ accessToken, instanceUrl: host.url })
const group = (part: Partial<ProviderGroup> = {}): ProviderGroup => ({
  objectName: 'Contact',
  type: 'create',
  externalIdField: null,
  allOrNone: false,
  headers: [],
  records: ['{"LastName":"Itō"}'],
  ...part,
})
/** The answer to one group, and the calls that it took. */
async function sendOne(
  one: Session,
  options: CallOptions,
  part: Partial<ProviderGroup> = {},
  through = provider,
): Promise<CallAnswer & { calls: number }> {
  const { answers, calls } = await through.sendGroups(one, [group(part)], options)
  expect(answers).toHaveLength(1)
  return { ...answers[0]!, calls }
}
const success = '[{"id":"003A","success":true,"errors":[]}]'

describe('a call', () => {
  it('goes through jsforce with session, version and length, past any proxy of the environment', async () => {
    answerWith = ({ socket }) => {
      socket.write(
        rawAnswer(200, success, {
          'content-type': 'application/json;charset=UTF-8',
          'Sforce-Limit-Info': 'api-usage=7/15000',
        }),
      )
    }
    expect(await sendOne(session(), limits)).toEqual({
      kind: 'answered',
      status: 200,
      records: [
        { ok: true, recordId: '003A', created: true, raw: { id: '003A', success: true, errors: [] } },
      ],
      usage: { used: 7, limit: 15000 },
      calls: 1,
    })
    const { head = '', body = '' } = host.requests[0] ?? {}
    expect(head).toMatch(/^POST \/services\/data\/v67\.0\/composite\/sobjects HTTP/)
    expect(head).toMatch(/^content-type: application\/json$/m)
    expect(head).toMatch(/^authorization: Bearer token-1$/im)
    expect(head).toContain(`content-length: ${Buffer.byteLength(body)}`)
    expect(body).toBe('{"allOrNone":false,"records":[{"attributes":{"type":"Contact"},"LastName":"Itō"}]}')
  })

  it('uses the API version that it was made with, and each session its own token', async () => {
    const other = createSalesforceProvider({ logger: silentLogger, allowInsecure: true, apiVersion: '60.0' })
    answerWith = ({ socket }) => socket.write(rawAnswer(200, success))
    const upsert = { type: 'upsert', externalIdField: 'Key__c' } as const
    for (const token of ['a', 'b', 'a']) await sendOne(session(token), limits, upsert, other)
    await other.close()
    const seen = host.requests.map(({ head }) => [
      /^(\S+ \S+)/.exec(head)?.[1],
      /authorization: Bearer (\S+)/i.exec(head)?.[1],
    ])
    const path = 'PATCH /services/data/v60.0/composite/sobjects/Contact/Key__c'
    expect(seen).toEqual(['a', 'b', 'a'].map((token) => [path, token]))
  })
})

describe('every ending is an answer, and none is repeated', () => {
  it.each<[string, (request: RawRequest) => void, object]>([
    [
      'a session that expired',
      ({ socket }) =>
        socket.write(
          rawAnswer(401, '[{"errorCode":"INVALID_SESSION_ID","message":"Session expired or invalid"}]'),
        ),
      { kind: 'refused', status: 401, errorClass: 'auth' },
    ],
    [
      'a redirect',
      ({ socket }) => socket.write(rawAnswer(302, success, { location: '/elsewhere' })),
      { kind: 'refused', status: 302, errorClass: 'auth', errors: [{ code: 'UNEXPECTED_REDIRECT' }] },
    ],
    [
      'several matches',
      ({ socket }) => socket.write(rawAnswer(300, '["/a","/b"]')),
      { kind: 'refused', status: 300, errorClass: 'permanent' },
    ],
    [
      'items under 400',
      ({ socket }) =>
        socket.write(rawAnswer(400, '[{"success":false,"errors":[{"statusCode":"X","message":"y"}]}]')),
      {
        kind: 'answered',
        status: 400,
        records: [{ ok: false, errorClass: 'permanent', errors: [{ code: 'X' }] }],
      },
    ],
    [
      'a page under 503',
      ({ socket }) => socket.write(rawAnswer(503, '<html>', { 'content-type': 'text/html' })),
      { kind: 'lost', status: 503, error: { code: 'UNEXPECTED_HTML' } },
    ],
    [
      'XML under 200',
      ({ socket }) => socket.write(rawAnswer(200, '<a/>', { 'content-type': 'application/xml' })),
      { kind: 'lost', status: 200 },
    ],
    [
      'an answer cut off midway',
      ({ socket }) => socket.end(`HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n${success}`),
      { kind: 'lost', status: 200 },
    ],
    ['a reset', ({ socket }) => socket.resetAndDestroy(), { kind: 'lost', status: null }],
  ])('%s', async (_, answer, expected) => {
    answerWith = answer
    expect(await sendOne(session(), limits)).toMatchObject(expected)
    expect(host.requests).toHaveLength(1)
  })

  it('silence until time is up', async () => {
    answerWith = () => undefined
    expect(await sendOne(session(), { timeoutMs: 100 })).toMatchObject({
      kind: 'lost',
      status: null,
      error: { code: 'TIMEOUT' },
    })
  })

  it('nobody there, or aborted before: not sent', async () => {
    const nowhere = { accessToken: 'x', instanceUrl: `http://127.0.0.1:${await unusedPort()}` }
    expect(await sendOne(nowhere, limits)).toMatchObject({
      kind: 'not_sent',
      error: { code: 'ECONNREFUSED' },
    })
    const aborted = { ...limits, signal: AbortSignal.abort() }
    expect(await sendOne(session(), aborted)).toMatchObject({ kind: 'not_sent' })
    await provider.close()
    expect(await sendOne(session(), limits)).toMatchObject({ kind: 'not_sent' })
    expect(host.requests).toHaveLength(0)
  })

  it('a session or a group that must not be sent: refused here, as the connection’s or the group’s fault', async () => {
    const strict = createSalesforceProvider({ logger: silentLogger, allowInsecure: false })
    for (const instanceUrl of [
      host.url,
      host.url.replace('http://127.0.0.1', 'https://localhost'),
      'nonsense',
    ]) {
      expect(await sendOne({ accessToken: 'x', instanceUrl }, limits, {}, strict)).toMatchObject({
        kind: 'refused',
        status: 0,
        errorClass: 'auth',
        errors: [{ code: 'HOST_NOT_ALLOWED' }],
      })
    }
    await strict.close()
    expect(await sendOne(session(), limits, { records: [] })).toMatchObject({
      kind: 'refused',
      status: 0,
      errorClass: 'permanent',
      errors: [{ code: 'INVALID_GROUP' }],
    })
    expect(host.requests).toHaveLength(0)
  })
})
