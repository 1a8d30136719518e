import type { Answer } from './api-error.ts'
import type { AuthorizationRequest, Visit } from './authorization.ts'
import { consentPage, loginFormPage, refusalPage } from './authorize-pages.ts'
import type { Call } from './call.ts'
import type { Org } from './org.ts'
import type { ConnectedApp } from './sessions.ts'

/** A refusal that the browser takes back to the app, or that is shown where nobody can be trusted to take it. */
class Refused extends Error {
  readonly error: string
  constructor(error: string, description: string) {
    super(description)
    this.error = error
  }
}

/** `GET /services/oauth2/authorize`: the login page of the web-server flow, for an app that asks properly. */
export function authorize(org: Org, call: Call): Answer {
  const { query } = call
  const app = org.app(query.get('client_id') ?? '')
  const redirectUri = query.get('redirect_uri') ?? ''
  // To whom the browser would be sent is not known to be the app's, so these are shown here.
  if (!app) return refusalPage('invalid_client_id', 'client identifier invalid')
  if (!isRegistered(org, redirectUri))
    return refusalPage('redirect_uri_mismatch', 'redirect_uri must match configuration')
  const state = query.get('state')
  try {
    const request = { app, redirectUri, state, ...checked(org, app, query) }
    return loginFormPage({ visit: org.authorizations.open(request), app, error: null, username: '' })
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    return sendBack({ redirectUri, state }, { error: error.error, error_description: error.message })
  }
}

/** Without any registered, every http and https URL is. */
function isRegistered({ settings: { redirectUris } }: Org, uri: string): boolean {
  if (redirectUris.length > 0) return redirectUris.includes(uri)
  return /^https?:$/.test(URL.parse(uri)?.protocol ?? '')
}

/** @throws {Refused} in the platform's words */
function checked(
  org: Org,
  app: ConnectedApp,
  query: URLSearchParams,
): Pick<AuthorizationRequest, 'scope' | 'codeChallenge'> {
  if (query.get('response_type') !== 'code')
    throw new Refused('unsupported_response_type', 'response type not supported')
  const codeChallenge = query.get('code_challenge')
  if (codeChallenge === null && org.settings.requirePkce)
    throw new Refused('invalid_request', 'missing required code challenge')
  if (codeChallenge !== null && !isChallenge(codeChallenge, query.get('code_challenge_method')))
    throw new Refused('invalid_request', 'invalid code challenge')
  const allowed = scopesOf(app.scope ?? 'api refresh_token')
  const scope = query.get('scope') ?? allowed.join(' ')
  if (scopesOf(scope).some((one) => !allowed.includes(one)))
    throw new Refused('invalid_scope', 'the requested scope is not allowed')
  return { scope, codeChallenge }
}

const isChallenge = (challenge: string, method: string | null): boolean =>
  /^[A-Za-z0-9_-]{43}$/.test(challenge) && (method === null || method === 'S256')

const scopesOf = (text: string): string[] => text.split(' ').filter((one) => one !== '')

/** `POST …/login`: username and password. */
export function logIn(org: Org, call: Call): Answer {
  const { form, id, visit } = visitOf(org, call)
  if (!visit) return refusalPage('invalid_request', 'expired browser session')
  const username = form.get('username') ?? ''
  const user = org.user(username)
  if (!user?.active || form.get('password') !== org.settings.loginPassword) {
    const error =
      "Please check your username and password. If you still can't log in, contact your Salesforce administrator."
    return loginFormPage({ visit: id, app: visit.app, error, username })
  }
  visit.user = user
  if (visit.app.approvedOnly === true && visit.app.users?.includes(username) !== true) {
    org.authorizations.close(id)
    return sendBack(visit, {
      error: 'OAUTH_APP_ACCESS_DENIED',
      error_description: 'user is not admin approved to access this app',
    })
  }
  return consentPage({ visit: id, app: visit.app, username, scope: visit.scope })
}

/** `POST …/consent`: Allow or Deny. */
export function consent(org: Org, call: Call): Answer {
  const { form, id, visit } = visitOf(org, call)
  if (!visit?.user) return refusalPage('invalid_request', 'expired browser session')
  org.authorizations.close(id)
  return form.get('answer') === 'allow'
    ? sendBack(visit, { code: org.authorizations.issue(visit, visit.user, org.now()) })
    : sendBack(visit, { error: 'access_denied', error_description: 'end-user denied authorization' })
}

function visitOf(org: Org, call: Call): { form: URLSearchParams; id: string; visit: Visit | undefined } {
  const form = new URLSearchParams(call.rawBody)
  const id = form.get('visit') ?? ''
  return { form, id, visit: org.authorizations.visit(id) }
}

/** Sends the browser back to the app. */
function sendBack(
  { redirectUri, state }: Pick<AuthorizationRequest, 'redirectUri' | 'state'>,
  result: Record<string, string>,
): Answer {
  const url = new URL(redirectUri)
  for (const [name, value] of Object.entries(result)) url.searchParams.set(name, value)
  if (state !== null) url.searchParams.set('state', state)
  return { status: 302, headers: { Location: url.href } }
}
