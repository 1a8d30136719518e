import { createSign, generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { demoApp } from '../../src/simulator/start.ts'
import { connect, postToken, refreshForm, request, start } from './client.ts'
import type { Reply } from './client.ts'

const tokenOf = (reply: Reply): string => (reply.body as { access_token: string }).access_token
const errorOf = (reply: Reply): unknown => (reply.body as { error: string }).error

const works = async (url: string, token: string): Promise<boolean> => {
  const reply = await request('GET', `${url}/services/data/v60.0/limits`, undefined, {
    Authorization: `Bearer ${token}`,
  })
  return reply.status === 200
}

describe('refresh token grant', () => {
  it('answers a working session in the documented shape', async () => {
    const { url, org } = await start()
    const reply = await postToken(url, refreshForm())
    expect(reply.status).toBe(200)
    expect(reply.body).toEqual({
      access_token: expect.stringMatching(/^00D.*!/) as string,
      instance_url: url,
      id: expect.stringMatching(new RegExp(`^${url}/id/${org.id}/005\\w{15}$`)) as string,
      token_type: 'Bearer',
      issued_at: expect.stringMatching(/^\d{13}$/) as string,
      signature: expect.stringMatching(/^[\w+/]{43}=$/) as string,
      scope: 'api refresh_token',
    })
    expect(await works(url, tokenOf(reply))).toBe(true)
  })

  it('takes the client from HTTP Basic', async () => {
    const { url } = await start()
    const Authorization = `Basic ${Buffer.from('writeback-demo:demo-secret').toString('base64')}`
    const form = { grant_type: 'refresh_token', refresh_token: 'demo-refresh-token' }
    expect((await postToken(url, form, { Authorization })).status).toBe(200)
    const wrong = `Basic ${Buffer.from('writeback-demo:wrong').toString('base64')}`
    expect(errorOf(await postToken(url, form, { Authorization: wrong }))).toBe('invalid_client')
  })

  it('does without the secret only when the app says so', async () => {
    const { url } = await start({ apps: [{ ...demoApp, requireSecret: false }] })
    const form = refreshForm()
    delete form.client_secret
    expect((await postToken(url, form)).status).toBe(200)
    expect(errorOf(await postToken((await start()).url, form))).toBe('invalid_client')
  })

  it.each([
    ['an unknown token', { refresh_token: 'nope' }, 'invalid_grant', 'expired access/refresh token'],
    ['no token', { refresh_token: '' }, 'invalid_request', 'missing required parameter: refresh_token'],
    ['an unknown client', { client_id: 'nobody' }, 'invalid_client_id', 'client identifier invalid'],
    ['a wrong secret', { client_secret: 'nope' }, 'invalid_client', 'invalid client credentials'],
    ['an unknown grant', { grant_type: 'password' }, 'unsupported_grant_type', 'grant type not supported'],
    ['no grant', { grant_type: '' }, 'invalid_request', 'missing required parameter: grant_type'],
  ])('refuses %s', async (_, changes, error, error_description) => {
    const { url } = await start()
    const reply = await postToken(url, refreshForm(changes))
    expect(reply).toMatchObject({ status: 400, body: { error, error_description } })
    expect(Object.keys(reply.body as object)).toHaveLength(2)
  })

  it('refuses a deactivated user, and ends their sessions', async () => {
    const client = await connect()
    const user = client.org.user('integration@writeback.example')
    if (user) user.active = false
    const reply = await postToken(client.url, refreshForm())
    expect(reply).toMatchObject({
      status: 400,
      body: { error: 'invalid_grant', error_description: 'authentication failure' },
    })
    expect((await client.call('GET', 'limits')).status).toBe(401)
  })

  it('refuses other methods, and answers xml and form bodies when asked', async () => {
    const { url } = await start()
    const get = await request('GET', `${url}/services/oauth2/token`)
    expect(get).toMatchObject({ status: 400, body: { error: 'invalid_request' } })
    const form = await postToken(url, refreshForm({ format: 'urlencoded' }))
    expect(new URLSearchParams(form.body as string).get('instance_url')).toBe(url)
    const xml = await postToken(url, refreshForm({ format: 'xml' }))
    expect(xml.body).toContain(`<instance_url>${url}</instance_url>`)
  })

  it('names the public url, or the host that the caller used when it listens everywhere', async () => {
    const named = await start({ publicUrl: 'https://org.example' })
    expect((await postToken(named.url, refreshForm())).body).toMatchObject({
      instance_url: 'https://org.example',
    })
    const everywhere = await start({ host: '0.0.0.0' })
    const port = new URL(everywhere.url).port
    const reply = await postToken(`http://localhost:${port}`, refreshForm())
    expect(reply.body).toMatchObject({ instance_url: `http://localhost:${port}` })
  })
})

describe('refresh token rotation', () => {
  it('gives a new refresh token each time', async () => {
    const { url, org } = await start({ rotateRefreshTokens: true })
    const first = (await postToken(url, refreshForm())).body as { refresh_token: string }
    const second = await postToken(url, refreshForm({ refresh_token: first.refresh_token }))
    expect(second.status).toBe(200)
    expect((second.body as { refresh_token: string }).refresh_token).not.toBe(first.refresh_token)
    expect(org.sessions.oldRefreshTokensPresented).toBe(0)
  })

  it('revokes the whole grant when an old token is presented', async () => {
    const { url, org } = await start({ rotateRefreshTokens: true })
    const first = (await postToken(url, refreshForm())).body as {
      refresh_token: string
      access_token: string
    }
    expect(await works(url, first.access_token)).toBe(true)
    const old = await postToken(url, refreshForm())
    expect(old).toMatchObject({
      status: 400,
      body: { error: 'invalid_grant', error_description: 'expired access/refresh token' },
    })
    expect(await works(url, first.access_token)).toBe(false)
    expect(errorOf(await postToken(url, refreshForm({ refresh_token: first.refresh_token })))).toBe(
      'invalid_grant',
    )
    expect(org.sessions.oldRefreshTokensPresented).toBe(1)
  })

  it('makes a lost answer fatal', async () => {
    const { url, org } = await start({ rotateRefreshTokens: true })
    org.faults.add({ match: { operation: 'token' }, action: { type: 'dropAfter' } })
    await expect(postToken(url, refreshForm())).rejects.toThrow()
    expect(errorOf(await postToken(url, refreshForm()))).toBe('invalid_grant')
  })
})

describe('live grants', () => {
  it('revokes the oldest of six, silently', async () => {
    const { url, org } = await start()
    const user = org.user('integration@writeback.example')
    if (!user) throw new Error('no user')
    const access = tokenOf(await postToken(url, refreshForm()))
    const others = Array.from({ length: 4 }, () => org.sessions.authorize(demoApp, user))
    expect(await works(url, access)).toBe(true)
    org.sessions.authorize(demoApp, user)
    expect(await works(url, access)).toBe(false)
    expect(errorOf(await postToken(url, refreshForm()))).toBe('invalid_grant')
    expect((await postToken(url, refreshForm({ refresh_token: others[0] ?? '' }))).status).toBe(200)
  })

  it('can be revoked by token', async () => {
    const { url } = await start()
    const access = tokenOf(await postToken(url, refreshForm()))
    const revoked = await request('POST', `${url}/services/oauth2/revoke`, 'token=demo-refresh-token')
    expect(revoked.status).toBe(200)
    expect(await works(url, access)).toBe(false)
  })
})

describe('client credentials grant', () => {
  const form = { grant_type: 'client_credentials', client_id: 'writeback-demo', client_secret: 'demo-secret' }

  it('opens a session for the run-as user, without a refresh token', async () => {
    const { url, org } = await start()
    const reply = await postToken(url, form)
    expect(reply.body).not.toHaveProperty('refresh_token')
    const who = await request('GET', `${url}/services/oauth2/userinfo`, undefined, {
      Authorization: `Bearer ${tokenOf(reply)}`,
    })
    expect(who.body).toMatchObject({ username: 'integration@writeback.example', organization_id: org.id })
  })

  it('needs a run-as user, the secret and the grant', async () => {
    const noUser = await start({ apps: [{ ...demoApp, runAs: null }] })
    expect(errorOf(await postToken(noUser.url, form))).toBe('invalid_grant')
    expect(errorOf(await postToken(noUser.url, { ...form, client_secret: '' }))).toBe('invalid_client')
    const noGrant = await start({ apps: [{ ...demoApp, grants: ['refresh_token'] }] })
    expect(errorOf(await postToken(noGrant.url, form))).toBe('unsupported_grant_type')
  })
})

describe('JWT bearer grant', () => {
  const keys = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const publicKeyPem = keys.publicKey.export({ type: 'spki', format: 'pem' }).toString()
  const inSeconds = (seconds: number): number => Math.floor(Date.now() / 1000) + seconds
  const goodClaims = () => ({
    iss: 'writeback-demo',
    sub: 'integration@writeback.example',
    aud: 'https://login.salesforce.com',
    exp: inSeconds(120),
  })

  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

  const assertion = (
    changes: object = {},
    header: object = { alg: 'RS256' },
    key = keys.privateKey,
  ): string => {
    const text = `${part(header)}.${part({ ...goodClaims(), ...changes })}`
    return `${text}.${createSign('RSA-SHA256').update(text).sign(key).toString('base64url')}`
  }

  const post = (url: string, jwt: string): Promise<Reply> =>
    postToken(url, { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: jwt })

  it('opens a session for the subject, for either audience', async () => {
    const { url } = await start({ apps: [{ ...demoApp, publicKeyPem }] })
    for (const aud of ['https://login.salesforce.com', 'https://test.salesforce.com']) {
      const reply = await post(url, assertion({ aud }))
      expect(reply.status).toBe(200)
      expect(reply.body).not.toHaveProperty('refresh_token')
      expect(await works(url, tokenOf(reply))).toBe(true)
    }
  })

  const otherKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey

  it.each([
    ['another audience', () => assertion({ aud: 'http://127.0.0.1' }), 'invalid_grant', /audience/],
    ['an expired one', () => assertion({ exp: inSeconds(-1) }), 'invalid_grant', /expired/],
    ['one that lives too long', () => assertion({ exp: inSeconds(900) }), 'invalid_grant', /assertion/],
    ['an unknown issuer', () => assertion({ iss: 'nobody' }), 'invalid_client_id', /client/],
    [
      'a subject who did not approve',
      () => assertion({ sub: 'x@y.example' }),
      'invalid_grant',
      /hasn't approved/,
    ],
    ['another algorithm', () => assertion({}, { alg: 'none' }), 'invalid_grant', /assertion/],
    ['a signature of another key', () => assertion({}, undefined, otherKey), 'invalid_grant', /assertion/],
    ['garbage', () => 'a.b.c', 'invalid_grant', /assertion/],
    ['nothing', () => '', 'invalid_request', /assertion/],
  ])('refuses %s', async (_, jwt, error, description) => {
    const { url } = await start({ apps: [{ ...demoApp, publicKeyPem }] })
    const reply = await post(url, jwt())
    expect(reply).toMatchObject({ status: 400, body: { error } })
    expect((reply.body as { error_description: string }).error_description).toMatch(description)
  })

  it('refuses all when no key is configured, or a short one', async () => {
    expect(errorOf(await post((await start()).url, assertion()))).toBe('invalid_grant')
    const short = generateKeyPairSync('rsa', { modulusLength: 1024 })
    const pem = short.publicKey.export({ type: 'spki', format: 'pem' }).toString()
    const { url } = await start({ apps: [{ ...demoApp, publicKeyPem: pem }] })
    expect(errorOf(await post(url, assertion({}, undefined, short.privateKey)))).toBe('invalid_grant')
  })
})
