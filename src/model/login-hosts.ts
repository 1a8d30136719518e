/** Where everybody signs in: production orgs (and Developer Editions), and sandboxes. */
export const commonLogins = {
  production: 'https://login.salesforce.com',
  sandbox: 'https://test.salesforce.com',
} as const

/** An org's own login host: `acme.my.salesforce.com`, `acme--dev.sandbox.my.salesforce.com`. */
const myDomain = /^(?:[a-z0-9](?:[a-z0-9-]{0,62})\.)+my\.salesforce\.com$/
/** What the address bar shows to somebody who works in that org, or sets it up: its login host has the same name. */
const otherDomains = /\.(?:lightning\.force|my\.salesforce-setup)\.com$/

/** Whether a URL is a login host of Salesforce's, as an origin, over https. */
export function isSalesforceLogin(text: string): boolean {
  const url = URL.parse(text)
  if (url === null || url.origin !== text.replace(/\/$/, '') || url.protocol !== 'https:' || url.port !== '')
    return false
  return (Object.values(commonLogins) as string[]).includes(url.origin) || myDomain.test(url.hostname)
}

/**
 * The origin that somebody means who was asked for their My Domain: the host, a URL of the org copied from the
 * address bar, or the bare name of the domain.
 *
 * @returns null when it can be none; which hosts are allowed is another question
 */
export function readMyDomain(text: string): string | null {
  const trimmed = text.trim().toLowerCase()
  if (/^[a-z0-9][a-z0-9-]*$/.test(trimmed)) return `https://${trimmed}.my.salesforce.com`
  const url = URL.parse(/^[a-z]+:\/\//.test(trimmed) ? trimmed : `https://${trimmed}`)
  if (url === null || url.hostname === '' || url.username !== '' || url.password !== '') return null
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return null
  return url.origin.replace(otherDomains, '.my.salesforce.com')
}
