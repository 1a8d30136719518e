import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { demoApp, type ConnectedApp } from '../../src/simulator/start.ts'
import { keepingLogger } from '../api/harness.ts'
import { caller, createTenant, startService, type Service, type Tenant } from '../support/service.ts'
import { begin, connectOrg, leavingAlone, makeLink, PlainBrowser, signIn } from './connect-fixture.ts'

const shortOfScopes: ConnectedApp = {
  ...demoApp,
  clientId: 'short-of-scopes',
  refreshTokens: [],
  scope: 'api',
}
const withholding: ConnectedApp = {
  ...demoApp,
  clientId: 'withholding',
  refreshTokens: [],
  withholdsRefreshTokens: true,
}
const approvedOnly: ConnectedApp = {
  ...demoApp,
  clientId: 'approved-only',
  refreshTokens: [],
  users: ['somebody@writeback.example'],
  approvedOnly: true,
}
let service: Service
let tenant: Tenant
let url: string
let org: string
const { logger, lines } = keepingLogger()

beforeAll(async () => {
  const apps = [demoApp, shortOfScopes, withholding, approvedOnly]
  service = await startService({ logger }, { apps })
  url = service.app.url
  org = service.simulator.url
})
afterAll(() => service.stop())
beforeEach(async () => {
  service.simulator.org.sessions.clear()
  tenant = await createTenant(url, org)
})
afterEach(() => {
  lines.length = 0
  service.simulator.org.faults.clear()
  service.simulator.org.settings.redirectUris = []
})

const unchanged = <T>(run: () => Promise<T>): Promise<T> => leavingAlone(service, tenant, run)

const grants = (): number => service.simulator.org.sessions.liveGrants()
/** What the log says of grants that were given back: whether they were. */
const revocations = (): unknown[] =>
  lines.flatMap((line) => /"isRevoked":(\w+).*a grant was given back/.exec(line)?.[1] ?? [])

const goThere = async (input: object = {}) => {
  const browser = new PlainBrowser()
  const link = await makeLink(url, tenant, input)
  return { browser, link, back: await signIn(browser, await begin(browser, link, org)) }
}

