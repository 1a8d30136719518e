import { lookup as dnsLookup, type LookupAddress } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { isPrivateAddress } from './private-addresses.ts'

/**
 * Where requests may go. A URL comes from a caller or from a login host's answer, so it is checked twice:
 * the URL when it is taken, and the addresses its name resolves to when a socket is opened, because a
 * public name may point into our own network.
 */
export interface OutboundPolicy {
  /** Also allows private and loopback addresses, and plain http to those. For the simulator and for tests. */
  allowInsecure: boolean
}

/** The code of every refusal by this policy. */
export const HOST_NOT_ALLOWED = 'HOST_NOT_ALLOWED'

/** A URL or address that the policy refuses; the message names it and holds no secret. */
export class OutboundRefused extends Error {
  readonly code = HOST_NOT_ALLOWED
  override readonly name = 'OutboundRefused'
}

const isLocalName = (host: string): boolean => host === 'localhost' || host.endsWith('.localhost')

/**
 * A URL that requests may go to, as far as the URL itself tells.
 *
 * @param name what the URL is, for the refusal: `login URL`
 * @param allowed what else it may have
 * @throws {OutboundRefused}
 */
export function parseOutboundUrl(
  text: string,
  name: string,
  policy: OutboundPolicy,
  allowed: { query?: boolean } = {},
): URL {
  const url = URL.parse(text)
  if (url === null || url.hostname === '') throw new OutboundRefused(`The ${name} is not a URL.`)
  const hasQuery = url.search !== '' && allowed.query !== true
  if (url.username !== '' || url.password !== '' || url.hash !== '' || hasQuery) {
    const parts = allowed.query === true ? 'user, password or fragment' : 'user, password, query or fragment'
    throw new OutboundRefused(`The ${name} must have no ${parts}.`)
  }
  const host = url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '')
  const isPrivate = isIP(host) === 0 ? isLocalName(host) : isPrivateAddress(host)
  if (isPrivate && !policy.allowInsecure) {
    throw new OutboundRefused(`The ${name} points to ${host}, which is a private or loopback host.`)
  }
  if (url.protocol === 'https:') return url
  if (url.protocol !== 'http:' || !policy.allowInsecure) {
    throw new OutboundRefused(`The ${name} must begin with https://.`)
  }
  if (isIP(host) !== 0 && !isPrivate) {
    throw new OutboundRefused(`The ${name} must begin with https://: plain http goes to private hosts only.`)
  }
  return url
}

/**
 * A `lookup` for sockets that fails with {@link OutboundRefused} unless every address of the name is
 * allowed: over https any public one, and the private ones when the policy is insecure; over plain http
 * private ones only.
 */
export function guardedLookup(protocol: 'http' | 'https', policy: OutboundPolicy): LookupFunction {
  const isAllowed = (address: string): boolean =>
    isPrivateAddress(address) ? policy.allowInsecure : protocol === 'https'
  const check = (hostname: string, addresses: LookupAddress[]): OutboundRefused | null => {
    const refused = addresses.find((one) => !isAllowed(one.address))
    if (refused === undefined) return null
    const what = isPrivateAddress(refused.address) ? 'a private address' : 'a public address over plain http'
    return new OutboundRefused(`The host ${hostname} resolves to ${what}.`)
  }
  return (hostname, options, callback) => {
    dnsLookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) {
        callback(error, '', 0)
        return
      }
      const refused = check(hostname, addresses)
      const [first] = addresses
      if (refused !== null) callback(refused, '', 0)
      else if (options.all === true) callback(null, addresses)
      else callback(null, first?.address ?? '', first?.family)
    })
  }
}
