import { loadConfig } from '../config.ts'
import { createCipher, keyIdOf, keysById } from '../connections/cipher.ts'
import { reencryptConnections } from '../connections/reencrypt.ts'
import { connect } from '../db/connect.ts'
import { createLogger } from '../logger.ts'
import { reencryptSecrets } from '../notify/reencrypt-secrets.ts'
import type { Spec } from './command.ts'
import { exitCodes } from './exit-codes.ts'
import { openDatabase } from './open-database.ts'
import { createOutput } from './output.ts'
import { serviceEnvironment } from './process.ts'
import { command } from './run-command.ts'

export const spec: Spec = {
  name: 'reencrypt',
  usage: [''],
  about: [
    'Moves credentials and sessions to the current encryption key (WRITEBACK_ENCRYPTION_KEY); those of WRITEBACK_OLD_ENCRYPTION_KEYS are not needed any more then.',
  ],
  options: { json: { help: 'a JSON document at the end; the log goes to standard error' } },
  examples: [
    [
      'After every process has been started with the new key',
      'WRITEBACK_ENCRYPTION_KEY=… WRITEBACK_OLD_ENCRYPTION_KEYS=… writeback reencrypt',
    ],
  ],
  exits: ['done', 'failed', 'usage'],
}

/** `writeback reencrypt`: moves everything that is encrypted to the current key, then ends. */
export const { run } = command(spec, (input) => input.flag('json'), reencrypt)

async function reencrypt(isJson: boolean): Promise<number> {
  const config = loadConfig(serviceEnvironment())
  const output = createOutput(isJson, process)
  const logger = createLogger({ level: config.logLevel, ...(isJson && { destination: process.stderr }) })
  const database = await openDatabase(config, logger, () => undefined)
  const sql = connect({ url: database.url, max: 2, applicationName: 'writeback-reencrypt' })
  try {
    const { encryptionKey } = database
    const current = keyIdOf(encryptionKey)
    const cipher = createCipher({
      keys: keysById(...(config.oldEncryptionKeys ?? []), encryptionKey),
      current,
    })
    const { credentials, sessions, ...rest } = await reencryptConnections(sql, cipher, current, logger)
    const { secrets, ...others } = await reencryptSecrets(sql, cipher, current, logger)
    const unreadable = rest.unreadable + others.unreadable
    output.line(
      `re-encrypted with key ${current}: ${credentials} credentials, ${sessions} sessions, ${secrets} signing secrets; ${unreadable} could not be read`,
    )
    output.json({ key: current, credentials, sessions, secrets, unreadable })
    return unreadable === 0 ? exitCodes.done : exitCodes.failed
  } finally {
    await sql.end({ timeout: 5 })
    await database.stop()
  }
}