describe('coming back', () => {
  it('counts once: the same address again changes nothing', async () => {
    const { browser, back } = await goThere()
    expect((await browser.visit(back)).heading).toBe('Connected')
    await unchanged(async () => {
      const again = await browser.visit(back)
      expect([again.status, again.text]).toEqual([200, expect.stringContaining('This link has been used')])
    })
  })

  it('counts once when it happens twice at the same time', async () => {
    const { browser, back } = await goThere()
    const { requests } = service.simulator.org
    const exchanges = (): number => requests.list(({ operation }) => operation === 'token').length
    const before = exchanges()
    const pages = await Promise.all([browser.visit(back), browser.visit(back), browser.visit(back)])
    expect(pages.map(({ heading }) => heading)).toContain('Connected')
    expect(exchanges() - before).toBe(1)
  })

  it('is refused in another browser, and then still counts in the right one', async () => {
    const { browser, back } = await goThere()
    for (const other of [new PlainBrowser(), (await goThere()).browser]) {
      const page = await unchanged(() => other.visit(back))
      expect([page.status, page.heading]).toEqual([400, 'This is another browser'])
    }
    expect((await browser.visit(back)).heading).toBe('Connected')
  })

  it('with a state that is none, or without one, is a sign-in that is not known', async () => {
    const { browser, back } = await goThere()
    const state = new URL(back).searchParams.get('state')!
    for (const query of [
      '',
      'code=x',
      'state=x&code=y',
      `state=${'A'.repeat(43)}&code=y`,
      `state=${state}&state=${state}`,
    ]) {
      const page = await unchanged(() => browser.visit(`${url}/connect/callback?${query}`))
      expect([query, page.status, page.heading]).toEqual([query, 400, 'This sign-in is not known'])
    }
  })

  it('after too long a time is refused', async () => {
    const { browser, back, link } = await goThere()
    await service.database.sql`
      update connect_link set begun_at = now() - interval '16 minutes', expires_at = now() - interval '1 minute'
      where project_id = ${tenant.projectId}`
    const page = await unchanged(() => browser.visit(back))
    expect([page.status, page.heading]).toEqual([410, 'The sign-in took too long'])
    expect((await browser.visit(link)).heading).toBe('This link has expired')
  })

  it('works after the link expired, if it was begun before', async () => {
    const { browser, back } = await goThere()
    await service.database.sql`
      update connect_link set begun_at = now() - interval '14 minutes', expires_at = now() - interval '1 minute'
      where project_id = ${tenant.projectId}`
    expect((await browser.visit(back)).heading).toBe('Connected')
  })

  it('with a code that was used before is refused by the org, and nothing changes', async () => {
    const first = await goThere()
    const code = new URL(first.back).searchParams.get('code')!
    expect((await first.browser.visit(first.back)).heading).toBe('Connected')
    const second = await goThere()
    const stolen = new URL(second.back)
    stolen.searchParams.set('code', code)
    const page = await unchanged(() => second.browser.visit(stolen.href))
    expect([page.status, page.heading]).toEqual([502, 'The sign-in was not accepted'])
    expect(page.text).toContain('Salesforce said: invalid_grant: invalid authorization code')
  })

  it("with another sign-in's code is refused, for want of its verifier", async () => {
    const [mine, other] = [await goThere(), await goThere()]
    const mixed = new URL(mine.back)
    mixed.searchParams.set('code', new URL(other.back).searchParams.get('code')!)
    const page = await unchanged(() => mine.browser.visit(mixed.href))
    expect(page.text).toContain('invalid code verifier')
  })

  it('can be gone through with the same link after it was denied', async () => {
    const browser = new PlainBrowser()
    const link = await makeLink(url, tenant)
    const back = await signIn(browser, await begin(browser, link, org), { answer: 'deny' })
    const denied = await unchanged(() => browser.visit(back))
    expect([denied.status, denied.heading]).toEqual([403, 'Not connected'])
    expect(denied.source).toContain(`href="${link}"`)
    const replayed = await browser.visit(back)
    expect([replayed.status, replayed.heading]).toEqual([410, 'This sign-in has been used'])
    expect((await browser.visit(link)).text).toContain('The last sign-in was not finished')
    expect((await connectOrg(link, org, {}, browser)).heading).toBe('Connected')
  })

  it('leaves nothing half done when the process ends between the exchange and the storing', async () => {
    const { browser, back, link } = await goThere()
    const { sql } = service.database
    // What such a process leaves behind: the sign-in is taken, and nothing is stored.
    await sql`update connect_link set taken_at = now() where project_id = ${tenant.projectId}`
    const page = await unchanged(() => browser.visit(back))
    expect([page.status, page.heading]).toEqual([410, 'This sign-in has been used'])
    expect(page.text).toContain('start again')
    expect((await browser.visit(link)).text).toContain('You can start again')
    expect((await connectOrg(link, org, {}, browser)).heading).toBe('Connected')
  })

  it('stores all or nothing when the database refuses, and gives the grant back', async () => {
    const { browser, back, link } = await goThere()
    const { sql } = service.database
    await sql`alter table connection add constraint refuses check (credential_type <> 'oauth2-refresh-token') not valid`
    try {
      const page = await unchanged(() => browser.visit(back))
      expect([page.status, page.heading]).toEqual([500, 'Something went wrong'])
    } finally {
      await sql`alter table connection drop constraint refuses`
    }
    expect([grants(), revocations()]).toEqual([0, ['true']])
    expect((await connectOrg(link, org, {}, browser)).heading).toBe('Connected')
    expect([grants(), revocations()]).toEqual([1, ['true']])
  })

  it('leaves a grant alone that may have been stored: the answer to the commit was lost', async () => {
    const { browser, back } = await goThere()
    const { sql } = service.database
    await sql`
      create function dies() returns trigger language plpgsql
      as 'begin perform pg_terminate_backend(pg_backend_pid()); return null; end'`
    await sql`
      create constraint trigger dies after update on connection deferrable initially deferred
      for each row execute function dies()`
    try {
      expect((await unchanged(() => browser.visit(back))).status).toBe(503)
    } finally {
      await sql`drop function dies cascade`
    }
    expect([grants(), revocations()]).toEqual([1, []])
  })

  it('is replaced by a sign-in that begins while its code is exchanged', async () => {
    const { browser, back, link } = await goThere()
    const gate = service.simulator.org.faults.hold({ operation: 'token' })
    const page = unchanged(() => browser.visit(back))
    await gate.arrived
    const other = new PlainBrowser()
    const next = await begin(other, link, org)
    gate.release()
    expect((await page).heading).toBe('Another sign-in has begun')
    expect((await other.visit(await signIn(other, next))).heading).toBe('Connected')
    expect([grants(), revocations()]).toEqual([1, ['true']])
  })

  it('to a project that was deleted meanwhile connects nothing, whatever the login host makes of the grant', async () => {
    const { faults } = service.simulator.org
    const { body } = await caller(url)<{ id: string }>('POST', '/v1/projects', { name: 'soon deleted' })
    const browser = new PlainBrowser()
    const link = await makeLink(url, { ...tenant, projectId: body.id })
    const back = await signIn(browser, await begin(browser, link, org))
    const gate = faults.hold({ operation: 'token' })
    const page = browser.visit(back)
    await gate.arrived
    const { status } = await caller(url)('DELETE', `/v1/projects/${body.id}`)
    expect(status).toBe(204)
    faults.add({ match: { operation: 'revoke' }, action: { type: 'dropBefore' } })
    gate.release()
    const { status: shown, heading, source } = await page
    expect([shown, heading]).toEqual([410, 'This link is not valid any more'])
    expect(source).not.toContain('Try again')
    expect(revocations()).toEqual(['false'])
  })
})

