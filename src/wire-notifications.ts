import { destinationRoutes } from './api/admin/destinations.ts'
import type { Cipher } from './connections/cipher.ts'
import type { Sql } from './db/connect.ts'
import type { Clock } from './kernel/clock.ts'
import type { Logger } from './kernel/log.ts'
import type { Telemetry } from './kernel/telemetry.ts'
import { startDispatcher, type Dispatcher } from './notify/dispatcher.ts'
import { createPoster } from './notify/post-message.ts'
import { findMissingSecretKeys } from './notify/reencrypt-secrets.ts'
import { createDestinations } from './notify/setup.ts'

/** What notifications need of the process. */
export interface NotifyingOptions {
  sql: Sql
  cipher: Cipher
  /** Ids of the keys that the cipher can decrypt with. */
  keyIds: string[]
  clock: Clock
  logger: Logger
  telemetry: Telemetry
  /** Allows http and private addresses as targets. */
  allowInsecure: boolean
}

/** The process's part in notifications. */
export interface Notifying {
  /** Notifications under way. */
  readonly active: number
  /** The calls that set destinations up. */
  routes: ReturnType<typeof destinationRoutes>
  /** Begins to send what is in the outbox. */
  start: () => Promise<void>
  /** Lets what is under way end for at most `drainMs`; may be called again. */
  stop: (drainMs: number) => Promise<void>
}

/** Wires the notify floor; nothing is sent before `start`. */
export async function wireNotifications(options: NotifyingOptions): Promise<Notifying> {
  const { sql, cipher, clock, logger, telemetry, allowInsecure } = options
  await reportMissingKeys(options)
  const poster = createPoster({ policy: { allowInsecure }, clock })
  const destinations = createDestinations({ sql, cipher, poster, clock, logger })
  let dispatcher: Dispatcher | null = null
  let stopping: Promise<void> | null = null
  return {
    get active() {
      return dispatcher?.active ?? 0
    },
    routes: destinationRoutes({ destinations, allowInsecure }),
    start: async () => {
      const parts = { sql, cipher, poster, clock, logger, telemetry }
      dispatcher = await startDispatcher({ ...parts, random: Math.random })
    },
    stop: (drainMs) => {
      stopping ??= Promise.resolve(dispatcher?.stop(drainMs)).finally(() => poster.close())
      return stopping
    },
  }
}

async function reportMissingKeys({ sql, keyIds, logger }: NotifyingOptions): Promise<void> {
  const missing = await findMissingSecretKeys(sql, keyIds)
  if (missing.length === 0) return
  logger.error(
    { missing, configured: keyIds },
    `signing secrets are encrypted with keys that are not configured (ids ${missing.join(', ')}): set WRITEBACK_ENCRYPTION_KEY or WRITEBACK_OLD_ENCRYPTION_KEYS to them, or rotate the destinations' secrets`,
  )
}
