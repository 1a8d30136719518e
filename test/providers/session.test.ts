import { generateKeyPairSync, verify } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { silentLogger } from '../../src/kernel/log.ts'
import type { Credentials, MintedSession } from '../../src/model/credentials.ts'
import { SessionError, type Provider } from '../../src/providers/provider.ts'
import { createSalesforceProvider } from '../../src/providers/salesforce/index.ts'
import { audienceOf } from '../../src/providers/salesforce/jwt-assertion.ts'
import { manualClock } from './manual-clock.ts'
import { rawAnswer, startRawServer, unusedPort, type RawRequest, type RawServer } from './raw-server.ts'

const limits = { timeoutMs: 20_000 }
const clock = manualClock()
let answerWith: (request: RawRequest) => void
let host: RawServer
let provider: Provider

beforeEach(async () => {
  host = await startRawServer((request) => answerWith(request))
  provider = createSalesforceProvider({ logger: silentLogger, allowInsecure: true, clock })
  answerWith = ({ socket }) => socket.write(rawAnswer(200, JSON.stringify(granted())))
})
afterEach(async () => {
  await provider.close()
  await host.close()
})

const granted = (extra: object = {}): object => ({
  access_token: 'token!AQ.1_2-3',
  instance_url: host.url,
  id: `${host.url}/id/00D/005`,
  token_type: 'Bearer',
  ...extra,
})
const refreshToken = (): Credentials => ({
  type: 'oauth2-refresh-token',
  clientId: 'app',
  clientSecret: 'the-secret',
  refreshToken: 'the-refresh-token',
  loginUrl: host.url,
})
const clientCredentials = (): Credentials => ({
  type: 'oauth2-client-credentials',
  clientId: 'app',
  clientSecret: 'the-secret',
  loginUrl: host.url,
})
const form = (): Record<string, string> => Object.fromEntries(new URLSearchParams(host.requests[0]?.body))

async function failure(credentials: Credentials): Promise<SessionError> {
  const error: unknown = await provider.openSession(credentials, limits).catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(SessionError)
  const { message, stack, cause } = error as SessionError
  for (const secret of ['the-secret', 'the-refresh-token', 'PRIVATE KEY']) {
    expect([message, stack, String(cause)].join()).not.toContain(secret)
  }
  return error as SessionError
}

