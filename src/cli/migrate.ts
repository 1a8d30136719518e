import { loadConfig } from '../config.ts'
import { createLogger } from '../logger.ts'
import type { Spec } from './command.ts'
import { exitCodes } from './exit-codes.ts'
import { openDatabase } from './open-database.ts'
import { createOutput } from './output.ts'
import { serviceEnvironment } from './process.ts'
import { command } from './run-command.ts'

export const spec: Spec = {
  name: 'migrate',
  usage: [''],
  about: [
    'Applies what migrations are due to the database that the environment names, under a lock, then ends. The service does the same whenever it starts.',
  ],
  options: { json: { help: 'a JSON document at the end; the log goes to standard error' } },
  examples: [['Before a new version is rolled out', 'DATABASE_URL=postgres://… writeback migrate']],
  exits: ['done', 'failed', 'usage'],
}

/** `writeback migrate`: applies what migrations are due, then ends. */
export const { run } = command(
  spec,
  (input) => input.flag('json'),
  async (isJson) => {
    const config = loadConfig(serviceEnvironment())
    const logger = createLogger({ level: config.logLevel, ...(isJson && { destination: process.stderr }) })
    const database = await openDatabase(config, logger, () => undefined)
    await database.stop()
    logger.info({}, 'the database is up to date')
    createOutput(isJson, process).json({ isUpToDate: true })
    return exitCodes.done
  },
)
