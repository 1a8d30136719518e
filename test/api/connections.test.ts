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

describe('new credentials', () => {
  const first = {
    type: 'access-token',
    accessToken: 'first-one',
    instanceUrl: 'https://acme.my.salesforce.com',
  }
  const renewed = {
    type: 'oauth2-refresh-token',
    clientId: 'id-0',
    clientSecret: 'hush-secret',
    refreshToken: 'hush-token',
    loginUrl: 'https://test.salesforce.com',
  }
  const patch = (id: string, body: unknown, key?: string) =>
    harness.call('PATCH', `${path}/${id}`, { body, ...(key !== undefined && { key }) })
  const made = async (): Promise<string> => String(jsonOf(await post(first)).id)
  const keyWith = async (project: string, ...scopes: string[]) => {
    const answer = await harness.call('POST', `/v1/projects/${project}/api-keys`, {
      body: { label: 'k', scopes },
    })
    return { id: String(jsonOf(answer).id), key: String(jsonOf(answer).key) }
  }
  const rowOf = async (id: string) => (await harness.sql`select * from connection where id = ${id}`)[0]!

  test('replace the old: the connection works again, and shows nothing of them', async () => {
    const id = await made()
    await harness.sql`update connection set status = 'broken', status_reason = 'x' where id = ${id}`
    expect(jsonOf(await harness.call('GET', `${path}/${id}`))).toMatchObject({ status: 'broken' })
    const before = await rowOf(id)
    const answer = await patch(id, { credentials: renewed })
    expect(answer.statusCode).toBe(200)
    expect(jsonOf(answer)).toEqual({ id, groupRef: 'g', provider: 'salesforce', status: 'working' })
    expect(jsonOf(await harness.call('GET', `${path}/${id}`))).toEqual(jsonOf(answer))
    const after = await rowOf(id)
    expect(after['credential_type']).toBe('oauth2-refresh-token')
    expect(after['credentials']).not.toEqual(before['credentials'])
    expect([answer.body, ...harness.lines].join()).not.toContain('hush')
  })

  test('leave one line in the log that says whose, by whom, and none of them', async () => {
    const id = await made()
    const { id: keyId, key } = await keyWith('acme', 'admin')
    const seen = harness.lines.length
    await patch(id, { credentials: renewed })
    await patch(id, { credentials: first }, key)
    await patch(id, { credentials: { type: 'access-token' } }, key)
    const lines = harness.lines.slice(seen).filter((line) => line.includes('new credentials'))
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      [
        'info',
        expect.objectContaining({ connectionId: id, key: 'admin', credentialType: 'oauth2-refresh-token' }),
        'a connection was given new credentials',
      ],
      [
        'info',
        expect.objectContaining({ connectionId: id, key: keyId, credentialType: 'access-token' }),
        'a connection was given new credentials',
      ],
    ])
    expect(lines.join()).not.toMatch(/hush|first-one/)
  })

  test('are looked through as at the creation, every issue at once, and refused ones change nothing', async () => {
    const id = await made()
    const before = await rowOf(id)
    const wrong = { type: 'oauth2-client-credentials', clientId: 'a b', loginUrl: 'http://a.test' }
    const answer = await patch(id, { credentials: wrong, groupRef: 'h' })
    expect(answer.statusCode).toBe(400)
    expect(issuesOf(answer)).toEqual([
      '/credentials/clientId must be printable ASCII without spaces',
      '/credentials/clientSecret is required',
      '/credentials/loginUrl must begin with https://',
      '/groupRef is not a known field',
    ])
    expect(issuesOf(await patch(id, {}))).toEqual(['/credentials is required'])
    expect(await rowOf(id)).toEqual(before)
  })

  test('of another project’s connection, or one that is not there: 404; without the scope: 403', async () => {
    const id = await made()
    const before = await rowOf(id)
    await harness.call('POST', '/v1/projects', { body: { name: 'rival' } })
    const { key: rival } = await keyWith('rival', 'admin')
    const { key: writer } = await keyWith('acme', 'write', 'read')
    const body = { credentials: renewed }
    const absent = '0197a3b2-6b1f-7c52-9a53-0d3f5f2b8c11'
    expect((await patch(id, body, rival)).statusCode).toBe(404)
    const across = await harness.call('PATCH', `/v1/projects/rival/connections/${id}`, { body, key: rival })
    expect(across.statusCode).toBe(404)
    expect((await patch(absent, body)).statusCode).toBe(404)
    expect((await patch('mine', body)).statusCode).toBe(404)
    expect((await patch(id, body, writer)).statusCode).toBe(403)
    expect(await rowOf(id)).toEqual(before)
  })
})
