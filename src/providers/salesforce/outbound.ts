import { OutboundRefused, parseOutboundUrl, type OutboundPolicy } from '../../kernel/outbound.ts'

export {
  guardedLookup,
  HOST_NOT_ALLOWED,
  OutboundRefused,
  type OutboundPolicy,
} from '../../kernel/outbound.ts'

/** Salesforce's pages live there, its API does not (facts 13). */
const lightningHost = /\.lightning\.(force\.com|crmforce\.mil|sfcrmapps\.cn)$/

/**
 * Checks an instance URL and gives it in its one form, an origin without a trailing slash.
 * @throws {OutboundRefused}
 */
export function checkInstanceUrl(text: string, policy: OutboundPolicy): string {
  const url = parseOutboundUrl(text, 'instance URL', policy)
  if (url.pathname !== '/') {
    throw new OutboundRefused('The instance URL must be an origin, without a path.')
  }
  if (lightningHost.test(url.hostname)) {
    throw new OutboundRefused(
      `The instance URL is on a Lightning domain (${url.hostname}); use the My Domain host, https://NAME.my.salesforce.com.`,
    )
  }
  return url.origin
}

/**
 * Checks a login URL; a path is kept, since an Experience Cloud site has its login under one.
 * @throws {OutboundRefused}
 */
export const checkLoginUrl = (text: string, policy: OutboundPolicy): URL =>
  parseOutboundUrl(text, 'login URL', policy)
