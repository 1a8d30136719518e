import { createPrivateKey, sign, type KeyObject } from 'node:crypto'
import { SessionError } from '../provider.ts'

/** Seconds until an assertion ends; the login host takes at most about 180, and clocks differ (facts 1.1). */
const LIFETIME_SECONDS = 120

const sandboxHost =
  /^test\.salesforce\.com$|\.(sandbox|scratch)\.my\.salesforce\.com$|^[^.]+--[^.]+\.my\.salesforce\.com$/

/**
 * The audience of an assertion: always one of Salesforce's two login hosts, even when it is posted to a
 * My Domain host (facts 1.1); the production one for anything that is not known to be a sandbox.
 */
export const audienceOf = (loginHost: string): string =>
  sandboxHost.test(loginHost) ? 'https://test.salesforce.com' : 'https://login.salesforce.com'

/** What an assertion says. */
export interface AssertionClaims {
  clientId: string
  username: string
  audience: string
}

const invalidKey = (message: string): SessionError =>
  new SessionError('permanent', 'INVALID_PRIVATE_KEY', message)

function readKey(pem: string): KeyObject {
  let key: KeyObject
  try {
    key = createPrivateKey(pem)
  } catch {
    // OpenSSL's own error is left out: it may quote what it was given.
    throw invalidKey(
      'The private key cannot be read; it must be an RSA key in PEM form, without a passphrase.',
    )
  }
  if (key.asymmetricKeyType !== 'rsa' || (key.asymmetricKeyDetails?.modulusLength ?? 0) < 2048) {
    throw invalidKey('The private key must be an RSA key of 2,048 bits or more.')
  }
  return key
}

/**
 * A signed assertion for the JWT bearer grant, RS256.
 *
 * @param nowMs milliseconds since the epoch
 * @throws {SessionError} permanent, when the key is not usable
 */
export function signAssertion(claims: AssertionClaims, privateKey: string, nowMs: number): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const payload = {
    iss: claims.clientId,
    sub: claims.username,
    aud: claims.audience,
    exp: Math.floor(nowMs / 1000) + LIFETIME_SECONDS,
  }
  const content = `${encode({ alg: 'RS256', typ: 'JWT' })}.${encode(payload)}`
  return `${content}.${sign('sha256', Buffer.from(content), readKey(privateKey)).toString('base64url')}`
}
