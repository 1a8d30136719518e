import { generateKeyPairSync } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { issuesOf, jsonOf, startHarness, type Harness } from './harness.ts'

let harness: Harness
let insecure: Harness
beforeAll(async () => {
  harness = await startHarness()
  insecure = await startHarness({ allowInsecureProviders: true })
  for (const { call } of [harness, insecure]) await call('POST', '/v1/projects', { body: { name: 'acme' } })
})
afterAll(() => Promise.all([harness.close(), insecure.close()]))

const path = '/v1/projects/acme/connections'
const post = (credentials: unknown, on = harness) =>
  on.call('POST', path, { body: { groupRef: 'g', provider: 'salesforce', credentials } })

const pem = (modulusLength: number): string =>
  generateKeyPairSync('rsa', { modulusLength }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()

describe('each credential type', () => {
  test.each([
    { type: 'oauth2-refresh-token', clientId: 'id-0', refreshToken: 'secret-1' },
    {
      type: 'oauth2-refresh-token',
      clientId: 'id-0',
      clientSecret: 'secret-2',
      refreshToken: 'secret-3',
      loginUrl: 'https://test.salesforce.com',
    },
    {
      type: 'oauth2-client-credentials',
      clientId: 'id-0',
      clientSecret: 'secret-4',
      loginUrl: 'https://acme.my.salesforce.com',
    },
    { type: 'oauth2-jwt-bearer', clientId: 'id-0', username: 'ann@acme.test', privateKey: pem(2048) },
    { type: 'access-token', accessToken: '00D!secret-5', instanceUrl: 'https://acme.my.salesforce.com' },
  ])('$type is taken, and never shown or kept in clear', async (credentials) => {
    const made = await post(credentials)
    expect(made.statusCode).toBe(201)
    const connection = jsonOf(made)
    expect(connection).toEqual({
      id: String(connection.id),
      groupRef: 'g',
      provider: 'salesforce',
      status: 'working',
    })
    const got = await harness.call('GET', String(made.headers.location))
    expect(jsonOf(got)).toEqual(connection)
    const list = await harness.call('GET', path)
    const rows = await harness.sql`select * from connection where id = ${String(connection.id)}`
    const kept = JSON.stringify(rows, (_, value: unknown) =>
      typeof value === 'object' && value !== null && 'data' in value && Array.isArray(value.data)
        ? Buffer.from(value.data as number[]).toString('latin1')
        : value,
    )
    const seen = [made.body, got.body, list.body, kept, ...harness.lines].join('\n')
    const secrets = Object.entries(credentials).filter(
      ([name]) => /secret|token|key/i.test(name) && name !== 'type',
    )
    expect(secrets.length).toBeGreaterThan(0)
    for (const [, secret] of secrets) expect(seen).not.toContain(secret.slice(0, 60))
  })
})

describe('refusals name every field at once', () => {
  test('of the variant that is meant, and of no other', async () => {
    const answer = await harness.call('POST', path, {
      body: {
        groupRef: '',
        provider: 'sap',
        credentials: {
          type: 'oauth2-client-credentials',
          clientId: 'a b',
          refreshToken: 'x',
          loginUrl: 'http://a.test',
        },
      },
    })
    expect(answer.statusCode).toBe(400)
    expect(issuesOf(answer)).toEqual([
      '/credentials/clientId must be printable ASCII without spaces',
      '/credentials/clientSecret is required',
      '/credentials/loginUrl must begin with https://',
      '/credentials/refreshToken is not a known field',
      '/groupRef must not be empty',
      '/provider must be one of: salesforce',
    ])
  })

  const types = 'oauth2-refresh-token, oauth2-client-credentials, oauth2-jwt-bearer, access-token'
  test.each([
    [{}, ['/credentials/type is required']],
    [{ type: 'password' }, [`/credentials/type must be one of: ${types}`]],
    [{ type: 7 }, [`/credentials/type must be one of: ${types}`]],
    ['a string', ['/credentials must be an object']],
    [null, ['/credentials must be an object']],
  ])('credentials %j', async (credentials, issues) => {
    expect(issuesOf(await post(credentials))).toEqual(issues)
  })

  test.each([
    'http://login.salesforce.com',
    'https://localhost',
    'https://127.0.0.1',
    'https://[::1]',
    'https://192.168.0.1',
    'https://169.254.169.254',
  ])('%s is no place to send secrets to', async (url) => {
    const login = await post({
      type: 'oauth2-client-credentials',
      clientId: 'a',
      clientSecret: 'b',
      loginUrl: url,
    })
    expect([login.statusCode, issuesOf(login)[0]?.split(' ')[0]]).toEqual([400, '/credentials/loginUrl'])
    const instance = await post({ type: 'access-token', accessToken: 'a', instanceUrl: url })
    expect([instance.statusCode, issuesOf(instance)[0]?.split(' ')[0]]).toEqual([
      400,
      '/credentials/instanceUrl',
    ])
  })

  test('insecure hosts are taken where the operator allows them', async () => {
    const credentials = { type: 'access-token', accessToken: 'a', instanceUrl: 'http://127.0.0.1:8085' }
    expect((await post(credentials, insecure)).statusCode).toBe(201)
  })

  test('a weak private key, and a secret that no header can carry', async () => {
    const jwt = { type: 'oauth2-jwt-bearer', clientId: 'a', username: 'u', privateKey: pem(1024) }
    expect(issuesOf(await post(jwt))).toEqual([
      '/credentials/privateKey must be an RSA private key in PEM, 2,048 bits or more',
    ])
    const split = {
      type: 'access-token',
      accessToken: 'a\r\nX-Evil: 1',
      instanceUrl: 'https://a.my.salesforce.com',
    }
    const answer = await post(split)
    expect(issuesOf(answer)).toEqual(['/credentials/accessToken must be printable ASCII without spaces'])
  })

  test('no refusal repeats a secret, not even when the JSON is broken around it', async () => {
    const good = JSON.stringify({ credentials: { type: 'access-token', accessToken: 'hush hush' } })
    const bodies = [good, good.replace('"hush hush"', '"hush hush'), good.replaceAll('"', "'"), `${good}}`]
    for (const body of bodies) {
      const answer = await harness.call('POST', path, { body })
      expect(answer.statusCode).toBe(400)
      expect(answer.body).not.toContain('hush')
    }
    expect(harness.lines.join('\n')).not.toContain('hush')
  })
})
