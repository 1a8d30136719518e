import { mkdirSync, readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { join, resolve } from 'node:path'
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { makeLink } from '../e2e/connect-fixture.ts'
import { caller, startService, type Service } from '../support/service.ts'
import { isWithoutBrowser, launchBrowser } from './chromium.ts'

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const images = resolve(import.meta.dirname, '../../docs/images')

let service: Service
let browser: Browser
/** One for all that need no browser of their own. */
let page: Page
/** Browsers besides that of the page. */
const contexts: BrowserContext[] = []
/** What pages complained of: their console, and what their policy refused. */
const complaints: string[] = []

beforeAll(async () => {
  if (isWithoutBrowser) return
  service = await startService()
  // Shown on the pages, and in the pictures of them.
  await caller(service.app.url)('PATCH', `/v1/projects/${service.tenant.projectId}`, { name: 'Acme' })
  browser = await launchBrowser()
  page = await openAnother()
  contexts.length = 0
})
afterAll(async () => {
  if (isWithoutBrowser) return
  await browser.close()
  await service.stop()
})
afterEach(async () => {
  if (isWithoutBrowser) return
  await Promise.all(contexts.splice(0).map((context) => context.close()))
  expect(complaints.splice(0)).toEqual([])
})

/** Another browser, with cookies of its own, until the test ends. */
async function openAnother(options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 720, height: 760 }, ...options })
  contexts.push(context)
  const opened = await context.newPage()
  opened.on('console', (message) => {
    // A page that says what is wrong has a status that says so too.
    if (!/^Failed to load resource: the server responded with a status of 4/.test(message.text()))
      complaints.push(`${message.type()} ${message.text()}`)
  })
  opened.on('pageerror', (error) => complaints.push(error.message))
  return opened
}

const groupRef = 'customer-42'
const link = (input: object = {}): Promise<string> =>
  makeLink(service.app.url, service.tenant, {
    groupRef,
    returnUrl: 'https://app.example.com/settings',
    ...input,
  })

async function logIn(page: Page): Promise<void> {
  await page.getByLabel('Username').fill('integration@writeback.example')
  await page.getByLabel('Password').fill('demo-password')
  await page.getByRole('button', { name: 'Log In' }).click()
}

const heading = (page: Page): Promise<string | null> => page.getByRole('heading', { level: 1 }).textContent()

const connect = (page: Page): Promise<void> => page.getByRole('button', { name: 'Connect' }).click()

/** From the login page of the org back to ours. */
async function answer(page: Page, button: 'Allow' | 'Deny'): Promise<void> {
  await logIn(page)
  await page.getByRole('button', { name: button }).click()
}

const fixedLink = (input: object = {}): Promise<string> => link({ loginUrl: service.simulator.url, ...input })

const connectionsOf = async (group: string): Promise<{ groupRef: string; status: string }[]> => {
  const path = `/v1/projects/${service.tenant.projectId}/connections`
  const { body } = await caller(service.app.url)<{ results: { groupRef: string; status: string }[] }>(
    'GET',
    path,
  )
  return body.results.filter((one) => one.groupRef === group)
}

/** What axe, which has been loaded, finds wrong with the page as it is. */
async function inaccessible(page: Page): Promise<string[]> {
  const run = `axe.run(document, { resultTypes: ['violations', 'incomplete'] }).then(({ violations, incomplete }) =>
    [...violations, ...incomplete].flatMap(({ id, nodes }) => nodes.map(({ html }) => id + ': ' + html)))`
  return page.evaluate<string[]>(run)
}

/** Whether nothing is wider than the window. */
const isWithinWidth = (page: Page): Promise<boolean> =>
  page.evaluate<boolean>('document.documentElement.scrollWidth <= document.documentElement.clientWidth')

const looks = [
  { width: 1280, height: 900, colorScheme: 'light' },
  { width: 320, height: 640, colorScheme: 'light' },
  { width: 320, height: 640, colorScheme: 'dark' },
] as const

/** Looks a page over: that it is the one, that it has what every page has, and can be used by everybody. */
async function audit(page: Page, title: string): Promise<void> {
  // It may be on its way.
  await page.getByRole('heading', { level: 1, name: title, exact: true }).waitFor()
  const counts = [await page.locator('main').count(), await page.locator('h1').count()]
  expect([title, ...counts, await page.title()]).toEqual([title, 1, 1, expect.stringMatching(/./)])
  await page.evaluate(axeSource)
  for (const { colorScheme, ...size } of looks) {
    await page.setViewportSize(size)
    await page.emulateMedia({ colorScheme })
    expect([title, size, await isWithinWidth(page)]).toEqual([title, size, true])
    expect([title, size, colorScheme, await inaccessible(page)]).toEqual([title, size, colorScheme, []])
  }
}

