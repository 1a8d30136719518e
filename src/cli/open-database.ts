import type { Config } from '../config.ts'
import { connect } from '../db/connect.ts'
import { startEmbedded } from '../db/embedded.ts'
import { migrate } from '../db/migrate.ts'
import { keysFor } from '../generated-keys.ts'
import { messageOf } from '../kernel/errors.ts'
import type { Logger } from '../kernel/log.ts'
import { makePartitionsAhead } from '../queue/partitions.ts'
import { DAYS_AHEAD } from '../queue/retention.ts'
import { migrateWakeups } from '../wakeups/wakeups.ts'

/** A database that is ready for use, and the keys that go with it. */
export interface OpenDatabase {
  url: string
  adminKey: string | null
  encryptionKey: Buffer
  /** Ends the embedded database; an outside one is left alone. */
  stop: () => Promise<void>
}

/**
 * Opens the configured database, or the embedded one in the data folder, and applies what migrations are
 * due: under a lock, so any number of processes may start at once.
 *
 * @param onLost called when the embedded database ends without having been told to
 */
export async function openDatabase(
  config: Config,
  logger: Logger,
  onLost: () => void,
): Promise<OpenDatabase> {
  const opened =
    config.databaseUrl === null
      ? await openEmbedded(config, logger, onLost)
      : outside(config, config.databaseUrl)
  try {
    await applyMigrations(opened.url, logger)
    return opened
  } catch (error) {
    await opened.stop()
    throw error
  }
}

async function openEmbedded(config: Config, logger: Logger, onLost: () => void): Promise<OpenDatabase> {
  const embedded = await startEmbedded({
    dataDir: config.dataDir,
    logger,
    onExit: (how) => {
      logger.fatal({ ...how }, 'the embedded database ended by itself')
      onLost()
    },
  })
  try {
    return { url: embedded.url, ...(await keysFor(config, logger)), stop: () => embedded.stop() }
  } catch (error) {
    await embedded.stop()
    throw error
  }
}

function outside(config: Config, url: string): OpenDatabase {
  if (config.encryptionKey === null)
    throw new Error('WRITEBACK_ENCRYPTION_KEY must be set when DATABASE_URL is.')
  return {
    url,
    adminKey: config.adminKey,
    encryptionKey: config.encryptionKey,
    stop: () => Promise.resolve(),
  }
}

/** Our own tables and their partitions, which nobody has made while no process ran; then pg-boss's. */
async function applyMigrations(url: string, logger: Logger): Promise<void> {
  // One connection for all statements: a migration is a transaction of its own.
  const sql = connect({ url, max: 2, applicationName: 'writeback-migrate', statementTimeoutMs: 0 })
  try {
    const { applied } = await migrate(sql, { logger })
    if (applied.length > 0) logger.info({ applied }, 'migrations applied')
    const { failed } = await makePartitionsAhead(sql, DAYS_AHEAD, new AbortController().signal)
    for (const { day, error } of failed)
      logger.warn({ day, error: messageOf(error) }, 'the partitions of a day could not be made')
    await migrateWakeups(sql)
  } finally {
    await sql.end({ timeout: 5 })
  }
}
