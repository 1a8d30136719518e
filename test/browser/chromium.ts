import { existsSync } from 'node:fs'
import { chromium, type Browser } from 'playwright-core'

/** Debian's Chromium; CHROMIUM names another one. */
const executablePath = process.env['CHROMIUM'] ?? '/usr/bin/chromium'

const isThere = existsSync(executablePath)
if (!isThere && process.env['WRITEBACK_REQUIRE_BROWSER'] === '1')
  throw new Error(`WRITEBACK_REQUIRE_BROWSER is set, and there is no ${executablePath}.`)

/** Whether the tests in a browser are left out, for want of one. */
export const isWithoutBrowser = !isThere
if (isWithoutBrowser) console.warn(`The tests in a browser are left out: there is no ${executablePath}.`)

/** Starts it, looking for nothing on any network by itself. */
export const launchBrowser = (): Promise<Browser> =>
  chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
