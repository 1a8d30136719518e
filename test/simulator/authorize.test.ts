import { createHash, randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { demoApp, type Simulator, type SimulatorOptions } from '../../src/simulator/start.ts'
import { postToken, refreshForm, request, start, type Reply } from './client.ts'

const callback = 'https://app.example.com/callback'
const verifier = randomBytes(32).toString('base64url')
const challenge = createHash('sha256').update(verifier).digest('base64url')

const authorizeUrl = (url: string, changes: Record<string, string | undefined> = {}): string => {
  const query = new URLSearchParams()
  const all: Record<string, string | undefined> = {
    response_type: 'code',
    client_id: 'writeback-demo',
    redirect_uri: callback,
    scope: 'api refresh_token',
    state: 'a state',
    code_challenge: challenge,
    code_challenge_method: 'S256',
    ...changes,
  }
  for (const [name, value] of Object.entries(all)) if (value !== undefined) query.set(name, value)
  return `${url}/services/oauth2/authorize?${query.toString()}`
}

const post = (url: string, path: string, form: Record<string, string>): Promise<Reply> =>
  request('POST', `${url}/services/oauth2/authorize/${path}`, new URLSearchParams(form).toString(), {
    'Content-Type': 'application/x-www-form-urlencoded',
  })

const visitOf = (page: Reply): string => /name="visit" value="([^"]*)"/.exec(page.body as string)?.[1] ?? ''
const backOf = (reply: Reply): Record<string, string> => {
  const location = reply.headers.get('location') ?? ''
  expect([reply.status, location.split('?')[0]]).toEqual([302, callback])
  return Object.fromEntries(new URL(location).searchParams)
}

const login = { username: 'integration@writeback.example', password: 'demo-password' }

/** Logs in, and what the org then shows. */
async function logIn(
  url: string,
  form = login,
  changes: Record<string, string | undefined> = {},
): Promise<Reply> {
  const page = await request('GET', authorizeUrl(url, changes))
  expect(page.status).toBe(200)
  return post(url, 'login', { visit: visitOf(page), ...form })
}

async function codeFrom(url: string, changes: Record<string, string | undefined> = {}): Promise<string> {
  const consent = await logIn(url, login, changes)
  const back = backOf(await post(url, 'consent', { visit: visitOf(consent), answer: 'allow' }))
  expect(Object.keys(back)).toEqual(['code', 'state'])
  expect(back['state']).toBe('a state')
  return back['code']!
}

const exchange = (url: string, code: string, changes: Record<string, string> = {}): Promise<Reply> =>
  postToken(url, {
    grant_type: 'authorization_code',
    code,
    client_id: 'writeback-demo',
    client_secret: 'demo-secret',
    redirect_uri: callback,
    code_verifier: verifier,
    ...changes,
  })

const bodyOf = (reply: Reply): Record<string, string> => reply.body as Record<string, string>

const withSettings = async (
  options: SimulatorOptions,
  settings: Partial<Simulator['org']['settings']>,
): Promise<Simulator> => {
  const simulator = await start(options)
  Object.assign(simulator.org.settings, settings)
  return simulator
}

describe('a code', () => {
  it('opens a session and gives a refresh token that works', async () => {
    const { url } = await start()
    const reply = await exchange(url, await codeFrom(url))
    expect(reply.status).toBe(200)
    const { refresh_token = '', access_token = '', ...rest } = bodyOf(reply)
    expect(rest).toMatchObject({ instance_url: url, token_type: 'Bearer', scope: 'api refresh_token' })
    const Authorization = `Bearer ${access_token}`
    const data = await request('GET', `${url}/services/data/v60.0/limits`, undefined, { Authorization })
    expect(data.status).toBe(200)
    expect((await postToken(url, refreshForm({ refresh_token }))).status).toBe(200)
  })

  it('gives a refresh token that rotates where they do', async () => {
    const { url } = await start({ rotateRefreshTokens: true })
    const { refresh_token = '' } = bodyOf(await exchange(url, await codeFrom(url)))
    const second = bodyOf(await postToken(url, refreshForm({ refresh_token })))
    expect(second['refresh_token']).toMatch(/^5Aep861/)
    expect((await postToken(url, refreshForm({ refresh_token }))).status).toBe(400)
  })

  it('is good once', async () => {
    const { url } = await start()
    const code = await codeFrom(url)
    expect((await exchange(url, code)).status).toBe(200)
    expect(bodyOf(await exchange(url, code))).toEqual({
      error: 'invalid_grant',
      error_description: 'invalid authorization code',
    })
  })

  it('is good for a quarter of an hour', async () => {
    const { url, org } = await start()
    const code = await codeFrom(url)
    org.advanceTime(15 * 60_000)
    expect(bodyOf(await exchange(url, code))).toMatchObject({
      error_description: 'expired authorization code',
    })
  })

  it.each([
    ['another verifier', { code_verifier: 'x'.repeat(43) }, 'invalid_grant', 'invalid code verifier'],
    ['no verifier', { code_verifier: '' }, 'invalid_grant', 'invalid code verifier'],
    [
      'another redirect URI',
      { redirect_uri: 'https://app.example.com/other' },
      'redirect_uri_mismatch',
      'redirect_uri must match configuration',
    ],
    [
      'another app',
      { client_id: 'other', client_secret: 'secret' },
      'invalid_grant',
      'invalid authorization code',
    ],
    ['a wrong secret', { client_secret: 'nope' }, 'invalid_client', 'invalid client credentials'],
    ['no code', { code: '' }, 'invalid_request', 'missing required parameter: code'],
  ])('is not taken with %s', async (_, changes, error, error_description) => {
    const { url } = await start({ apps: [demoApp, { clientId: 'other', clientSecret: 'secret' }] })
    const code = await codeFrom(url)
    const reply = await exchange(url, code, changes)
    expect([reply.status, reply.body]).toEqual([400, { error, error_description }])
    expect((await exchange(url, code)).status).toBe(200)
  })

  it('gives no refresh token where the scope is not asked for, or the app withholds it', async () => {
    const { url } = await start()
    const withheld = await start({ apps: [{ ...demoApp, withholdsRefreshTokens: true }] })
    const replies = [
      await exchange(url, await codeFrom(url, { scope: 'api' })),
      await exchange(withheld.url, await codeFrom(withheld.url)),
    ]
    for (const reply of replies) {
      expect(reply.status).toBe(200)
      expect(bodyOf(reply)).not.toHaveProperty('refresh_token')
    }
  })
})

