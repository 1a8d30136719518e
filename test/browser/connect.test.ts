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
let context: BrowserContext
/** What pages complained of: their console, and what their policy refused. */
const complaints: string[] = []

beforeAll(async () => {
  if (isWithoutBrowser) return
  service = await startService()
  // Shown on the pages, and in the pictures of them.
  await caller(service.app.url)('PATCH', `/v1/projects/${service.tenant.projectId}`, { name: 'Acme' })
  browser = await launchBrowser()
})
afterAll(async () => {
  if (isWithoutBrowser) return
  await browser.close()
  await service.stop()
})
afterEach(async () => {
  if (isWithoutBrowser) return
  await context.close()
  expect(complaints.splice(0)).toEqual([])
})

async function open(options: BrowserContextOptions = {}): Promise<Page> {
  context = await browser.newContext({ viewport: { width: 720, height: 760 }, ...options })
  const page = await context.newPage()
  page.on('console', (message) => {
    // A page that says what is wrong has a status that says so too.
    if (!/^Failed to load resource: the server responded with a status of 4/.test(message.text()))
      complaints.push(`${message.type()} ${message.text()}`)
  })
  page.on('pageerror', (error) => complaints.push(error.message))
  return page
}

const groupRef = 'customer-42'
const link = (input: object = {}): Promise<string> =>
  makeLink(service.app.url, service.tenant, {
    groupRef,
    returnUrl: 'https://app.example.com/settings',
    ...input,
  })

async function choose(page: Page, domain: string): Promise<void> {
  await page.getByRole('radio', { name: /My Domain/ }).check()
  await page.getByLabel('My Domain address').fill(domain)
}

async function logIn(page: Page): Promise<void> {
  await page.getByLabel('Username').fill('integration@writeback.example')
  await page.getByLabel('Password').fill('demo-password')
  await page.getByRole('button', { name: 'Log In' }).click()
}

const heading = (page: Page): Promise<string | null> => page.getByRole('heading', { level: 1 }).textContent()

/** Everything from a link to the last page. */
async function goThrough(page: Page, answer: 'Allow' | 'Deny', url: string): Promise<void> {
  await page.goto(url)
  await choose(page, service.simulator.url)
  await page.getByRole('button', { name: 'Connect' }).click()
  await page.waitForURL(`${service.simulator.url}/**`)
  await logIn(page)
  await page.getByRole('button', { name: answer }).click()
}

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

