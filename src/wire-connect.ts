import { createConnectOrg } from './actions/connect-org.ts'
import { connectLinkRoutes } from './api/admin/connect-links.ts'
import { connectPages } from './api/connect/routes.ts'
import type { Cipher } from './connections/cipher.ts'
import { createConnectLinks } from './connections/connect-links.ts'
import type { Sql } from './db/connect.ts'
import type { Clock } from './kernel/clock.ts'
import type { Logger } from './kernel/log.ts'
import type { Telemetry } from './kernel/telemetry.ts'
import type { CodeFlow } from './providers/code-flow.ts'
import { createCodeFlow } from './providers/salesforce/code-flow.ts'

/** What connecting orgs needs of the process. */
export interface ConnectingOptions {
  sql: Sql
  cipher: Cipher
  clock: Clock
  logger: Logger
  telemetry: Pick<Telemetry, 'providerCalled'>
  /** Allows http, private addresses and other hosts than Salesforce's as login hosts. */
  allowInsecure: boolean
  /** Where browsers reach the service. */
  publicUrl: () => string
  /** What this process holds of connections is out of date. */
  changed: () => void
}

/** Wires the links and pages by which customers connect their orgs. */
export function wireConnect({ sql, cipher, clock, telemetry, allowInsecure, ...rest }: ConnectingOptions) {
  const flows: Record<string, CodeFlow> = { salesforce: createCodeFlow({ allowInsecure, clock, telemetry }) }
  const publicUrl = (): string => rest.publicUrl().replace(/\/+$/, '')
  const codeFlow = (provider: string): CodeFlow => {
    const flow = flows[provider]
    if (flow === undefined) throw new Error(`There is no way to sign in to ${provider}.`)
    return flow
  }
  const connecting = createConnectOrg({
    ...rest,
    publicUrl,
    codeFlow,
    links: createConnectLinks(sql, cipher),
  })
  return {
    routes: connectLinkRoutes({ ...connecting, allowInsecure }),
    pages: connectPages({ ...connecting, publicUrl, allowInsecure }),
    close: async (): Promise<void> => {
      await Promise.all(Object.values(flows).map((flow) => flow.close()))
    },
  }
}
