import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { caller, startService, type Service } from '../support/service.ts'
import { begin, connectOrg, makeLink, PlainBrowser, redirectOf, type Seen } from './connect-fixture.ts'

let service: Service
let link: string
let org: string
beforeAll(async () => {
  service = await startService()
  link = await makeLink(service.app.url, service.tenant)
  org = service.simulator.url
})
afterAll(() => service.stop())

/** What every page of ours has, whatever it says. */
function expectGuarded({ headers, source }: Seen): void {
  expect(Object.fromEntries(headers)).toMatchObject({
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
  })
  const policy = headers.get('content-security-policy')!
  expect(policy).toMatch(
    /^default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; img-src data:; style-src 'sha256-[\w+/]{43}='$/,
  )
  expect(source).toMatch(/^<!doctype html>\s*<html lang="en">/)
  expect(source).not.toMatch(/<script|style="|onclick/)
}

const markup = '<script>alert("x")</script>'

describe('what others wrote', () => {
  it("is text on every page: names, groups, addresses, the login host's words", async () => {
    const { app, tenant } = service
    const project = await caller(app.url)<{ id: string }>('POST', '/v1/projects', { name: `${markup}'&` })
    const theirs = { ...tenant, projectId: project.body.id }
    const returnUrl = `https://app.example.com/?a="><img src=x>&b='`
    const url = await makeLink(app.url, theirs, { groupRef: markup, returnUrl })
    const browser = new PlainBrowser()
    const first = await browser.visit(url)
    const wrong = await browser.visit(url, { environment: 'my-domain', domain: `"><b>${markup}` })
    const unknown = await browser.visit(url, { environment: markup })
    expect([first.status, wrong.status, unknown.status]).toEqual([200, 400, 400])
    expect(wrong.source).toContain('value="&quot;&gt;&lt;b&gt;&lt;script&gt;')
    const state = new URL(await begin(browser, url, org)).searchParams.get('state')!
    const query = new URLSearchParams({ state, error: markup, error_description: `${markup}\u0007\n` })
    const refused = await browser.visit(`${app.url}/connect/callback?${query.toString()}`)
    expect(refused.text).toContain(`Salesforce said: ${markup}: ${markup}`)
    const last = await connectOrg(url, org, {}, browser)
    expect([last.heading, last.text.split(markup).length]).toEqual(['Connected', 3])
    for (const page of [first, wrong, unknown, refused, last]) {
      expectGuarded(page)
      expect(page.source).not.toMatch(/<script|<img|<b>&lt;/)
    }
  })

  it('is repeated to nobody but the browser that began', async () => {
    const query = new URLSearchParams({
      state: 'A'.repeat(43),
      error: 'call',
      error_description: '0800 SCAM',
    })
    const page = await new PlainBrowser().visit(`${service.app.url}/connect/callback?${query.toString()}`)
    expect(page.status).toBe(400)
    expect(page.source).not.toContain('SCAM')
  })
})

describe('a request that is none of a page', () => {
  it('is answered with a page too', async () => {
    const send = async (body: string, type: string): Promise<Seen> => {
      const response = await fetch(link, { method: 'POST', body, headers: { 'content-type': type } })
      const source = await response.text()
      return { status: response.status, headers: response.headers, source, heading: '', text: source }
    }
    const form = 'application/x-www-form-urlencoded'
    const pages = [
      await send('{}', 'application/json'),
      await send('x'.repeat(9_000), form),
      await send('', form),
      await send('environment=%FF%00&environment=production', form),
    ]
    expect(pages.map(({ status }) => status)).toEqual([415, 413, 400, 400])
    for (const page of pages) expectGuarded(page)
  })

  it('is refused by its method', async () => {
    for (const method of ['PUT', 'DELETE', 'PATCH'])
      expect((await fetch(link, { method, redirect: 'manual' })).status).toBe(405)
    for (const path of [link, `${service.app.url}/connect/callback?state=x`])
      expect((await fetch(path, { method: 'HEAD' })).status).toBe(405)
  })
})

it('no page redirects anywhere', async () => {
  const browser = new PlainBrowser()
  const pages = [
    await browser.visit(link),
    await browser.visit(link, { environment: 'production', next: 'https://evil.example' }),
    await browser.visit(`${service.app.url}/connect/callback?state=x&code=y&redirect=https://evil.example`),
  ]
  for (const page of pages) expect(redirectOf(page)).toBe('')
  expect(pages[1]!.source).toContain('https://login.salesforce.com/services/oauth2/authorize?')
  expect(pages.map(({ source }) => source).join()).not.toContain('evil.example')
})

it('a fault of the service is told in a page, and the link works when it is mended', async () => {
  const { sql } = service.database
  await sql`alter table connect_link rename to away`
  try {
    const page = await new PlainBrowser().visit(link)
    expect([page.status, page.heading]).toEqual([500, 'Something went wrong'])
    expectGuarded(page)
  } finally {
    await sql`alter table away rename to connect_link`
  }
  expect((await new PlainBrowser().visit(link)).status).toBe(200)
})
