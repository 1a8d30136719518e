import { Connection } from 'jsforce/lib/connection.js'
import { systemClock, type Clock } from '../../kernel/clock.ts'
import type { Logger } from '../../kernel/log.ts'
import type { CallAnswer } from '../../model/outcome.ts'
import type { Session } from '../../model/credentials.ts'
import type { CallOptions, Provider, ProviderGroup } from '../provider.ts'
import { readAnswer } from './answer.ts'
import { collectionsRequest, InvalidGroup } from './collections.ts'
import { createHttpClient, type HttpFailure } from './http.ts'
import { checkInstanceUrl, HOST_NOT_ALLOWED, OutboundRefused, type OutboundPolicy } from './outbound.ts'
import { openSession } from './session.ts'
import { CallTransport } from './transport.ts'

/** The API version that every call names (facts, scope: 60.0 is the oldest that has all that is used). */
export const DEFAULT_API_VERSION = '67.0'

/** jsforce Connections kept; one holds little, and making one again costs no request. */
const MAX_CONNECTIONS = 200

/** Settings of {@link createSalesforceProvider}. */
export interface SalesforceOptions {
  logger: Logger
  /** For example `67.0`; see {@link DEFAULT_API_VERSION}. */
  apiVersion?: string
  /** Allows private and loopback hosts, and plain http to those: the simulator, tests. */
  allowInsecure: boolean
  clock?: Clock
}

/** One jsforce Connection per session, the least recently used dropped first. */
class ConnectionCache {
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

const refusedHere = (code: string, message: string, errorClass: 'auth' | 'permanent'): CallAnswer => ({
  kind: 'refused',
  status: 0,
  errors: [{ code, message, fields: [] }],
  errorClass,
  usage: null,
})

function failedCall(failure: HttpFailure): CallAnswer {
  const { code, message, sent, status } = failure
  // The instance is one we may not call: the connection's fault, as with any session that does not work.
  if (code === HOST_NOT_ALLOWED && !sent) return refusedHere(code, message, 'auth')
  return sent
    ? {
        kind: 'lost',
        status,
        error: { code, message: `The provider's answer was lost: ${message}`, fields: [] },
      }
    : { kind: 'not_sent', error: { code, message: `The provider was not reached: ${message}`, fields: [] } }
}

/**
 * Salesforce through jsforce: sObject Collections for writes, one call per group (facts 3), over a
 * transport of our own. Nothing is retried in here; what to do next is decided by whoever called.
 */
export function createSalesforceProvider(options: SalesforceOptions): Provider {
  const { logger, apiVersion = DEFAULT_API_VERSION, allowInsecure, clock = systemClock } = options
  const policy: OutboundPolicy = { allowInsecure }
  const http = createHttpClient({ policy, clock })
  const connections = new ConnectionCache(policy, apiVersion)

  async function send(session: Session, group: ProviderGroup, limits: CallOptions): Promise<CallAnswer> {
    const { method, path, body } = collectionsRequest(group)
    const transport = new CallTransport(http, limits)
    const headers = Object.fromEntries(group.headers.map(({ key, value }) => [key, value]))
    const request =
      body === null
        ? { method, url: path, headers }
        : { method, url: path, body, headers: { ...headers, 'content-type': 'application/json' } }
    // As text, since the answer is read from the transport, where its status and headers are as well.
    const call = connections.get(session).request(request, { transport, responseType: 'text/plain' })
    await call.catch(() => undefined)
    const { outcome } = transport
    return outcome.kind === 'failure' ? failedCall(outcome) : readAnswer(outcome, group)
  }

  return {
    name: 'salesforce',
    openSession: (credentials, limits) => openSession({ http, policy, clock }, credentials, limits),
    async sendGroup(session, group, limits) {
      try {
        return await send(session, group, limits)
      } catch (error) {
        if (error instanceof OutboundRefused) return refusedHere(error.code, error.message, 'auth')
        if (error instanceof InvalidGroup) return refusedHere('INVALID_GROUP', error.message, 'permanent')
        // A fault of ours, at a point that is not known: the one safe word is that it may have been written.
        logger.error({ err: error }, 'sending a group failed in an unforeseen way')
        const message = 'The provider failed in an unforeseen way; the log says how.'
        return { kind: 'lost', status: null, error: { code: 'INTERNAL', message, fields: [] } }
      }
    },
    async close() {
      connections.clear()
      await http.close()
    },
  }
}
