import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startApp, type App } from '../../src/app.ts'
import { demoApp, type ConnectedApp } from '../../src/simulator/start.ts'
import { keepingLogger } from '../api/harness.ts'
import {
  appOptions,
  caller,
  createTenant,
  startService,
  type Service,
  type Tenant,
} from '../support/service.ts'
import {
  begin,
  connectOrg,
  credentialsOf,
  leavingAlone,
  makeLink,
  PlainBrowser,
  signIn,
} from './connect-fixture.ts'

const encryptionKey = randomBytes(32)
const rotating: ConnectedApp = {
  ...demoApp,
  clientId: 'rotating',
  refreshTokens: [],
  rotateRefreshTokens: true,
}

let service: Service
let tenant: Tenant
let url: string
let org: string
const { logger, lines } = keepingLogger()

beforeAll(async () => {
  const apps = [demoApp, rotating]
  service = await startService({ encryptionKey, logger }, { apps })
  url = service.app.url
  org = service.simulator.url
})
afterAll(() => service.stop())
beforeEach(async () => {
  tenant = await createTenant(url, org)
})
const connections = async (of: Tenant = tenant) =>
  (
    await caller(url)<{ results: { id: string; groupRef: string; status: string }[] }>(
      'GET',
      `/v1/projects/${of.projectId}/connections`,
    )
  ).body.results

const unchanged = <T>(run: () => Promise<T>): Promise<T> => leavingAlone(service, tenant, run)

const newGroup = { groupRef: 'new customer' }

describe('a link', () => {
  it("makes a group's first connection, and with it writes go through", async () => {
    const page = await connectOrg(await makeLink(url, tenant, newGroup), org)
    expect([page.status, page.heading]).toEqual([200, 'Connected'])
    expect(page.text).toContain(`Salesforce org: ${new URL(org).host}`)
    expect(await connections()).toMatchObject([{ groupRef: 'new customer', status: 'working' }, {}])
    const base = `/v1/projects/${tenant.projectId}/integrations/${tenant.integrationId}`
    const config = { content: { provider: 'salesforce', write: {} } }
    const installed = await caller(url)('POST', `${base}/installations`, { ...newGroup, config })
    expect(installed.status).toBe(201)
    const written = await tenant.post('Contact', {
      ...newGroup,
      type: 'create',
      record: { LastName: 'Linked' },
    })
    expect([written.status, service.simulator.org.find('Contact', 'LastName', 'Linked')]).toMatchObject([
      200,
      [{}],
    ])
  })

  it('gives a broken connection new credentials, and what waited for it is written', async () => {
    const { sql } = service.database
    const path = `/v1/projects/${tenant.projectId}/connections/${tenant.connectionId}`
    const credentials = {
      type: 'oauth2-refresh-token',
      clientId: 'writeback-demo',
      refreshToken: 'none',
      loginUrl: org,
    }
    await caller(url)('PATCH', path, { credentials })
    const id = await tenant.write('Contact', { type: 'create', record: { LastName: 'Waited' } })
    await expect.poll(async () => (await connections()).map(({ status }) => status)).toEqual(['broken'])
    const page = await connectOrg(await makeLink(url, tenant), org)
    expect(page.text).toContain('has access to your org again')
    expect(await tenant.operation(id)).toMatchObject({ status: 'success' })
    expect(await connections()).toMatchObject([{ id: tenant.connectionId, status: 'working' }])
    const [link] = await sql`
      select app, attempt, used_at from connect_link where project_id = ${tenant.projectId}`
    expect(link).toMatchObject({ app: null, attempt: null, used_at: expect.any(Date) as Date })
  })

  it('keeps a refresh token that rotates from then on', async () => {
    await connectOrg(await makeLink(url, tenant, { clientId: 'rotating' }), org)
    for (const name of ['First', 'Second']) {
      service.simulator.org.sessions.expireAll()
      const written = await tenant.post('Contact', { type: 'create', record: { LastName: name } })
      expect(written.status).toBe(200)
    }
    expect(service.simulator.org.sessions.oldRefreshTokensPresented).toBe(0)
  })

  it('can be used once', async () => {
    const link = await makeLink(url, tenant)
    const browser = new PlainBrowser()
    await connectOrg(link, org, {}, browser)
    await unchanged(async () => {
      for (const again of [
        await browser.visit(link),
        await new PlainBrowser().visit(link, { environment: 'production' }),
      ])
        expect([again.status, again.heading]).toEqual([410, 'This link has been used'])
    })
  })

  it('ends after a quarter of an hour', async () => {
    const link = await makeLink(url, tenant)
    const { sql } = service.database
    const [row] = await sql<{ minutes: number }[]>`
      select (extract(epoch from expires_at - now()) / 60)::float8 as minutes from connect_link
      where project_id = ${tenant.projectId}`
    expect(Math.ceil(row!.minutes)).toBe(15)
    await sql`update connect_link set expires_at = now() where project_id = ${tenant.projectId}`
    for (const form of [undefined, { environment: 'production' }]) {
      const page = await new PlainBrowser().visit(link, form)
      expect([page.status, page.heading]).toEqual([410, 'This link has expired'])
    }
    await sql`update connect_link set expires_at = now() - interval '61 minutes' where project_id = ${tenant.projectId}`
    await makeLink(url, tenant)
    const left = await sql`select id from connect_link where project_id = ${tenant.projectId}`
    expect([left.length, (await new PlainBrowser().visit(link)).status]).toEqual([1, 404])
  })

  it('that is none is told from nothing else', async () => {
    for (const path of ['x', 'A'.repeat(43), `${'A'.repeat(42)}%00`, 'callback.html', '..%2f..%2fetc']) {
      const page = await new PlainBrowser().visit(`${url}/connect/${path}`)
      expect([page.status, page.heading]).toEqual([404, 'This link is not valid'])
    }
  })

  it('takes two browsers that begin: the later one counts', async () => {
    const link = await makeLink(url, tenant)
    const [first, second] = [new PlainBrowser(), new PlainBrowser()]
    const back = await signIn(first, await begin(first, link, org))
    const later = await signIn(second, await begin(second, link, org))
    const refused = await unchanged(() => first.visit(back))
    expect([refused.status, refused.heading]).toEqual([400, 'This sign-in is not known'])
    expect((await second.visit(later)).heading).toBe('Connected')
  })

  it('and another one of the same new group make one connection', async () => {
    const links = [await makeLink(url, tenant, newGroup), await makeLink(url, tenant, newGroup)]
    const backs = await Promise.all(
      links.map(async (link) => {
        const browser = new PlainBrowser()
        const back = await signIn(browser, await begin(browser, link, org))
        return () => browser.visit(back)
      }),
    )
    const pages = await Promise.all(backs.map((back) => back()))
    expect(pages.map(({ heading }) => heading)).toEqual(['Connected', 'Connected'])
    expect((await connections()).filter(({ groupRef }) => groupRef === 'new customer')).toHaveLength(1)
  })
})