describe.skipIf(isWithoutBrowser)('connecting an org in a browser', () => {
  it('works from the link to Connected without scripts, after a domain that is none', async () => {
    const plain = await openAnother({ javaScriptEnabled: false })
    expect(await connectionsOf(groupRef)).toEqual([])
    await plain.goto(await link())
    const field = plain.getByLabel('My Domain address')
    expect(await field.isVisible()).toBe(false)
    await plain.getByRole('radio', { name: /My Domain/ }).check()
    await field.fill('example.com')
    await connect(plain)
    expect(await plain.getByRole('alert').textContent()).toContain('no My Domain of Salesforce')
    expect(await field.inputValue()).toBe('example.com')
    expect(await plain.evaluate('document.activeElement.id')).toBe('domain')
    expect(await field.getAttribute('aria-describedby')).toBe('domain-hint fault')
    await field.fill(service.simulator.url)
    await connect(plain)
    await answer(plain, 'Allow')
    expect(await heading(plain)).toBe('Connected')
    expect(plain.url()).toContain(`${service.app.url}/connect/callback`)
    const back = plain.getByRole('link', { name: 'Back to app.example.com' })
    expect(await back.getAttribute('href')).toBe('https://app.example.com/settings')
    expect(await connectionsOf(groupRef)).toMatchObject([{ status: 'working' }])
    await plain.reload()
    expect(await plain.textContent('main')).toContain('This link has been used')
  })

  it('goes on where the login host sends the browser to another host at once, as for single sign-on', async () => {
    const provider: Server = createServer((_, response) => {
      response
        .setHeader('content-type', 'text/html')
        .end('<link rel="icon" href="data:,"><h1>Your company</h1>')
    })
    const elsewhere = await listening(provider)
    const host: Server = createServer((_, response) => {
      response.writeHead(302, { location: `${elsewhere}/saml` }).end()
    })
    try {
      await page.goto(await link({ loginUrl: await listening(host) }))
      await connect(page)
      await page.waitForURL(`${elsewhere}/saml`)
      expect(await heading(page)).toBe('Your company')
    } finally {
      for (const server of [provider, host]) server.close()
    }
  })

  it('is one key from the login page where the link leaves no choice, and refused in another browser then', async () => {
    await page.goto(await fixedLink())
    await page.keyboard.press('Tab')
    expect(await focused(page)).toEqual({ is: 'BUTTON Connect', isSeen: true })
    await page.keyboard.press('Space')
    await page.waitForURL(`${service.simulator.url}/**`)
    expect(await heading(page)).toBe('Log in')
    const other = await openAnother()
    await other.goto(page.url())
    await answer(other, 'Allow')
    expect(await heading(other)).toBe('This is another browser')
    expect(await other.getByRole('alert').count()).toBe(1)
  })
})

