import { createPublicKey, verify } from 'node:crypto'
import type { ConnectedApp } from './sessions.ts'

/** An assertion that holds, or the OAuth error that refuses it. */
export type AssertionCheck = { app: ConnectedApp; subject: string } | { error: string; description: string }

const audiences = ['https://login.salesforce.com', 'https://test.salesforce.com']
/** `exp` may lie about 3 minutes ahead (facts 1.1); some slack for skewed clocks. */
const maxAheadSeconds = 210
const minKeyBits = 2048

const refuse = (description: string, error = 'invalid_grant'): AssertionCheck => ({ error, description })

/**
 * Checks a JWT bearer assertion: RS256 with the app's key, known `iss`, literal audience, `exp` ahead but not far.
 *
 * @param now milliseconds
 */
export function checkAssertion(
  assertion: string,
  now: number,
  findApp: (clientId: string) => ConnectedApp | undefined,
): AssertionCheck {
  const [header, payload, signature, ...rest] = assertion.split('.')
  if (!header || !payload || !signature || rest.length > 0) return refuse('invalid assertion')
  const algorithm = decodePart(header)?.alg
  const claims = decodePart(payload)
  if (algorithm !== 'RS256' || !claims) return refuse('invalid assertion')
  const app = typeof claims.iss === 'string' ? findApp(claims.iss) : undefined
  if (!app) return refuse('client identifier invalid', 'invalid_client_id')
  if (!app.publicKeyPem || !isSigned(app.publicKeyPem, `${header}.${payload}`, signature)) {
    return refuse('invalid assertion')
  }
  if (typeof claims.aud !== 'string' || !audiences.includes(claims.aud)) return refuse('audience is invalid')
  if (typeof claims.exp !== 'number' || claims.exp * 1000 <= now) return refuse('assertion expired')
  if (claims.exp * 1000 > now + maxAheadSeconds * 1000) return refuse('assertion expiry is too far ahead')
  if (typeof claims.sub !== 'string') return refuse('invalid assertion')
  return { app, subject: claims.sub }
}

function decodePart(part: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function isSigned(publicKeyPem: string, text: string, signature: string): boolean {
  const key = createPublicKey(publicKeyPem)
  if (key.asymmetricKeyType !== 'rsa') return false
  if ((key.asymmetricKeyDetails?.modulusLength ?? 0) < minKeyBits) return false
  return verify('RSA-SHA256', Buffer.from(text), key, Buffer.from(signature, 'base64url'))
}