describe('the pages', () => {
  it('ask for a password until it is right, and then for consent', async () => {
    const { url } = await start()
    for (const form of [
      { ...login, password: 'wrong' },
      { ...login, username: '"><script>' },
    ]) {
      const page = await logIn(url, form)
      expect(page.body).toContain('Please check your username and password.')
      expect(page.body).not.toContain('<script>')
    }
    const consent = await logIn(url)
    expect(consent.body).toContain('Allow Access?')
    expect(consent.body).toContain('Perform requests at any time')
  })

  it('tell the app that it was denied', async () => {
    const { url } = await start()
    const consent = await logIn(url)
    const visit = visitOf(consent)
    expect(backOf(await post(url, 'consent', { visit, answer: 'deny' }))).toEqual({
      error: 'access_denied',
      error_description: 'end-user denied authorization',
      state: 'a state',
    })
    expect((await post(url, 'consent', { visit, answer: 'allow' })).status).toBe(400)
  })

  it('give no consent to who has not logged in, and let no deactivated user in', async () => {
    const { url, org } = await start()
    const page = await request('GET', authorizeUrl(url))
    const skipped = await post(url, 'consent', { visit: visitOf(page), answer: 'allow' })
    expect([skipped.status, skipped.body]).toEqual([400, expect.stringContaining('invalid_request')])
    org.user(login.username)!.active = false
    expect((await logIn(url)).body).toContain('Please check your username')
  })

  it.each([
    ['client_id', { client_id: 'nobody' }, 'invalid_client_id: client identifier invalid'],
    ['redirect_uri', { redirect_uri: 'javascript:alert(1)' }, 'redirect_uri must match configuration'],
  ])('send nobody anywhere with an unknown %s', async (_, changes, says) => {
    const { url } = await start()
    const page = await request('GET', authorizeUrl(url, changes))
    expect([page.status, page.headers.get('location')]).toEqual([400, null])
    expect(page.body).toContain(says)
  })

  it('know the callback URLs that they are told', async () => {
    const { url } = await withSettings({}, { redirectUris: ['https://app.example.com/other'] })
    expect((await request('GET', authorizeUrl(url))).status).toBe(400)
    const changes = { redirect_uri: 'https://app.example.com/other' }
    expect((await request('GET', authorizeUrl(url, changes))).status).toBe(200)
  })

  it.each([
    [
      'no code challenge',
      { code_challenge: undefined },
      'invalid_request',
      'missing required code challenge',
    ],
    [
      'a plain code challenge',
      { code_challenge_method: 'plain' },
      'invalid_request',
      'invalid code challenge',
    ],
    ['a scope too many', { scope: 'api full' }, 'invalid_scope', 'the requested scope is not allowed'],
    [
      'another response type',
      { response_type: 'token' },
      'unsupported_response_type',
      'response type not supported',
    ],
  ])('send back who comes with %s', async (_, changes, error, error_description) => {
    const { url } = await start()
    const reply = await request('GET', authorizeUrl(url, changes))
    expect(backOf(reply)).toEqual({ error, error_description, state: 'a state' })
  })

  it('do without a code challenge where the app may', async () => {
    const { url } = await withSettings({}, { requirePkce: false })
    const code = await codeFrom(url, { code_challenge: undefined, code_challenge_method: undefined })
    expect((await exchange(url, code, { code_verifier: '' })).status).toBe(200)
  })

  it('let in only those whom an app is approved for', async () => {
    const app = { ...demoApp, clientId: 'approved', users: ['ann@acme.test'], approvedOnly: true }
    const { url } = await start({ apps: [demoApp, app] })
    expect(backOf(await logIn(url, login, { client_id: 'approved' }))).toMatchObject({
      error: 'OAUTH_APP_ACCESS_DENIED',
      error_description: 'user is not admin approved to access this app',
    })
    const consent = await logIn(url, { ...login, username: 'ann@acme.test' }, { client_id: 'approved' })
    expect(consent.body).toContain('Allow Access?')
  })
})
