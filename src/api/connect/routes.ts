import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { ConnectOrg, Link } from '../../actions/connect-org.ts'
import { isPrivateHost, loginUrlFault } from '../../connections/credential-checks.ts'
import { commonLogins, isSalesforceLogin, readMyDomain } from '../../model/login-hosts.ts'
import { statusOf } from '../error-handler.ts'
import { readCookie, setCookie } from './cookies.ts'
import { pageHeaders, type Page } from './layout.ts'
import { choosePage, connectedPage, leavePage, troublePage, type Choice, type Environment } from './pages.ts'
import { closedLink, notConnectedPage, unknownLink } from './troubles.ts'

/** What the pages need. */
export interface ConnectPagesPort extends Pick<ConnectOrg, 'open' | 'begin' | 'finish'> {
  /** Base of links, without a slash at its end. */
  publicUrl: () => string
  /** Allows login hosts that are not Salesforce's: the simulator, tests. */
  allowInsecure: boolean
}

/** Bytes of a form: a choice and a host name. */
const FORM_LIMIT = 8 * 1024

type TokenRequest = FastifyRequest<{ Params: { token: string } }>

/**
 * The pages by which a customer connects an org; the link is their only key. They work without scripts, and their
 * headers allow none. Their paths hold secrets: no log has more of them than the route.
 */
export function connectPages(port: ConnectPagesPort): FastifyPluginAsync {
  return (app) => {
    app.removeAllContentTypeParsers()
    app.addContentTypeParser(
      'application/x-www-form-urlencoded',
      { parseAs: 'string', bodyLimit: FORM_LIMIT },
      (_, body, done) => done(null, body),
    )
    app.addHook('onSend', (_, reply, payload, done) => {
      reply.headers(pageHeaders)
      done(null, payload)
    })
    answerErrors(app)
    const hidden = { schema: { hide: true }, exposeHeadRoute: false } as const
    app.get('/connect/callback', hidden, (request, reply) => comeBack(port, request, reply))
    app.get('/connect/:token', hidden, (request, reply) => showLink(port, request as TokenRequest, reply))
    app.post('/connect/:token', { ...hidden, bodyLimit: FORM_LIMIT }, (request, reply) =>
      beginSignIn(port, request as TokenRequest, reply),
    )
    return Promise.resolve()
  }
}

/** A person reads these, so a failure is a page too. */
function answerErrors(app: FastifyInstance): void {
  app.setErrorHandler((thrown, request, reply) => {
    const error = app.toError(thrown)
    const status = error.status ?? statusOf(error.code)
    request.failure = thrown
    const page = troublePage({
      status,
      title: status < 500 ? 'This did not work' : 'Something went wrong',
      says: status < 500 ? 'The request cannot be read.' : 'The service could not do this right now.',
      remedy: 'Open the link that you were given again, in a minute, and start again.',
    })
    return answer(reply, page)
  })
}

const answer = (reply: FastifyReply, { status, text }: Page): FastifyReply => reply.status(status).send(text)

/** The link of the path when a sign-in can be begun with it; otherwise the page that says why not. */
async function usableLink({ open }: ConnectPagesPort, token: string): Promise<Link | Page> {
  const link = await open(token)
  if (link === null) return troublePage(unknownLink)
  return link.status === 'used' || link.status === 'expired' ? troublePage(closedLink[link.status]) : link
}

async function showLink(port: ConnectPagesPort, { params }: TokenRequest, reply: FastifyReply) {
  const link = await usableLink(port, params.token)
  return answer(reply, 'id' in link ? choosePage(link) : link)
}

async function beginSignIn(port: ConnectPagesPort, request: TokenRequest, reply: FastifyReply) {
  const { token } = request.params
  const link = await usableLink(port, token)
  if (!('id' in link)) return answer(reply, link)
  const form = new URLSearchParams(typeof request.body === 'string' ? request.body : '')
  const choice = readChoice(form, port.allowInsecure)
  const loginUrl = link.loginUrl ?? choice.loginUrl
  if (loginUrl === null) return answer(reply, choosePage(link, choice))
  const begun = await port.begin(link, token, loginUrl)
  if (begun === null) return showLink(port, request, reply)
  setCookie(reply, link.id, begun.browser, port.publicUrl())
  return answer(reply, leavePage(begun.url))
}

const isEnvironment = (text: string | null): text is Environment =>
  text === 'production' || text === 'sandbox' || text === 'my-domain'

/** The login host that a form chooses, or what is wrong with it. */
function readChoice(form: URLSearchParams, allowInsecure: boolean): Choice & { loginUrl: string | null } {
  const environment = form.get('environment')
  const domain = form.get('domain') ?? ''
  if (!isEnvironment(environment)) {
    const fault = { of: 'environment', says: 'Choose where you sign in.' } as const
    return { environment: null, domain, fault, loginUrl: null }
  }
  if (environment !== 'my-domain') return { environment, domain, loginUrl: commonLogins[environment] }
  const loginUrl = readMyDomain(domain)
  if (loginUrl !== null && isAllowedLogin(loginUrl, allowInsecure)) return { environment, domain, loginUrl }
  const says =
    domain.trim() === ''
      ? 'Enter the address of your My Domain.'
      : 'That is no My Domain of Salesforce. It ends with .my.salesforce.com.'
  return { environment, domain, fault: { of: 'domain', says }, loginUrl: null }
}

/**
 * Whether customers may be sent to a login host, and the app's secret after them: Salesforce's own, and private
 * ones where those are allowed. Anybody who has a link can name one.
 */
export const isAllowedLogin = (loginUrl: string, allowInsecure: boolean): boolean =>
  isSalesforceLogin(loginUrl) ||
  (allowInsecure && loginUrlFault(loginUrl, true) === null && isPrivateHost(new URL(loginUrl).hostname))

/** The one value of a parameter; one that is given twice is none. */
const one = (query: unknown, name: string): string | null => {
  const value = (query as Record<string, unknown>)[name]
  return typeof value === 'string' ? value : null
}

async function comeBack(port: ConnectPagesPort, request: FastifyRequest, reply: FastifyReply) {
  const { query, headers } = request
  const callback = {
    state: one(query, 'state') ?? '',
    code: one(query, 'code'),
    error: one(query, 'error'),
    errorDescription: one(query, 'error_description'),
  }
  const result = await port.finish(callback, (linkId) => readCookie(headers.cookie, linkId))
  return answer(reply, result.kind === 'connected' ? connectedPage(result) : notConnectedPage(result))
}