describe.skipIf(isWithoutBrowser)('connecting an org in a browser', () => {
  it('works from the link to Connected, without scripts', async () => {
    const page = await open({ javaScriptEnabled: false })
    expect(await connectionsOf(groupRef)).toEqual([])
    await goThrough(page, 'Allow', await link())
    expect(await heading(page)).toBe('Connected')
    expect(page.url()).toContain(`${service.app.url}/connect/callback`)
    const back = page.getByRole('link', { name: 'Back to app.example.com' })
    expect(await back.getAttribute('href')).toBe('https://app.example.com/settings')
    expect(await connectionsOf(groupRef)).toMatchObject([{ status: 'working' }])
    await page.reload()
    expect(await page.textContent('main')).toContain('This link has been used')
  })

  it('says what is wrong with a domain where it is, and takes it mended', async () => {
    const page = await open({ javaScriptEnabled: false })
    await page.goto(await link())
    const field = page.getByLabel('My Domain address')
    expect(await field.isVisible()).toBe(false)
    await choose(page, 'example.com')
    await page.getByRole('button', { name: 'Connect' }).click()
    expect(await page.getByRole('alert').textContent()).toContain('no My Domain of Salesforce')
    expect(await field.inputValue()).toBe('example.com')
    expect(await page.evaluate('document.activeElement.id')).toBe('domain')
    expect(await field.getAttribute('aria-describedby')).toBe('domain-hint fault')
    await field.fill(service.simulator.url)
    await page.getByRole('button', { name: 'Connect' }).click()
    await page.waitForURL(`${service.simulator.url}/**`)
    expect(await heading(page)).toBe('Log in')
  })

  it('leads back to the link when access was not allowed, and Back does not lead in a circle', async () => {
    const page = await open()
    const url = await link()
    await goThrough(page, 'Deny', url)
    expect(await heading(page)).toBe('Not connected')
    await page.getByRole('link', { name: 'Try again' }).click()
    expect(page.url()).toBe(url)
    expect(await page.getByRole('status').textContent()).toContain('not finished')
    await choose(page, service.simulator.url)
    await page.getByRole('button', { name: 'Connect' }).click()
    await page.waitForURL(`${service.simulator.url}/**`)
    await page.goBack()
    expect(page.url()).toBe(url)
    expect(await heading(page)).toBe('Connect Salesforce')
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
      const page = await open()
      await page.goto(await link({ loginUrl: await listening(host) }))
      await page.getByRole('button', { name: 'Connect' }).click()
      await page.waitForURL(`${elsewhere}/saml`)
      expect(await heading(page)).toBe('Your company')
    } finally {
      for (const server of [provider, host]) server.close()
    }
  })

  it('is refused in another browser than the one that began', async () => {
    const page = await open()
    await page.goto(await link())
    await choose(page, service.simulator.url)
    await page.getByRole('button', { name: 'Connect' }).click()
    await page.waitForURL(`${service.simulator.url}/**`)
    const signInUrl = page.url()
    await context.close()
    const other = await open()
    await other.goto(signInUrl)
    await logIn(other)
    await other.getByRole('button', { name: 'Allow' }).click()
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

describe.skipIf(isWithoutBrowser)('with the keyboard alone', () => {
  it('the whole way can be gone, and the focus is seen at every step', async () => {
    const page = await open()
    await page.goto(await link({ groupRef: 'by keyboard' }))
    const steps: string[] = []
    const press = async (key: string): Promise<void> => {
      await page.keyboard.press(key)
      const { is, isSeen } = await focused(page)
      steps.push(`${key}: ${is}${isSeen ? '' : ' (not seen)'}`)
    }
    await press('Tab')
    await press('ArrowDown')
    await press('ArrowDown')
    await press('Tab')
    await page.keyboard.type(service.simulator.url)
    await press('Tab')
    expect(steps).toEqual([
      'Tab: INPUT production',
      'ArrowDown: INPUT sandbox',
      'ArrowDown: INPUT my-domain',
      'Tab: INPUT My Domain address',
      'Tab: BUTTON Connect',
    ])
    await page.keyboard.press('Enter')
    await page.waitForURL(`${service.simulator.url}/**`)
    await page.keyboard.press('Tab')
    await page.keyboard.type('integration@writeback.example')
    await page.keyboard.press('Tab')
    await page.keyboard.type('demo-password')
    await page.keyboard.press('Enter')
    await page.waitForURL('**/login')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Tab')
    expect(await focused(page)).toEqual({ is: 'BUTTON allow', isSeen: true })
    await page.keyboard.press('Space')
    await page.waitForURL('**/connect/callback?**')
    expect(await heading(page)).toBe('Connected')
    await page.keyboard.press('Tab')
    expect(await focused(page)).toEqual({ is: 'A Back to app.example.com', isSeen: true })
    expect(await connectionsOf('by keyboard')).toHaveLength(1)
  })

  it('a link without a choice is one key from the login page', async () => {
    const page = await open()
    await page.goto(await link({ loginUrl: service.simulator.url }))
    await page.keyboard.press('Tab')
    expect(await focused(page)).toEqual({ is: 'BUTTON Connect', isSeen: true })
    await page.keyboard.press('Space')
    await page.waitForURL(`${service.simulator.url}/**`)
    expect(await heading(page)).toBe('Log in')
  })
})

/** Every kind of page, as a way to it. */
const kinds: Record<string, (page: Page) => Promise<unknown>> = {
  link: async (page) => page.goto(await link()),
  'link with a domain': async (page) => {
    await page.goto(await link())
    await choose(page, 'example.com')
    await page.getByRole('button', { name: 'Connect' }).click()
  },
  'link without a choice': async (page) => page.goto(await link({ loginUrl: service.simulator.url })),
  leaving: async (page) => {
    // Without what makes the browser go on at once.
    await page.route(`${service.app.url}/connect/*`, async (route) => {
      const response = await route.fetch()
      const body = (await response.text()).replace(/<meta http-equiv[^>]*>/, '')
      await route.fulfill({ response, body })
    })
    await page.goto(await link({ loginUrl: service.simulator.url }))
    await page.getByRole('button', { name: 'Connect' }).click()
    await page.getByRole('link', { name: 'Continue' }).waitFor()
  },
  'login page of the org': async (page) => {
    await page.goto(await link({ loginUrl: service.simulator.url }))
    await page.getByRole('button', { name: 'Connect' }).click()
    await page.waitForURL(`${service.simulator.url}/**`)
  },
  'login page of the org, refused': async (page) => {
    await kinds['login page of the org']!(page)
    await page.getByLabel('Username').fill('nobody')
    await page.getByLabel('Password').fill('nothing')
    await page.getByRole('button', { name: 'Log In' }).click()
    await page.getByRole('alert').waitFor()
  },
  'consent page of the org': async (page) => {
    await kinds['login page of the org']!(page)
    await logIn(page)
  },
  connected: async (page) => goThrough(page, 'Allow', await link()),
  'connected for the first time': async (page) => {
    await service.database.sql`delete from connection where group_ref = ${groupRef}`
    await goThrough(page, 'Allow', await link())
  },
  denied: async (page) => goThrough(page, 'Deny', await link()),
  'not a link': (page) => page.goto(`${service.app.url}/connect/nothing`),
  'not a sign-in': (page) => page.goto(`${service.app.url}/connect/callback?state=x&code=y`),
  'expired link': async (page) => {
    const url = await link()
    await service.database.sql`update connect_link set expires_at = now()`
    await page.goto(url)
  },
}

describe.skipIf(isWithoutBrowser)('every page', () => {
  const looks = [
    { width: 1280, height: 900, colorScheme: 'light' },
    { width: 320, height: 640, colorScheme: 'light' },
    { width: 320, height: 640, colorScheme: 'dark' },
  ] as const
  it.each(Object.keys(kinds))('%s: is accessible, on a phone and in the dark too', async (kind) => {
    const page = await open()
    await kinds[kind]!(page)
    expect(await page.getByRole('main').count()).toBe(1)
    expect(await page.getByRole('heading', { level: 1 }).count()).toBe(1)
    expect(await page.title()).not.toBe('')
    await page.evaluate(axeSource)
    for (const { colorScheme, ...size } of looks) {
      await page.setViewportSize(size)
      await page.emulateMedia({ colorScheme })
      expect([size, await isWithinWidth(page)]).toEqual([size, true])
      expect([size, colorScheme, await inaccessible(page)]).toEqual([size, colorScheme, []])
    }
  })
})

describe.skipIf(isWithoutBrowser)("the API's page", () => {
  it('shows the calls and loads nothing that its policy refuses', async () => {
    const page = await open({ viewport: { width: 1280, height: 900 } })
    await page.goto(`${service.app.url}/docs`)
    await page.getByRole('heading', { name: 'Writeback' }).waitFor()
    await page.locator('#operations-tag-connections').click()
    await page.getByText('Make a link by which a customer connects their org in a browser').waitFor()
    expect(await page.locator('.errors-wrapper').count()).toBe(0)
  })
})

describe.skipIf(isWithoutBrowser || process.env['UPDATE_SCREENSHOTS'] !== '1')(
  'pictures for the guide',
  () => {
    it.each([
      ['connect-choose', 'link', 750],
      ['connect-consent', 'consent page of the org', 500],
      ['connect-connected', 'connected for the first time', 500],
      ['connect-denied', 'denied', 500],
    ])('%s', async (file, kind, height) => {
      mkdirSync(images, { recursive: true })
      service.simulator.org.url = 'https://example.my.salesforce.com'
      const page = await open({ viewport: { width: 640, height } })
      await kinds[kind]!(page)
      const path = join(images, `${file}.png`)
      await page.screenshot({ path })
      expect(readFileSync(path).length).toBeLessThan(60_000)
    })
  },
)
