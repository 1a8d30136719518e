import { createPrivateKey } from 'node:crypto'
import { BlockList, isIP } from 'node:net'

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

/** Addresses that are not on the public internet: this service must not be made to call them. */
const privateAddresses = new BlockList()
for (const [net, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 3],
] as const)
  privateAddresses.addSubnet(net, prefix, 'ipv4')
for (const [net, prefix] of [
  ['::', 96],
  ['64:ff9b::', 32],
  ['2002::', 16],
  ['fc00::', 7],
  ['fe80::', 9],
  ['ff00::', 8],
] as const)
  privateAddresses.addSubnet(net, prefix, 'ipv6')

/** Names that resolve inside a network or a host, never on the public internet. */
const privateNames = /(?:^|\.)(?:localhost|local|internal|intranet|lan|home|corp|localdomain|home\.arpa)\.?$/

/**
 * Whether a URL's host is private by its looks. A public name that resolves to a private address is not
 * caught here: that is only known when a connection is made.
 */
function isPrivateHost(hostname: string): boolean {
  const bare = hostname.replace(/^\[|\]$/g, '')
  const family = isIP(bare)
  // BlockList looks through IPv4-mapped IPv6 addresses by itself
  if (family !== 0) return privateAddresses.check(bare, family === 6 ? 'ipv6' : 'ipv4')
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
