import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connectLinkRoutes } from '../../src/api/admin/connect-links.ts'
import { isSalesforceLogin, readMyDomain } from '../../src/model/login-hosts.ts'
import type { NewLink } from '../../src/connections/connect-links.ts'
import { issuesOf, jsonOf, startHarness, type Harness } from './harness.ts'

/** What links were asked for. */
const asked: NewLink[] = []
const createLink = (_: string, input: NewLink) => {
  asked.push(input)
  const id = '0197a3b2-6b1f-7c52-9a53-0d3f5f2b8c11'
  return Promise.resolve({ id, url: 'https://writeback.example.com/connect/x', expiresAt: new Date(0) })
}

let secure: Harness
let insecure: Harness
beforeAll(async () => {
  const start = (allowInsecure: boolean): Promise<Harness> =>
    startHarness({
      allowInsecureProviders: allowInsecure,
      routes: [connectLinkRoutes({ createLink, allowInsecure })],
    })
  ;[secure, insecure] = await Promise.all([start(false), start(true)])
  for (const { call } of [secure, insecure]) await call('POST', '/v1/projects', { body: { name: 'acme' } })
})
afterAll(() => Promise.all([secure.close(), insecure.close()]))

const app = { groupRef: 'g', provider: 'salesforce', clientId: 'an-app' }
const post = (body: unknown, on = secure) =>
  on.call('POST', '/v1/projects/acme/connections:connect', { body })

describe('making a link', () => {
  test('takes what it needs, and answers with the link and its end', async () => {
    const made = await post({
      ...app,
      clientSecret: 'shh',
      loginUrl: 'https://acme--dev.sandbox.my.salesforce.com/',
      returnUrl: 'https://app.example.com/a?b=c#d',
    })
    expect([made.statusCode, jsonOf(made)]).toEqual([
      201,
      {
        id: expect.any(String) as string,
        url: 'https://writeback.example.com/connect/x',
        expireTime: '1970-01-01T00:00:00.000Z',
      },
    ])
    expect(asked.at(-1)).toEqual({
      groupRef: 'g',
      provider: 'salesforce',
      app: { clientId: 'an-app', clientSecret: 'shh' },
      loginUrl: 'https://acme--dev.sandbox.my.salesforce.com',
      returnUrl: 'https://app.example.com/a?b=c#d',
    })
    await post(app)
    expect(asked.at(-1)).toEqual({ groupRef: 'g', provider: 'salesforce', app: { clientId: 'an-app' } })
  })

  test('names everything that is wrong at once', async () => {
    const wrong = {
      groupRef: '',
      provider: 'sap',
      clientSecret: 'a b',
      loginUrl: 'x',
      returnUrl: 'y',
      scope: 'z',
    }
    expect(issuesOf(await post(wrong))).toEqual([
      '/clientId is required',
      '/clientSecret must be printable ASCII without spaces',
      '/groupRef must not be empty',
      '/loginUrl must be a URL',
      '/provider must be one of: salesforce',
      '/returnUrl must begin with https:// or http:// and name a host, without a user',
      '/scope is not a known field',
    ])
  })

  test.each([
    'javascript:alert(1)',
    'data:text/html,x',
    '//evil.example',
    'https://user:pass@a.example',
    '/back',
  ])('leads back to no such address: %s', async (returnUrl) => {
    expect(issuesOf(await post({ ...app, returnUrl }))).toHaveLength(1)
  })

  test('sends customers to no host but those of Salesforce, and to private ones where they are allowed', async () => {
    const statusFor = async (loginUrl: string): Promise<number[]> => [
      (await post({ ...app, loginUrl })).statusCode,
      (await post({ ...app, loginUrl }, insecure)).statusCode,
    ]
    const taken = [
      'https://login.salesforce.com',
      'https://test.salesforce.com',
      'https://acme.my.salesforce.com',
    ]
    for (const url of taken) expect([url, await statusFor(url)]).toEqual([url, [201, 201]])
    const foreign = [
      'https://example.com',
      'https://my.salesforce.com',
      'https://acme.my.salesforce.com.example.com',
      'https://acme.my.salesforce.com:8443',
      'https://acme.my.salesforce.com/path',
      'http://example.com',
    ]
    for (const url of foreign) expect([url, await statusFor(url)]).toEqual([url, [400, 400]])
    for (const url of ['http://127.0.0.1:8090', 'http://simulator:8090'])
      expect([url, await statusFor(url)]).toEqual([url, [400, 201]])
  })

  test('needs a key that may administer', async () => {
    const { call } = secure
    const keyOf = async (scope: string): Promise<string> => {
      const body = { label: scope, scopes: [scope] }
      return String(jsonOf(await call('POST', '/v1/projects/acme/api-keys', { body })).key)
    }
    const path = '/v1/projects/acme/connections:connect'
    const statusWith = async (key: string | null) =>
      (await call('POST', path, { body: app, ...(key === null ? { key } : { key: await keyOf(key) }) }))
        .statusCode
    expect(await Promise.all(['admin', 'write', 'read', null].map(statusWith))).toEqual([201, 403, 403, 401])
  })
})

describe('a My Domain', () => {
  test.each([
    ['acme.my.salesforce.com', 'https://acme.my.salesforce.com'],
    [' HTTPS://Acme.My.Salesforce.com/ ', 'https://acme.my.salesforce.com'],
    ['acme', 'https://acme.my.salesforce.com'],
    ['acme--dev.sandbox.my.salesforce.com', 'https://acme--dev.sandbox.my.salesforce.com'],
    ['https://acme.lightning.force.com/lightning/page/home?x#y', 'https://acme.my.salesforce.com'],
    ['https://acme--dev.sandbox.lightning.force.com', 'https://acme--dev.sandbox.my.salesforce.com'],
    ['acme-dev-ed.develop.my.salesforce.com', 'https://acme-dev-ed.develop.my.salesforce.com'],
    [
      'https://acme.my.salesforce-setup.com/lightning/setup/SetupOneHome/home',
      'https://acme.my.salesforce.com',
    ],
  ])('is read from %j', (text, origin) => {
    expect(readMyDomain(text)).toBe(origin)
    expect(isSalesforceLogin(origin)).toBe(true)
  })

  test.each([
    'evil.example',
    'acme.my.salesforce.com.evil.example',
    'evil.example/acme.my.salesforce.com',
    'evil.example\\@acme.my.salesforce.com',
    'acme.my.salesforce.com@evil.example',
    'https://user:pass@acme.my.salesforce.com',
    'http://acme.my.salesforce.com',
    'https://acme.my.salesforce.com:444',
    'javascript:alert(1)//.my.salesforce.com',
    'my.salesforce.com',
    '-acme.my.salesforce.com',
    'acme.my.salesforce-setup.com.evil.example',
    'my.salesforce-setup.com',
    'acme.my.salesforce.com.',
    'аcme.evil.example',
    '[::1]',
    '127.0.0.1',
    '',
  ])('is not read from %j', (text) => {
    const origin = readMyDomain(text)
    expect(origin === null || !isSalesforceLogin(origin)).toBe(true)
  })
})
