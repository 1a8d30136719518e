import { afterEach, describe, expect, it } from 'vitest'
import { silentLogger } from '../../src/kernel/log.ts'
import type { Session } from '../../src/model/credentials.ts'
import type { PassedRequest } from '../../src/providers/reading-provider.ts'
import { createSalesforceProvider } from '../../src/providers/salesforce/index.ts'
import { rawAnswer, startRawServer, type RawServer } from './raw-server.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const limits = { timeoutMs: 10_000 }
const TOKEN = '00DRM00000000001!A-token-of-more-than-twelve'

/** A provider, and an org that answers every request with this. */
async function orgWith(answer: string | ((head: string) => string)) {
  const server: RawServer = await startRawServer(({ socket, head }) =>
    socket.write(typeof answer === 'string' ? answer : answer(head)),
  )
  const provider = createSalesforceProvider({ logger: silentLogger, allowInsecure: true })
  cleanups.push(
    () => server.close(),
    () => provider.close(),
  )
  const session: Session = { accessToken: TOKEN, instanceUrl: server.url }
  const heads = () => server.requests.map(({ head }) => head.split('\r\n')[0])
  return { server, provider, session, heads }
}

const page = (more: object) =>
  rawAnswer(200, JSON.stringify({ totalSize: 1, done: true, records: [{}], ...more }))

describe('a page of a query', () => {
  it('is the text of the answer, in one call that is told what it used', async () => {
    const body = '{"totalSize":1,"done":true,"records":[{"N":12345678901234567890.5}]}'
    const headers = { 'content-type': 'application/json', 'Sforce-Limit-Info': 'api-usage=7/100' }
    const { provider, session, heads } = await orgWith(rawAnswer(200, body, headers))
    const { answer, calls } = await provider.query(
      session,
      { soql: "SELECT N FROM C WHERE A = '+&'" },
      limits,
    )
    expect(answer).toMatchObject({
      kind: 'read',
      value: { json: body, nextRecordsUrl: null },
      usage: { used: 7, limit: 100 },
    })
    expect(calls).toBe(1)
    expect(heads()).toEqual([
      `GET /services/data/v67.0/query?q=SELECT%20N%20FROM%20C%20WHERE%20A%20%3D%20%27%2B%26%27 HTTP/1.1`,
    ])
  })

  it('is asked for by its path alone', async () => {
    const { provider, session, heads } = await orgWith(page({}))
    const next = '/services/data/v60.0/query/01gRM000000LocAYAS-2000'
    expect((await provider.query(session, { nextRecordsUrl: next }, limits)).answer.kind).toBe('read')
    for (const nextRecordsUrl of [
      'http://evil.example.com/services/data/v60.0/query/x',
      '/services/data/v60.0/query/../../../oauth2/userinfo',
      '/services/data/v60.0/query/a/b',
      '/services/data/v60.0/query/a?x=1',
      '/services/oauth2/userinfo',
    ]) {
      const { answer, calls } = await provider.query(session, { nextRecordsUrl }, limits)
      expect(answer).toMatchObject({ kind: 'refused', errors: [{ code: 'INVALID_PAGE' }] })
      expect(calls).toBe(0)
    }
    expect(heads()).toHaveLength(1)
  })

  it.each([
    ['another shape', { records: 'x' }],
    ['no count', { totalSize: '1' }],
    ['an end and a next page', { nextRecordsUrl: '/services/data/v60.0/query/x-1' }],
    [
      'a next page elsewhere',
      { done: false, nextRecordsUrl: 'http://evil.example.com/services/data/v60.0/query/x' },
    ],
    ['no end and no next page', { done: false }],
  ])('that has %s is not believed', async (_, more) => {
    const { provider, session } = await orgWith(page(more))
    const { answer } = await provider.query(session, { soql: 'SELECT Id FROM C' }, limits)
    expect(answer).toMatchObject({ kind: 'not_sent', error: { code: 'UNREADABLE_ANSWER' } })
  })

  it('with members of its own loses them', async () => {
    const { provider, session } = await orgWith(page({ queryLocator: 'x' }))
    const { answer } = await provider.query(session, { soql: 'SELECT Id FROM C' }, limits)
    expect(answer).toMatchObject({
      kind: 'read',
      value: { json: '{"totalSize":1,"done":true,"records":[{}]}' },
    })
  })

  it('whose answer is lost wrote nothing', async () => {
    const { provider, session } = await orgWith(rawAnswer(500, ''))
    const { answer } = await provider.query(session, { soql: 'SELECT Id FROM C' }, limits)
    expect(answer).toMatchObject({ kind: 'not_sent', error: { code: 'EMPTY_ANSWER' } })
  })
})

