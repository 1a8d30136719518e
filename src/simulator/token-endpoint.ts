import { createHmac } from 'node:crypto'
import type { Answer } from './api-error.ts'
import type { Call } from './call.ts'
import { checkAssertion } from './jwt-assertion.ts'
import type { Org } from './org.ts'
import type { ConnectedApp, GrantType, OrgUser, Session } from './sessions.ts'

/** A refusal in the token endpoint's own shape (facts 1.3). */
export class OAuthError extends Error {
  readonly error: string
  readonly status: number

  constructor(error: string, description: string, status = 400) {
    super(description)
    this.name = 'OAuthError'
    this.error = error
    this.status = status
  }

  toAnswer(): Answer {
    return { status: this.status, body: { error: this.error, error_description: this.message } }
  }
}

const grantNames: Record<string, GrantType> = {
  authorization_code: 'authorization_code',
  refresh_token: 'refresh_token',
  client_credentials: 'client_credentials',
  'urn:ietf:params:oauth:grant-type:jwt-bearer': 'jwt-bearer',
}

/** `POST /services/oauth2/token` (facts 1.1 to 1.3). */
export function tokenEndpoint(org: Org, call: Call): Answer {
  const format = call.query.get('format') ?? new URLSearchParams(call.rawBody).get('format') ?? 'json'
  try {
    if (call.method !== 'POST') throw new OAuthError('invalid_request', 'must use HTTP POST')
    return inFormat({ status: 200, body: grantToken(org, call) }, format)
  } catch (error) {
    if (error instanceof OAuthError) return inFormat(error.toAnswer(), format)
    throw error
  }
}

function grantToken(org: Org, call: Call): Record<string, string> {
  const isForm = (call.header('content-type') ?? '').includes('x-www-form-urlencoded')
  const form = isForm ? new URLSearchParams(call.rawBody) : call.query
  const grantName = form.get('grant_type')
  if (!grantName) throw new OAuthError('invalid_request', 'missing required parameter: grant_type')
  const type = grantNames[grantName]
  if (!type) throw new OAuthError('unsupported_grant_type', 'grant type not supported')
  if (type === 'jwt-bearer') return byAssertion(org, call, form)
  const client = clientOf(call, form)
  const app = org.app(client.id)
  if (!app) throw new OAuthError('invalid_client_id', 'client identifier invalid')
  const secretNeeded = type === 'client_credentials' || app.requireSecret !== false
  if (client.secret !== app.clientSecret && (secretNeeded || client.secret !== '')) {
    throw new OAuthError('invalid_client', 'invalid client credentials')
  }
  allow(app, type)
  if (type === 'authorization_code') return byCode(org, call, app, form)
  return type === 'refresh_token' ? byRefreshToken(org, call, app, form) : byClientCredentials(org, call, app)
}

function byCode(org: Org, call: Call, app: ConnectedApp, form: URLSearchParams): Record<string, string> {
  const code = form.get('code')
  if (!code) throw new OAuthError('invalid_request', 'missing required parameter: code')
  const exchange = { app, redirectUri: form.get('redirect_uri') ?? '', verifier: form.get('code_verifier') }
  const taken = org.authorizations.exchange(code, exchange, org.now())
  if (typeof taken === 'string') {
    throw new OAuthError(taken.startsWith('redirect') ? 'redirect_uri_mismatch' : 'invalid_grant', taken)
  }
  const { user, scope } = taken
  const session = { ...describeSession(org, call, org.mintSession(app, mustBeActive(user))), scope }
  const isLasting = scope.split(' ').includes('refresh_token') && app.withholdsRefreshTokens !== true
  return isLasting ? { ...session, refresh_token: org.sessions.authorize(app, user) } : session
}

