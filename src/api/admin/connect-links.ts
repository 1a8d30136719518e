import type { FastifyPluginAsync } from 'fastify'
import type { ConnectOrg } from '../../actions/connect-org.ts'
import { ConnectLink, NewConnectLink } from '../../contract/connect.ts'
import { ProjectPath } from '../../contract/fields.ts'
import { projectOf, requireScope } from '../auth.ts'
import { isAllowedLogin } from '../connect/routes.ts'
import { problems } from '../openapi.ts'
import { invalidInput } from '../validation.ts'

/** What making a link needs. */
export interface ConnectLinksPort extends Pick<ConnectOrg, 'createLink'> {
  /** Allows login hosts that are not Salesforce's: the simulator, tests. */
  allowInsecure: boolean
}

const description = `Makes a link for a customer: they open it in a browser, sign in to Salesforce and allow the connected app, and the group's connection has the refresh token: a new connection, or new credentials for the one there is, which resumes everything that waits. The link works once, for 15 minutes.

The app's callback URL must be \`/connect/callback\` of this service's public address (\`WRITEBACK_PUBLIC_URL\`), and its scopes \`api\` and \`refresh_token, offline_access\`.`

/** The call that makes a link by which a customer connects their org (contract section 8). */
export function connectLinkRoutes({ createLink, allowInsecure }: ConnectLinksPort): FastifyPluginAsync {
  return (app) => {
    app.post<{ Body: NewConnectLink }>(
      '/projects/:project/connections::connect',
      {
        onRequest: requireScope('admin'),
        schema: {
          tags: ['connections'],
          summary: 'Make a link by which a customer connects their org in a browser',
          description,
          params: ProjectPath,
          body: NewConnectLink,
          response: { 201: ConnectLink, ...problems },
        },
      },
      async (request, reply) => {
        const { clientId, clientSecret, loginUrl, ...rest } = request.body
        const login = loginUrl === undefined ? undefined : loginUrl.replace(/\/+$/, '')
        if (login !== undefined && !isAllowedLogin(login, allowInsecure)) throw foreignLogin()
        const made = await createLink(projectOf(request).id, {
          ...rest,
          app: { clientId, ...(clientSecret === undefined ? {} : { clientSecret }) },
          ...(login === undefined ? {} : { loginUrl: login }),
        })
        reply.status(201)
        return { id: made.id, url: made.url, expireTime: made.expiresAt.toISOString() }
      },
    )
    return Promise.resolve()
  }
}

const foreignLogin = () =>
  invalidInput([
    {
      path: '/loginUrl',
      message:
        'must be a login host of Salesforce: https://login.salesforce.com, https://test.salesforce.com or https://NAME.my.salesforce.com',
    },
  ])
