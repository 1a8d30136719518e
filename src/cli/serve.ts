import { startApp } from '../app.ts'
import { loadConfig, redactedConfig } from '../config.ts'
import { createLogger } from '../logger.ts'
import { openDatabase } from './open-database.ts'
import { refuseArguments, stopSignal } from './process.ts'
import { version } from './version.ts'

/** Why a process stops that has lost its own database. */
const DATABASE_LOST = 'the embedded database ended'

/** `writeback serve`: a process of the service, until SIGTERM or SIGINT. */
export async function run(args: string[]): Promise<number> {
  refuseArguments('serve', args)
  const config = loadConfig(process.env)
  const logger = createLogger({ level: config.logLevel })
  logger.info({ version, node: process.version, config: redactedConfig(config) }, 'starting')
  const signal = stopSignal()
  const database = await openDatabase(config, logger, () => signal.raise(DATABASE_LOST))
  let reason: string
  try {
    const app = await startApp({
      ...config,
      databaseUrl: database.url,
      adminKey: database.adminKey,
      encryptionKey: database.encryptionKey,
      version,
      logger,
    })
    reason = await signal.raised
    logger.info({ reason }, 'stopping')
    await app.stop()
  } finally {
    await database.stop()
  }
  return reason === DATABASE_LOST ? 1 : 0
}