describe('a plain reason is given', () => {
  it.each([
    [
      'the app may not ask for refresh tokens',
      { clientId: 'short-of-scopes' },
      'refresh_token, offline_access',
    ],
    ['the org gives no refresh token', { clientId: 'withholding' }, 'gave no refresh token'],
    ['the user may not use the app', { clientId: 'approved-only' }, 'does not let you use this app'],
    ['the secret of the app is wrong', { clientSecret: 'wrong' }, 'did not take the consumer secret'],
  ])('when %s', async (_, input, says) => {
    const page = await unchanged(async () => connectOrg(await makeLink(url, tenant, input), org))
    expect(page.text).toContain(says)
    expect(page.text).toMatch(/Tell whoever gave you the link|Ask your Salesforce administrator/)
    expect(page.source).toContain('role="alert"')
  })

  it('when the login host is not reachable, cuts the answer off, or answers nonsense', async () => {
    const { faults } = service.simulator.org
    const actions = [
      { type: 'dropBefore' },
      { type: 'dropAfter' },
      { type: 'status', canned: 'unavailableHtml' },
    ] as const
    for (const action of actions) {
      faults.add({ match: { operation: 'token' }, action })
      const page = await unchanged(async () => connectOrg(await makeLink(url, tenant), org))
      expect([action, page.status, page.heading]).toEqual([action, 502, 'Salesforce could not be reached'])
      faults.clear()
    }
  })

  it('when the app or its callback URL is not known, by the org itself', async () => {
    const browser = new PlainBrowser()
    const unknown = await begin(browser, await makeLink(url, tenant, { clientId: 'nobody' }), org)
    expect((await browser.visit(unknown)).text).toContain('invalid_client_id')
    service.simulator.org.settings.redirectUris = ['https://elsewhere.example/connect/callback']
    const elsewhere = await begin(browser, await makeLink(url, tenant), org)
    expect((await browser.visit(elsewhere)).text).toContain('redirect_uri must match configuration')
    service.simulator.org.settings.redirectUris = [`${url}/connect/callback`]
    expect((await connectOrg(await makeLink(url, tenant), org)).heading).toBe('Connected')
  })

  it.each([
    ['access_denied', 'end-user denied authorization', 'Not connected'],
    ['OAUTH_APP_ACCESS_DENIED', 'user is not admin approved to access this app', 'The app is not approved'],
    ['OAUTH_APP_BLOCKED', 'this app is blocked by admin', 'The app is not approved'],
    ['OAUTH_APPROVAL_ERROR_GENERIC', 'An unexpected error has occurred', 'The app is not approved'],
    [
      'OAUTH_EC_APP_NOT_FOUND',
      'External client app is not installed in this org',
      'The app is not installed',
    ],
    ['invalid_client', 'app must be installed into org', 'The app is not installed'],
    ['invalid_client', 'invalid client credentials', 'The app was refused'],
    ['OAUTH_AUTHORIZATION_BLOCKED', 'Cross-org OAuth flows are not supported', 'The app is for another org'],
    ['invalid_client_id', 'client identifier invalid', 'The app is not known'],
    ['redirect_uri_mismatch', 'redirect_uri must match configuration', 'The callback URL does not match'],
    ['invalid_scope', 'the requested scope is not allowed', 'The app may not do enough'],
    ['invalid_grant', 'ip restricted', 'Your org does not let this service in'],
    ['invalid_grant', 'IP restricted or invalid login hours', 'Your org does not let this service in'],
    ['invalid_grant', 'expired authorization code', 'The sign-in was not accepted'],
    ['something_new', '', 'Salesforce refused'],
    ['constructor', '', 'Salesforce refused'],
  ])('when the login host says %s: %s, on the way back or to the code', async (error, words, heading) => {
    const { browser, back, link } = await goThere()
    const body = { error, error_description: words }
    service.simulator.org.faults.add({
      match: { operation: 'token' },
      action: { type: 'status', status: 400, body },
    })
    const exchanged = await unchanged(() => browser.visit(back))
    const state = new URL(await begin(browser, link, org)).searchParams.get('state')!
    const query = new URLSearchParams({ state, ...body })
    const returned = await unchanged(() => browser.visit(`${url}/connect/callback?${query.toString()}`))
    for (const page of [exchanged, returned])
      expect([page.heading, page.text.includes('Try again')]).toEqual([heading, true])
  })
})
