import { loadConfig } from '../config.ts'
import { createLogger } from '../logger.ts'
import { openDatabase } from './open-database.ts'
import { refuseArguments } from './process.ts'

/** `writeback migrate`: applies what migrations are due, then ends. */
export async function run(args: string[]): Promise<number> {
  refuseArguments('migrate', args)
  const config = loadConfig(process.env)
  const logger = createLogger({ level: config.logLevel })
  const database = await openDatabase(config, logger, () => undefined)
  await database.stop()
  logger.info({}, 'the database is up to date')
  return 0
}
