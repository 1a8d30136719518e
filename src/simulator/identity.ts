import type { Answer } from './api-error.ts'
import type { Call } from './call.ts'
import type { Org } from './org.ts'

/** `GET /id/{org}/{user}` and `GET /services/oauth2/userinfo`: who the session belongs to. */
export function identity(org: Org, call: Call): Answer {
  const user = call.session?.user
  const url = org.urlFor(call)
  return {
    status: 200,
    body: {
      id: `${url}/id/${org.id}/${user?.id ?? ''}`,
      user_id: user?.id,
      organization_id: org.id,
      username: user?.username,
      preferred_username: user?.username,
      active: user?.active,
      urls: {
        rest: `${url}/services/data/v{version}/`,
        sobjects: `${url}/services/data/v{version}/sobjects/`,
      },
    },
  }
}

/** `POST /services/oauth2/revoke`: ends an access token, or a refresh token with its access tokens. */
export function revoke(org: Org, call: Call): Answer {
  const token = new URLSearchParams(call.rawBody).get('token') ?? call.query.get('token') ?? ''
  if (org.sessions.revokeToken(token)) return { status: 200 }
  return {
    status: 400,
    body: { error: 'unsupported_token_type', error_description: 'this token type is not supported' },
  }
}