describe('several processes', () => {
  let second: App
  beforeAll(async () => {
    const part = { encryptionKey, logger, publicUrl: url, role: 'api' } as const
    second = await startApp(appOptions(service.database.url, part))
  })
  afterAll(() => second.stop(1_000))

  it('share links and sign-ins', async () => {
    const link = await makeLink(second.url, tenant)
    expect(link).toContain(`${url}/connect/`)
    const browser = new PlainBrowser()
    const there = await begin(browser, link.replace(url, second.url), org)
    const back = await signIn(browser, there)
    expect(back).toContain(`${url}/connect/callback?`)
    const pages = await Promise.all([browser.visit(back), browser.visit(back.replace(url, second.url))])
    expect(pages.map(({ heading }) => heading)).toContain('Connected')
  })

  it('know the address that they are reached by', async () => {
    const part = {
      encryptionKey,
      logger,
      publicUrl: 'https://writeback.example.com/base/',
      role: 'api',
    } as const
    const third = await startApp(appOptions(service.database.url, part))
    try {
      const link = await makeLink(third.url, tenant)
      expect(link).toMatch(/^https:\/\/writeback\.example\.com\/base\/connect\/[\w-]{43}$/)
      const browser = new PlainBrowser()
      const there = await begin(browser, link.replace('https://writeback.example.com/base', third.url), org)
      expect(new URL(there).searchParams.get('redirect_uri')).toBe(
        'https://writeback.example.com/base/connect/callback',
      )
      expect(browser.cookiesSet[0]).toMatch(/; Path=\/base\/connect; HttpOnly; SameSite=Lax; Secure$/)
    } finally {
      await third.stop(1_000)
    }
  })
})

it("one project's link leaves other projects as they are", async () => {
  const other = await createTenant(url, org)
  const before = await credentialsOf(service, other)
  await connectOrg(await makeLink(url, tenant, { groupRef: other.groupRef }), org)
  expect(await credentialsOf(service, other)).toEqual(before)
  expect((await connections()).map(({ groupRef }) => groupRef)).toContain(other.groupRef)
})

it('no secret of a link is logged, stored as it is, or sent where it does not belong', async () => {
  const sent: string[] = []
  const browser = new PlainBrowser()
  const link = await makeLink(url, tenant, { ...newGroup, clientSecret: 'demo-secret' })
  const first = await browser.visit(link)
  const there = await begin(browser, link, org)
  const back = await signIn(browser, there)
  const last = await browser.visit(back)
  await browser.visit(`${link}/`)
  await browser.visit(link.replace('/connect/', '/CONNECT/'))
  expect(last.heading).toBe('Connected')
  const query = new URL(back).searchParams
  const cookie = /=([\w-]{43});/.exec(browser.cookiesSet[0]!)![1]!
  const secrets = [link.slice(-43), query.get('state')!, query.get('code')!, cookie, 'demo-secret']
  const { sql } = service.database
  const stored = await sql<{ row: string }[]>`select t::text as row from connect_link t`
  const kept = await sql<{ row: string }[]>`select t::text as row from connection t`
  const hex = (text: string): string => Buffer.from(text).toString('hex')
  const written = [...lines, ...stored.map(({ row }) => row), ...kept.map(({ row }) => row)].join('\n')
  for (const secret of secrets) {
    expect(written).not.toContain(secret)
    expect(written).not.toContain(hex(secret))
  }
  expect(lines.join('\n')).toContain('/connect/:token')
  const { host } = new URL(org)
  expect(lines.find((line) => line.includes('an org was connected'))).toContain(`"instanceHost":"${host}"`)
  // The client secret never goes to the browser, and the pages tell nobody where they are.
  sent.push(first.source, there, last.source)
  for (const text of sent) expect(text).not.toContain('demo-secret')
  for (const page of [first, last])
    expect(Object.fromEntries(page.headers)).toMatchObject({
      'cache-control': 'no-store',
      'content-security-policy': expect.stringContaining("default-src 'none'") as string,
      'referrer-policy': 'no-referrer',
      'x-frame-options': 'DENY',
      'x-content-type-options': 'nosniff',
    })
})
