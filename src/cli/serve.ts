import { startApp } from '../app.ts'
import { loadConfig, redactedConfig } from '../config.ts'
import { createLogger } from '../logger.ts'
import type { Spec } from './command.ts'
import { openDatabase } from './open-database.ts'
import { serviceEnvironment, stopSignal } from './process.ts'
import { command } from './run-command.ts'
import { keepHeapSmall } from './small-heap.ts'
import { version } from './version.ts'

/** Why a process stops that has lost its own database. */
const DATABASE_LOST = 'the embedded database ended'

export const spec: Spec = {
  name: 'serve',
  usage: [''],
  about: [
    'Runs a process of the service until SIGTERM or SIGINT, on which it finishes what it has begun. It is configured by the environment alone, and logs JSON, on a terminal lines for people.',
  ],
  options: { json: { help: 'log JSON on a terminal too' } },
  examples: [
    ['With a database of its own in .writeback, on port 8080', 'writeback serve'],
    [
      'One of several workers on a shared database',
      'WRITEBACK_ROLE=worker DATABASE_URL=postgres://… writeback serve',
    ],
  ],
  exits: ['done', 'failed', 'usage'],
}

/** `writeback serve`: a process of the service, until SIGTERM or SIGINT. */
export const { run } = command(spec, (input) => input.flag('json'), serve)

async function serve(isJson: boolean): Promise<number> {
  keepHeapSmall()
  const config = loadConfig(serviceEnvironment())
  const logger = createLogger({ level: config.logLevel, ...(isJson && { pretty: false }) })
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
