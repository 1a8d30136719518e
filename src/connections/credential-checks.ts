import { createPrivateKey } from 'node:crypto'
import { isIP } from 'node:net'
import { isPrivateAddress } from '../kernel/private-addresses.ts'

/** Smallest RSA key that Salesforce takes for a JWT, in bits (facts 1.1). */
const MIN_RSA_BITS = 2048

/** Whether a text is an unencrypted RSA private key in PEM, long enough to sign with. */
export function isRsaPrivateKey(pem: string): boolean {
  try {
    const key = createPrivateKey(pem)
    return key.asymmetricKeyType === 'rsa' && (key.asymmetricKeyDetails?.modulusLength ?? 0) >= MIN_RSA_BITS
  } catch {
    return false
  }
}

/** Names that resolve inside a network or a host, never on the public internet. */
const privateNames = /(?:^|\.)(?:localhost|local|internal|intranet|lan|home|corp|localdomain|home\.arpa)\.?$/

/**
 * Whether a URL's host is private by its looks. A public name that resolves to a private address is not
 * caught here: that is only known when a connection is made.
 */
export function isPrivateHost(hostname: string): boolean {
  const bare = hostname.replace(/^\[|\]$/g, '')
  if (isIP(bare) !== 0) return isPrivateAddress(bare)
  return privateNames.test(bare) || !bare.replace(/\.$/, '').includes('.')
}

/**
 * What is wrong with a login URL, as the end of a sentence that begins with the field, or null. A path
 * is fine: an Experience Cloud site has its login under one. The WHATWG parser has written out addresses
 * in odd notations (`0x7f.1`) before the host is looked at.
 *
 * @param allowInsecure lets http and private hosts through (simulator, tests)
 */
export function loginUrlFault(text: string, allowInsecure: boolean): string | null {
  if (!URL.canParse(text)) return 'must be a URL'
  const url = new URL(text)
  if (url.protocol !== 'https:' && !(allowInsecure && url.protocol === 'http:'))
    return 'must begin with https://'
  if (url.username !== '' || url.password !== '') return 'must not carry a user name or password'
  if (url.search !== '' || url.hash !== '' || /[?#]/.test(text)) return 'must not have a query or a fragment'
  if (!allowInsecure && isPrivateHost(url.hostname)) return 'must not name a private or loopback host'
  return null
}

/** What is wrong with an instance URL: as for a login URL, but it has no path. */
export function instanceUrlFault(text: string, allowInsecure: boolean): string | null {
  const fault = loginUrlFault(text, allowInsecure)
  return fault ?? (new URL(text).pathname === '/' ? null : 'must be a host only, without a path')
}
