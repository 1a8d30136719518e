import { Connection } from 'jsforce/lib/connection.js'
import type { Session } from '../../model/credentials.ts'
import { checkInstanceUrl, type OutboundPolicy } from './outbound.ts'

/** jsforce Connections kept; one holds little, and making one again costs no request. */
const MAX_CONNECTIONS = 200

/** One jsforce Connection per session, the least recently used dropped first. */
export class ConnectionCache {
  readonly #connections = new Map<string, Connection>()
  readonly #policy: OutboundPolicy
  readonly #version: string

  constructor(policy: OutboundPolicy, version: string) {
    this.#policy = policy
    this.#version = version
  }

  /** @throws {OutboundRefused} when the session's instance URL may not be called. */
  get({ accessToken, instanceUrl }: Session): Connection {
    const key = `${instanceUrl} ${accessToken}`
    const connection = this.#connections.get(key) ?? this.#connect(accessToken, instanceUrl)
    this.#connections.delete(key)
    this.#connections.set(key, connection)
    const [oldest] = this.#connections.keys()
    if (this.#connections.size > MAX_CONNECTIONS && oldest !== undefined) this.#connections.delete(oldest)
    return connection
  }

  clear(): void {
    this.#connections.clear()
  }

  #connect(accessToken: string, instanceUrl: string): Connection {
    // Neither refreshFn nor oauth2.clientId nor refreshToken: jsforce must not refresh by itself, since it
    // would do so without a lock, drop a rotated token, and repeat without end (facts 1.5).
    return new Connection({
      accessToken,
      instanceUrl: checkInstanceUrl(instanceUrl, this.#policy),
      version: this.#version,
      logLevel: 'NONE',
    })
  }
}