describe('a description', () => {
  it('leaves out what cannot be read and no more', async () => {
    const fields = [
      { name: 'A__c', label: 'A', externalId: true, createable: true },
      { label: 'no name' },
      null,
    ]
    const { provider, session, heads } = await orgWith(rawAnswer(200, JSON.stringify({ fields })))
    const { answer } = await provider.describeObject(session, 'Contact', limits)
    expect(answer).toMatchObject({
      kind: 'read',
      value: [{ name: 'A__c', label: 'A', externalId: true, createable: true, updateable: false }],
    })
    expect(heads()).toEqual(['GET /services/data/v67.0/sobjects/Contact/describe HTTP/1.1'])
    const { answer: wrong, calls } = await provider.describeObject(session, '..', limits)
    expect(wrong).toMatchObject({ kind: 'refused', errors: [{ code: 'INVALID_GROUP' }] })
    expect(calls).toBe(0)
  })

  it('without a list is not believed', async () => {
    const { provider, session } = await orgWith(rawAnswer(200, '{"sobjects":{}}'))
    const { answer } = await provider.describeGlobal(session, limits)
    expect(answer).toMatchObject({ kind: 'not_sent', error: { code: 'UNREADABLE_ANSWER' } })
  })
})

describe('a request that is passed on', () => {
  const request = (part: Partial<PassedRequest> = {}): PassedRequest => ({
    method: 'GET',
    path: '/limits',
    headers: [],
    body: null,
    ...part,
  })

  it('goes out as it is, with the session', async () => {
    const { provider, session, server } = await orgWith(
      rawAnswer(202, 'fine', { 'content-type': 'text/plain' }),
    )
    const headers = [
      { key: 'content-type', value: 'text/csv' },
      { key: 'sforce-mru', value: 'updateMru=false' },
    ]
    const path = '/services/data/v60.0/jobs/ingest/750/batches?x=%2F'
    const { answer } = await provider.request(
      session,
      request({ method: 'PUT', path, headers, body: 'a,b' }),
      limits,
    )
    expect(answer).toMatchObject({
      kind: 'passed',
      status: 202,
      headers: { 'content-type': 'text/plain' },
      body: 'fine',
    })
    const [sent] = server.requests
    expect(sent?.head).toMatch(/^PUT \/services\/data\/v60\.0\/jobs\/ingest\/750\/batches\?x=%2F HTTP/)
    expect(sent?.head).toContain(`Authorization: Bearer ${TOKEN}`)
    expect(sent?.head).toContain('content-type: text/csv')
    expect(sent?.head).not.toContain('application/json')
    expect(sent?.body).toBe('a,b')
  })

  it('leaves the instance by no path', async () => {
    const { provider, session, server } = await orgWith(rawAnswer(200, '{}'))
    for (const path of [
      '//x/y',
      'http://x/y',
      '@x/y',
      '.x/y',
      '/../y',
      '/a/%2e%2e/b',
      '/a\\b',
      '/a\tb',
      '/a#b',
      '',
    ]) {
      const { answer, calls } = await provider.request(session, request({ path }), limits)
      expect([path, answer.kind, calls]).toEqual([path, 'refused', 0])
    }
    expect(server.requests).toEqual([])
  })

  it('shows no cookie and no session', async () => {
    const secret = TOKEN.split('!')[1]!
    const { provider, session } = await orgWith(
      rawAnswer(201, JSON.stringify({ token: TOKEN }), {
        'content-type': 'application/json',
        'set-cookie': 'sid=1',
        location: `/x?sid=${secret}`,
        'x-powered-by': 'x',
      }),
    )
    const { answer } = await provider.request(session, request({ method: 'POST', body: '{}' }), limits)
    if (answer.kind !== 'passed') throw new Error(answer.kind)
    expect(answer.headers).toEqual({ 'content-type': 'application/json', location: '/x?sid=[removed]' })
    expect(answer.body).not.toContain(secret)
  })

  it('that is refused for its session says so, by HEAD too', async () => {
    const { provider, session } = await orgWith((head) =>
      head.startsWith('HEAD')
        ? 'HTTP/1.1 401 X\r\ncontent-length: 0\r\n\r\n'
        : rawAnswer(401, '[{"errorCode":"INVALID_SESSION_ID","message":"expired"}]'),
    )
    for (const method of ['GET', 'HEAD', 'POST'] as const) {
      const { answer } = await provider.request(session, request({ method }), limits)
      expect(answer).toMatchObject({
        kind: 'passed',
        status: 401,
        said: { kind: 'refused', errorClass: 'auth' },
      })
    }
  })
})