describe('the grants', () => {
  it('refresh token: posts the form to the login host', async () => {
    const session = await provider.openSession(refreshToken(), limits)
    expect(session).toEqual({ accessToken: 'token!AQ.1_2-3', instanceUrl: host.url } satisfies MintedSession)
    expect(host.requests[0]?.head).toMatch(/^POST \/services\/oauth2\/token HTTP/)
    expect(host.requests[0]?.head).toContain('content-type: application/x-www-form-urlencoded')
    expect(form()).toEqual({
      grant_type: 'refresh_token',
      refresh_token: 'the-refresh-token',
      client_id: 'app',
      client_secret: 'the-secret',
    })
  })

  it.each([
    ['00D5g0000012345', '00D5g0000012345EAA'],
    ['00D5g0000012345EAA', '00D5g0000012345EAA'],
    ['00D5g0000012345AAA', undefined],
    ['0055g0000012345', undefined],
  ])('the org of the identity %s is %s', async (org, orgId) => {
    const id = `https://login.salesforce.com/id/${org}/0055g0000067890AAA`
    answerWith = ({ socket }) => socket.write(rawAnswer(200, JSON.stringify(granted({ id }))))
    expect((await provider.openSession(clientCredentials(), limits)).orgId).toBe(orgId)
  })

  it('refresh token: hands over the one that replaces it', async () => {
    answerWith = ({ socket }) =>
      socket.write(rawAnswer(200, JSON.stringify(granted({ refresh_token: 'next' }))))
    expect(await provider.openSession(refreshToken(), limits)).toMatchObject({ rotatedRefreshToken: 'next' })
    answerWith = ({ socket }) =>
      socket.write(rawAnswer(200, JSON.stringify(granted({ refresh_token: 'the-refresh-token' }))))
    expect(await provider.openSession(refreshToken(), limits)).not.toHaveProperty('rotatedRefreshToken')
  })

  it('client credentials', async () => {
    expect(await provider.openSession(clientCredentials(), limits)).toMatchObject({ instanceUrl: host.url })
    expect(form()).toEqual({
      grant_type: 'client_credentials',
      client_id: 'app',
      client_secret: 'the-secret',
    })
  })

  it('JWT bearer: signs for the production audience, for two minutes', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    await provider.openSession(
      { type: 'oauth2-jwt-bearer', clientId: 'app', username: 'user@x', privateKey: pem, loginUrl: host.url },
      limits,
    )
    const { assertion = '', ...rest } = form()
    expect(rest).toEqual({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer' })
    const [head = '', payload = '', signature = ''] = assertion.split('.')
    const decode = (text: string): unknown => JSON.parse(Buffer.from(text, 'base64url').toString())
    expect(decode(head)).toEqual({ alg: 'RS256', typ: 'JWT' })
    expect(decode(payload)).toEqual({
      iss: 'app',
      sub: 'user@x',
      aud: 'https://login.salesforce.com',
      exp: Math.floor(clock.now() / 1000) + 120,
    })
    const signed = Buffer.from(`${head}.${payload}`)
    expect(verify('sha256', signed, publicKey, Buffer.from(signature, 'base64url'))).toBe(true)
  })

  it.each([
    ['login.salesforce.com', 'https://login.salesforce.com'],
    ['test.salesforce.com', 'https://test.salesforce.com'],
    ['acme.my.salesforce.com', 'https://login.salesforce.com'],
    ['acme--dev.sandbox.my.salesforce.com', 'https://test.salesforce.com'],
    ['acme--dev.my.salesforce.com', 'https://test.salesforce.com'],
    ['127.0.0.1', 'https://login.salesforce.com'],
  ])('JWT bearer: the audience for %s is %s', (loginHost, audience) => {
    expect(audienceOf(loginHost)).toBe(audience)
  })

  it('access token: is given back without a request', async () => {
    const credentials = { type: 'access-token', accessToken: 'abc', instanceUrl: `${host.url}/` } as const
    expect(await provider.openSession(credentials, limits)).toEqual({
      accessToken: 'abc',
      instanceUrl: host.url,
    })
    expect(host.requests).toHaveLength(0)
  })
})

describe('a refusal by the login host', () => {
  it.each([
    ['invalid_grant', 400, 'permanent'],
    ['invalid_client', 401, 'permanent'],
    ['invalid_client_id', 400, 'permanent'],
    ['inactive_user', 400, 'permanent'],
    ['inactive_org', 400, 'permanent'],
    ['unsupported_grant_type', 400, 'permanent'],
    ['invalid_request', 400, 'permanent'],
    ['something_new', 400, 'permanent'],
    ['rate_limit_exceeded', 400, 'transient'],
    ['rate_limit_exceeded', 429, 'transient'],
  ])('%s under %i is %s', async (error, status, kind) => {
    const body = JSON.stringify({ error, error_description: 'expired access/refresh token' })
    answerWith = ({ socket }) => socket.write(rawAnswer(status, body))
    for (const credentials of [refreshToken(), clientCredentials()]) {
      expect(await failure(credentials)).toMatchObject({ kind })
    }
  })

  it('keeps the code and the description, but not a secret that is in it', async () => {
    const body = JSON.stringify({
      error: 'invalid_grant',
      error_description: 'no such token: the-refresh-token',
    })
    answerWith = ({ socket }) => socket.write(rawAnswer(400, body))
    expect(await failure(refreshToken())).toMatchObject({
      code: 'invalid_grant',
      message: 'The login host refused with invalid_grant: no such token: [removed]',
    })
  })
})

describe('an answer that settles nothing is ambiguous for a refresh token, transient for the others', () => {
  it.each<[string, (request: RawRequest) => void]>([
    ['500', ({ socket }) => socket.write(rawAnswer(500, ''))],
    ['503 with an error', ({ socket }) => socket.write(rawAnswer(503, '{"error":"server_error"}'))],
    [
      'HTML under 200',
      ({ socket }) => socket.write(rawAnswer(200, '<html>', { 'content-type': 'text/html' })),
    ],
    ['a session without a host', ({ socket }) => socket.write(rawAnswer(200, '{"access_token":"x"}'))],
    ['a reset', ({ socket }) => socket.resetAndDestroy()],
    ['a cut', ({ socket }) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"access')],
    ['silence', () => clock.expire()],
  ])('%s', async (_, answer) => {
    answerWith = answer
    expect(await failure(refreshToken())).toMatchObject({ kind: 'ambiguous' })
    expect(await failure(clientCredentials())).toMatchObject({ kind: 'transient' })
    expect(host.requests).toHaveLength(2)
  })

  it('but a login host that was never reached is transient for all', async () => {
    const loginUrl = `http://127.0.0.1:${await unusedPort()}`
    const error = await failure({ ...refreshToken(), loginUrl } as Credentials)
    expect(error).toMatchObject({ kind: 'transient', code: 'ECONNREFUSED' })
  })
})

describe('what must not be called or used is permanent', () => {
  it('a redirect of the login host, which is not followed', async () => {
    answerWith = ({ socket }) => socket.write(rawAnswer(302, '', { location: 'https://elsewhere.example/x' }))
    expect(await failure(refreshToken())).toMatchObject({ kind: 'permanent', code: 'UNEXPECTED_REDIRECT' })
    expect(host.requests).toHaveLength(1)
  })

  it.each([
    'https://acme.lightning.force.com',
    'http://93.184.216.34',
    'https://acme.my.salesforce.com/x',
    'nonsense',
  ])('a session on %s', async (instanceUrl) => {
    answerWith = ({ socket }) =>
      socket.write(rawAnswer(200, JSON.stringify(granted({ instance_url: instanceUrl }))))
    expect(await failure(clientCredentials())).toMatchObject({ kind: 'permanent', code: 'HOST_NOT_ALLOWED' })
  })

  it('a loopback or private host, unless insecure hosts are allowed', async () => {
    await provider.close()
    provider = createSalesforceProvider({ logger: silentLogger, allowInsecure: false, clock })
    const loopback = host.url.replace('http:', 'https:')
    const byName = loopback.replace('127.0.0.1', 'localhost')
    for (const loginUrl of [host.url, loopback, byName, 'https://10.0.0.1']) {
      const error = await failure({ ...refreshToken(), loginUrl } as Credentials)
      expect(error).toMatchObject({ kind: 'permanent', code: 'HOST_NOT_ALLOWED' })
    }
    const fixed = { type: 'access-token', accessToken: 'abc', instanceUrl: loopback } as const
    expect(await failure(fixed)).toMatchObject({ kind: 'permanent', code: 'HOST_NOT_ALLOWED' })
    expect(host.requests).toHaveLength(0)
  })

  it('an access token that fits no header', async () => {
    const odd = { type: 'access-token', accessToken: 'the-secret\r\nx: y', instanceUrl: host.url } as const
    expect(await failure(odd)).toMatchObject({ kind: 'permanent', code: 'INVALID_ACCESS_TOKEN' })
  })

  it('a private key that cannot sign RS256', async () => {
    const elliptic = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
    const pems = [
      '-----BEGIN PRIVATE KEY-----\nxx',
      elliptic.export({ type: 'pkcs8', format: 'pem' }).toString(),
    ]
    for (const privateKey of pems) {
      const base = { type: 'oauth2-jwt-bearer', clientId: 'app', username: 'u', loginUrl: host.url } as const
      expect(await failure({ ...base, privateKey })).toMatchObject({
        kind: 'permanent',
        code: 'INVALID_PRIVATE_KEY',
      })
    }
    expect(host.requests).toHaveLength(0)
  })
})