const listening = async (server: Server): Promise<string> => {
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** What has the focus: its name as people are told it, and whether one sees that it has it. */
const focused = (page: Page): Promise<{ is: string; isSeen: boolean }> =>
  page.evaluate<{ is: string; isSeen: boolean }>(`(() => {
    const element = document.activeElement
    const outlined = (one) => one !== null && getComputedStyle(one).outlineStyle === 'solid' && parseFloat(getComputedStyle(one).outlineWidth) >= 2
    const label = element.labels?.[0] ?? element
    return { is: element.tagName + ' ' + (element.value || label.textContent).trim(), isSeen: outlined(element) || outlined(element.closest('label')) }
  })()`)

describe.skipIf(isWithoutBrowser)('every page can be used by everybody: on a phone, in the dark, and', () => {
  it('with the keyboard alone, which is seen at every step, with everything typed wrong once', async () => {
    const press = async (...keys: string[]): Promise<string[]> => {
      const steps: string[] = []
      for (const key of keys) {
        await page.keyboard.press(key)
        const { is, isSeen } = await focused(page)
        steps.push(`${key}: ${is}${isSeen ? '' : ' (not seen)'}`)
      }
      return steps
    }
    await page.goto(await link({ groupRef: 'by keyboard' }))
    await audit(page, 'Connect Salesforce')
    expect(await press('Tab', 'ArrowDown', 'ArrowDown', 'Tab')).toEqual([
      'Tab: INPUT production',
      'ArrowDown: INPUT sandbox',
      'ArrowDown: INPUT my-domain',
      'Tab: INPUT My Domain address',
    ])
    await page.keyboard.type('example.com')
    expect(await press('Tab')).toEqual(['Tab: BUTTON Connect'])
    await page.keyboard.press('Enter')
    await page.getByRole('alert').waitFor()
    await audit(page, 'Connect Salesforce')
    expect(await focused(page)).toEqual({ is: 'INPUT example.com', isSeen: true })
    await page.keyboard.press('ControlOrMeta+A')
    await page.keyboard.type(service.simulator.url)
    await stopOnTheWay(page)
    await page.keyboard.press('Enter')
    await audit(page, 'Going to Salesforce')
    await page.unrouteAll()
    expect(await press('Tab')).toEqual(['Tab: A Continue'])
    await page.keyboard.press('Enter')
    await page.waitForURL(`${service.simulator.url}/**`)
    expect(await press('Tab')).toEqual(['Tab: INPUT Username'])
    await page.keyboard.type('integration@writeback.example')
    await page.keyboard.press('Tab')
    await page.keyboard.type('nothing')
    await page.keyboard.press('Enter')
    await page.getByRole('alert').waitFor()
    await audit(page, 'Log in')
    await press('Tab', 'Tab')
    await page.keyboard.type('demo-password')
    await page.keyboard.press('Enter')
    await audit(page, 'Allow Access?')
    expect((await press('Tab', 'Tab'))[1]).toBe('Tab: BUTTON allow')
    await page.keyboard.press('Space')
    await audit(page, 'Connected')
    expect(page.url()).toContain('/connect/callback?')
    expect(await press('Tab')).toEqual(['Tab: A Back to app.example.com'])
    expect(await connectionsOf('by keyboard')).toHaveLength(1)
    await page.reload()
    await audit(page, 'Connected')
  })

  it('after Deny, which leads back to the link; and Back does not lead in a circle', async () => {
    const url = await fixedLink()
    await page.goto(url)
    await connect(page)
    await answer(page, 'Deny')
    await audit(page, 'Not connected')
    await page.getByRole('link', { name: 'Try again' }).click()
    expect(page.url()).toBe(url)
    expect(await page.getByRole('status').textContent()).toContain('not finished')
    await audit(page, 'Connect Salesforce')
    await connect(page)
    await page.getByLabel('Username').waitFor()
    await page.goBack()
    expect(page.url()).toBe(url)
    expect(await heading(page)).toBe('Connect Salesforce')
  })

  it('where it leads nowhere', async () => {
    await page.goto(`${service.app.url}/connect/nothing`)
    await audit(page, 'This link is not valid')
    await page.goto(`${service.app.url}/connect/callback?state=x&code=y`)
    await audit(page, 'This sign-in is not known')
    const url = await fixedLink()
    const begun = await page.request.post(url, { form: {} })
    const query = new URLSearchParams({
      state: /state=([\w-]{43})/.exec(await begun.text())![1]!,
      error: 'OAUTH_APP_ACCESS_DENIED',
      error_description: 'w'.repeat(280),
    })
    await page.goto(`${service.app.url}/connect/callback?${query.toString()}`)
    await audit(page, 'The app is not approved')
    await service.database.sql`update connect_link set expires_at = now()`
    await page.goto(url)
    await audit(page, 'This link has expired')
  })
})

/** Takes out of pages what makes the browser go on at once. */
const stopOnTheWay = (page: Page): Promise<unknown> =>
  page.route(`${service.app.url}/connect/*`, async (route) => {
    const response = await route.fetch()
    const body = (await response.text()).replace(/<meta http-equiv[^>]*>/, '')
    await route.fulfill({ response, body })
  })

describe.skipIf(isWithoutBrowser)("the API's page", () => {
  it('shows the calls and loads nothing that its policy refuses', async () => {
    // It goes through the whole document for seconds; that is checked in tests of its own.
    await page.route('**/docs/json', async (route) => {
      const response = await route.fetch()
      const { paths, ...document } = (await response.json()) as { paths: Record<string, unknown> }
      const few = Object.entries(paths).filter(([path]) => path.includes('/connections'))
      await route.fulfill({ response, json: { ...document, paths: Object.fromEntries(few) } })
    })
    await page.setViewportSize({ width: 1280, height: 900 })
    await page.goto(`${service.app.url}/docs`)
    await page.getByRole('heading', { name: 'Writeback' }).waitFor()
    await page.locator('#operations-tag-connections').click()
    await page.getByText('Make a link by which a customer connects their org in a browser').waitFor()
    expect(await page.locator('.errors-wrapper').count()).toBe(0)
  })
})

/** Ways to the pages that the guide shows. */
const shown: Record<string, (page: Page) => Promise<unknown>> = {
  'connect-choose': async (page) => page.goto(await link()),
  'connect-consent': async (page) => {
    await page.goto(await fixedLink())
    await connect(page)
    await logIn(page)
  },
  'connect-connected': async (page) => {
    await service.database.sql`delete from connection where group_ref = ${groupRef}`
    await page.goto(await fixedLink())
    await connect(page)
    await answer(page, 'Allow')
  },
  'connect-denied': async (page) => {
    await page.goto(await fixedLink())
    await connect(page)
    await answer(page, 'Deny')
  },
}

describe.skipIf(isWithoutBrowser || process.env['UPDATE_SCREENSHOTS'] !== '1')(
  'pictures for the guide',
  () => {
    it.each(Object.keys(shown))('%s', async (name) => {
      mkdirSync(images, { recursive: true })
      service.simulator.org.url = 'https://example.my.salesforce.com'
      const height = name === 'connect-choose' ? 750 : 500
      const camera = await openAnother({ viewport: { width: 640, height } })
      await shown[name]!(camera)
      const path = join(images, `${name}.png`)
      await camera.screenshot({ path })
      expect(readFileSync(path).length).toBeLessThan(60_000)
    })
  },
)
