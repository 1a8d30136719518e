import type { Cipher } from './connections/cipher.ts'
import type { Directory } from './connections/directory.ts'
import { createSessions, type OpenSession } from './connections/sessions.ts'
import type { Sql } from './db/connect.ts'
import { messageOf } from './kernel/errors.ts'
import type { Logger } from './kernel/log.ts'
import type { Telemetry } from './kernel/telemetry.ts'
import { createProviderRegistry } from './providers/registry.ts'
import { createSalesforceProvider } from './providers/salesforce/index.ts'
import type { OrgProvider, OrgSession, OrgSessions } from './wire-actions.ts'

/** Milliseconds that a login host may take: everyone who needs the session waits meanwhile. */
const SESSION_TIMEOUT_MS = 15_000

/** What sessions are made of. */
export interface SessionParts {
  sql: Sql
  cipher: Cipher
  directory: Pick<Directory, 'installationById'>
  logger: Logger
  telemetry: Telemetry
  leaseSeconds: number
  /** Allows http and private addresses as login and instance hosts. */
  allowInsecure: boolean
  /** Wakes what waited for a connection that has new credentials. */
  resume: (connectionId: string) => Promise<void>
}

/** Sessions by installation: the directory knows its connection, the connections floor its session. */
export async function wireSessions(
  parts: SessionParts,
): Promise<OrgSessions & { stop: () => Promise<void> }> {
  const { sql, cipher, directory, logger, leaseSeconds } = parts
  const salesforce = createSalesforceProvider({
    logger,
    allowInsecure: parts.allowInsecure,
    telemetry: parts.telemetry,
  })
  const providers = createProviderRegistry([salesforce])
  const providerNamed = (name: string): OrgProvider => {
    const provider = providers.find(name)
    if (provider === undefined) throw new Error(`There is no provider ${name}.`)
    return provider
  }
  const sessions = createSessions({
    sql,
    cipher,
    logger,
    leaseSeconds,
    mint: (provider, credentials, signal) =>
      providerNamed(provider).openSession(credentials, { timeoutMs: SESSION_TIMEOUT_MS, signal }),
  })
  sessions.onRenewed((connectionId) => {
    parts.resume(connectionId).catch((error: unknown) => {
      logger.warn({ connectionId, error: messageOf(error) }, 'what waited for new credentials was not woken')
    })
  })
  await sessions.start()
  const find = async (installationId: string) => {
    const installation = await directory.installationById(installationId)
    if (installation === null) throw new Error('The installation is not there any more.')
    return { connectionId: installation.connectionId, provider: providerNamed(installation.provider) }
  }
  const sendingWith = (connectionId: string, provider: OrgProvider, open: OpenSession): OrgSession => ({
    provider,
    ...open,
    worked: () => sessions.worked(connectionId, open.version),
  })
  return {
    open: async (installationId) => {
      const { connectionId, provider } = await find(installationId)
      return sendingWith(connectionId, provider, await sessions.get(connectionId))
    },
    refresh: async (installationId, staleVersion) => {
      const { connectionId, provider } = await find(installationId)
      return sendingWith(connectionId, provider, await sessions.refresh(connectionId, staleVersion))
    },
    stop: async () => {
      await sessions.stop()
      await providers.close()
    },
  }
}
