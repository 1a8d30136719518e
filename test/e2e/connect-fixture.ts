import { expect } from 'vitest'
import { caller, type Service, type Tenant } from '../support/service.ts'

/** What a link may be made with, besides its group. */
export interface LinkInput {
  groupRef?: string
  clientId?: string
  clientSecret?: string
  loginUrl?: string
  returnUrl?: string
}

/** Makes a link for a tenant's group, or another; answers its URL. */
export async function makeLink(url: string, tenant: Tenant, input: LinkInput = {}): Promise<string> {
  const answer = await caller(url)<{ url: string }>(
    'POST',
    `/v1/projects/${tenant.projectId}/connections:connect`,
    {
      groupRef: tenant.groupRef,
      provider: 'salesforce',
      clientId: 'writeback-demo',
      clientSecret: 'demo-secret',
      ...input,
    },
  )
  if (answer.status !== 201) throw new Error(`${answer.status} ${JSON.stringify(answer.body)}`)
  return answer.body.url
}

/** A page as a browser gets it. */
export interface Seen {
  status: number
  headers: Headers
  /** The whole document. */
  source: string
  /** Its heading, and its text without tags. */
  heading: string
  text: string
}

const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" }
const unescape = (text: string): string =>
  text.replace(/&(amp|lt|gt|quot|#39);/g, (_, name: string) => entities[name]!)

/** A browser without scripts, styles and a will of its own: it keeps cookies and follows what it is told to. */
export class PlainBrowser {
  readonly #cookies = new Map<string, { path: string; value: string }>()
  /** What every Set-Cookie said. */
  readonly cookiesSet: string[] = []

  /** One request; redirects are not followed. */
  async visit(url: string, form?: Record<string, string>): Promise<Seen> {
    const { pathname } = new URL(url)
    const cookies = [...this.#cookies].filter(([, { path }]) => pathname.startsWith(path))
    const response = await fetch(url, {
      redirect: 'manual',
      method: form === undefined ? 'GET' : 'POST',
      headers: { cookie: cookies.map(([name, { value }]) => `${name}=${value}`).join('; ') },
      ...(form === undefined ? {} : { body: new URLSearchParams(form) }),
    })
    for (const cookie of response.headers.getSetCookie()) this.#keep(cookie)
    const source = await response.text()
    const heading = /<h1>(.*?)<\/h1>/s.exec(source)?.[1] ?? ''
    const body = source.replace(/<head>.*?<\/head>/s, '').replace(/<[^>]*>/g, '')
    const text = unescape(body).replace(/\s+/g, ' ').trim()
    return { status: response.status, headers: response.headers, source, heading, text }
  }

  #keep(cookie: string): void {
    this.cookiesSet.push(cookie)
    const [pair = '', ...attributes] = cookie.split(';').map((part) => part.trim())
    const [name = '', value = ''] = pair.split('=')
    const path = attributes.find((one) => one.startsWith('Path='))?.slice(5) ?? '/'
    this.#cookies.set(name, { path, value })
  }
}

/** Where a page of ours leads to at once. */
export const nextOf = ({ source }: Seen): string =>
  unescape(/http-equiv="refresh" content="0; url=([^"]*)"/.exec(source)?.[1] ?? '')

/** Where a redirect leads to. */
export const redirectOf = ({ headers }: Seen): string => headers.get('location') ?? ''

/** What the customer is and does on the org's own pages. */
export interface Customer {
  username?: string
  password?: string
  answer?: 'allow' | 'deny'
}

const visitOf = ({ source }: Seen): string => /name="visit" value="([^"]*)"/.exec(source)?.[1] ?? ''

/** Logs in at the org and answers; where it sends the browser back to. */
export async function signIn(
  browser: PlainBrowser,
  signInUrl: string,
  customer: Customer = {},
): Promise<string> {
  const {
    username = 'integration@writeback.example',
    password = 'demo-password',
    answer = 'allow',
  } = customer
  const login = await browser.visit(signInUrl)
  if (login.status === 302) return redirectOf(login)
  const org = new URL(signInUrl).origin
  const asked = await browser.visit(`${org}/services/oauth2/authorize/login`, {
    visit: visitOf(login),
    username,
    password,
  })
  if (asked.status === 302) return redirectOf(asked)
  const visit = visitOf(asked)
  const answered = await browser.visit(`${org}/services/oauth2/authorize/consent`, { visit, answer })
  return redirectOf(answered)
}

/** Opens a link, chooses an org's login host, and goes there; the address of its login page. */
export async function begin(browser: PlainBrowser, link: string, loginUrl: string): Promise<string> {
  const page = await browser.visit(link, { environment: 'my-domain', domain: loginUrl })
  const next = nextOf(page)
  if (next === '') throw new Error(`${page.status} ${page.text}`)
  return next
}

/** All of it, to the last page. */
export async function connectOrg(
  link: string,
  loginUrl: string,
  customer: Customer = {},
  browser = new PlainBrowser(),
): Promise<Seen> {
  return browser.visit(await signIn(browser, await begin(browser, link, loginUrl), customer))
}

/** What of a tenant's connections could change by connecting. */
export const credentialsOf = async ({ database }: Service, { projectId }: Tenant): Promise<object[]> =>
  database.sql`
    select id, credential_type, encode(credentials, 'hex') as credentials, status from connection
    where project_id = ${projectId} order by id`

/** Runs something after which nothing about the tenant's connections may have changed. */
export async function leavingAlone<T>(service: Service, tenant: Tenant, run: () => Promise<T>): Promise<T> {
  const before = await credentialsOf(service, tenant)
  const result = await run()
  expect(await credentialsOf(service, tenant)).toEqual(before)
  return result
}