function byRefreshToken(
  org: Org,
  call: Call,
  app: ConnectedApp,
  form: URLSearchParams,
): Record<string, string> {
  const refreshToken = form.get('refresh_token')
  if (!refreshToken) throw new OAuthError('invalid_request', 'missing required parameter: refresh_token')
  const rotate = org.settings.rotateRefreshTokens || app.rotateRefreshTokens === true
  const result = org.sessions.refresh(app, refreshToken, rotate)
  if (result === 'expired') throw new OAuthError('invalid_grant', 'expired access/refresh token')
  if (result === 'inactive') throw new OAuthError('invalid_grant', 'authentication failure')
  const session = org.mintSession(app, result.grant.user, result.grant)
  const answer = describeSession(org, call, session)
  return result.rotatedTo === undefined ? answer : { ...answer, refresh_token: result.rotatedTo }
}

function byClientCredentials(org: Org, call: Call, app: ConnectedApp): Record<string, string> {
  const runAs = app.runAs === undefined ? app.users?.[0] : app.runAs
  const user = runAs === null || runAs === undefined ? undefined : org.user(runAs)
  if (!user) throw new OAuthError('invalid_grant', 'no client credentials user enabled')
  return describeSession(org, call, org.mintSession(app, mustBeActive(user)))
}

function byAssertion(org: Org, call: Call, form: URLSearchParams): Record<string, string> {
  const assertion = form.get('assertion')
  if (!assertion) throw new OAuthError('invalid_request', 'missing required parameter: assertion')
  const checked = checkAssertion(assertion, org.now(), (clientId) => org.app(clientId))
  if ('error' in checked) throw new OAuthError(checked.error, checked.description)
  allow(checked.app, 'jwt-bearer')
  const user = org.user(checked.subject)
  if (!user || !checked.app.users?.includes(user.username)) {
    throw new OAuthError('invalid_grant', "user hasn't approved this consumer")
  }
  return describeSession(org, call, org.mintSession(checked.app, mustBeActive(user)))
}

function mustBeActive(user: OrgUser): OrgUser {
  if (!user.active) throw new OAuthError('invalid_grant', 'authentication failure')
  return user
}

function allow(app: ConnectedApp, type: GrantType): void {
  if (app.grants && !app.grants.includes(type)) {
    throw new OAuthError('unsupported_grant_type', 'grant type not supported')
  }
}

/** Client id and secret from HTTP Basic or from the form; the header wins. */
function clientOf(call: Call, form: URLSearchParams): { id: string; secret: string } {
  const basic = /^Basic\s+(\S+)$/i.exec(call.header('authorization') ?? '')
  if (!basic?.[1]) return { id: form.get('client_id') ?? '', secret: form.get('client_secret') ?? '' }
  const [id = '', ...secret] = Buffer.from(basic[1], 'base64').toString('utf8').split(':')
  return { id: decode(id), secret: decode(secret.join(':')) }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** The success body. There is no `expires_in`: expiry shows as a 401 (facts 1.1). */
function describeSession(org: Org, call: Call, session: Session): Record<string, string> {
  const id = `${org.urlFor(call)}/id/${org.id}/${session.user.id}`
  const issuedAt = String(org.now())
  return {
    access_token: session.accessToken,
    signature: createHmac('sha256', session.app.clientSecret)
      .update(id + issuedAt)
      .digest('base64'),
    scope: session.app.scope ?? 'api refresh_token',
    instance_url: org.urlFor(call),
    id,
    token_type: 'Bearer',
    issued_at: issuedAt,
  }
}

function inFormat(answer: Answer, format: string): Answer {
  const fields = answer.body as Record<string, string>
  if (format === 'urlencoded') {
    const headers = { 'Content-Type': 'application/x-www-form-urlencoded' }
    return { ...answer, body: new URLSearchParams(fields).toString(), headers }
  }
  if (format === 'xml') {
    const inner = Object.entries(fields).map(([name, value]) => `<${name}>${escapeXml(value)}</${name}>`)
    const headers = { 'Content-Type': 'application/xml;charset=UTF-8' }
    return {
      ...answer,
      body: `<?xml version="1.0" encoding="UTF-8"?><OAuth>${inner.join('')}</OAuth>`,
      headers,
    }
  }
  return answer
}

const escapeXml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
