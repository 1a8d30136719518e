import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, it } from 'vitest'
import type { CodeFlow } from '../../src/providers/code-flow.ts'
import { SessionError } from '../../src/providers/provider.ts'
import { createCodeFlow } from '../../src/providers/salesforce/code-flow.ts'

const ends: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0)) await end()
})

async function host(answer: RequestListener): Promise<string> {
  const server: Server = createServer(answer)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  ends.push(() => new Promise((done) => server.close(done)))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function flow(allowInsecure = true): CodeFlow {
  const made = createCodeFlow({ allowInsecure })
  ends.push(() => made.close())
  return made
}

const verifier = 'v'.repeat(10) + 'erifier-that-nobody-may-see-0123456789'
const exchange = {
  clientId: 'an-app',
  clientSecret: 'a-secret-that-nobody-may-see',
  code: 'aPrx-a-code-that-nobody-may-see==',
  verifier,
  redirectUri: 'https://writeback.example.com/connect/callback',
}
const limits = { timeoutMs: 2_000 }

const failureOf = async (run: Promise<unknown>): Promise<SessionError> => {
  const thrown: unknown = await run.then(
    () => null,
    (error: unknown) => error,
  )
  if (!(thrown instanceof SessionError)) throw new Error(`no session error: ${String(thrown)}`)
  return thrown
}

describe('the address of a sign-in', () => {
  it('has all that the login host needs, and the hash of the verifier instead of itself', () => {
    const loginUrl = 'https://example.my.salesforce.com'
    const { redirectUri } = exchange
    const url = new URL(flow().signInUrl({ loginUrl, clientId: 'a&b', redirectUri, state: 's', verifier }))
    expect(url.origin + url.pathname).toBe(`${loginUrl}/services/oauth2/authorize`)
    expect(Object.fromEntries(url.searchParams)).toEqual({
      response_type: 'code',
      client_id: 'a&b',
      redirect_uri: redirectUri,
      scope: 'api refresh_token',
      state: 's',
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
      prompt: 'consent',
    })
    expect(url.href).not.toContain(verifier)
  })
})

describe('the exchange of a code', () => {
  it('posts what belongs to it, once', async () => {
    const forms: Record<string, string>[] = []
    const take = async (request: IncomingMessage): Promise<void> => {
      forms.push(Object.fromEntries(new URLSearchParams(await text(request))))
    }
    const loginUrl = await host((request, response) => {
      const token = { access_token: 'a', refresh_token: 'r', instance_url: 'https://a.my.salesforce.com' }
      void take(request).then(() => response.end(JSON.stringify(token)))
    })
    const grant = await flow().exchangeCode({ ...exchange, loginUrl }, limits)
    expect(grant).toEqual({ refreshToken: 'r', instanceUrl: 'https://a.my.salesforce.com' })
    expect(forms).toEqual([
      {
        grant_type: 'authorization_code',
        client_id: exchange.clientId,
        client_secret: exchange.clientSecret,
        redirect_uri: exchange.redirectUri,
        code: exchange.code,
        code_verifier: verifier,
      },
    ])
  })

  it('repeats nothing secret of what the host says', async () => {
    const loginUrl = await host((request, response) => {
      void text(request).then((form) => {
        const error_description = `${form} ${decodeURIComponent(form)}`
        response.writeHead(400).end(JSON.stringify({ error: 'invalid_grant', error_description }))
      })
    })
    const failure = await failureOf(flow().exchangeCode({ ...exchange, loginUrl }, limits))
    expect([failure.kind, failure.code]).toEqual(['permanent', 'invalid_grant'])
    for (const secret of [exchange.clientSecret, exchange.code, verifier])
      expect(failure.message).not.toContain(secret.slice(2, 16))
    expect(failure.message).toContain('[removed]')
  })

  it('goes nowhere else: no redirect is followed, no private host called, no private instance taken', async () => {
    const calls: string[] = []
    const target = await host((request, response) => {
      calls.push(request.url ?? '')
      response.end('{}')
    })
    const redirecting = await host((_, response) => response.writeHead(302, { location: target }).end())
    const redirected = await failureOf(flow().exchangeCode({ ...exchange, loginUrl: redirecting }, limits))
    expect(redirected.code).toBe('UNEXPECTED_REDIRECT')
    const secure = flow(false)
    for (const loginUrl of [target, 'https://127.0.0.1', 'https://localhost'])
      expect((await failureOf(secure.exchangeCode({ ...exchange, loginUrl }, limits))).code).toBe(
        'HOST_NOT_ALLOWED',
      )
    expect(calls).toEqual([])
    const bad = await host((_, response) =>
      response.end(
        JSON.stringify({ access_token: 'a', refresh_token: 'r', instance_url: 'http://example.com/x' }),
      ),
    )
    expect((await failureOf(flow().exchangeCode({ ...exchange, loginUrl: bad }, limits))).code).toBe(
      'HOST_NOT_ALLOWED',
    )
  })

  it.each([
    ['nothing listens', null, 'ECONNREFUSED'],
    ['the answer is cut off', (response: { destroy: () => void }) => response.destroy(), 'UND_ERR_SOCKET'],
  ])('is to be tried again when %s', async (_, answer, code) => {
    const loginUrl = answer === null ? 'http://127.0.0.1:1' : await host((__, response) => answer(response))
    const failure = await failureOf(flow().exchangeCode({ ...exchange, loginUrl }, limits))
    expect([failure.kind, failure.code]).toEqual(['transient', code])
  })

  it('gives no refresh token where there is none', async () => {
    const loginUrl = await host((_, response) =>
      response.end(JSON.stringify({ access_token: 'a', instance_url: 'https://a.my.salesforce.com' })),
    )
    const grant = await flow().exchangeCode({ ...exchange, loginUrl }, limits)
    expect(grant.refreshToken).toBeNull()
  })
})
