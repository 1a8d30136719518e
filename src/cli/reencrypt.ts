import { loadConfig } from '../config.ts'
import { createCipher, keyIdOf, keysById } from '../connections/cipher.ts'
import { reencryptConnections } from '../connections/reencrypt.ts'
import { connect } from '../db/connect.ts'
import { createLogger } from '../logger.ts'
import { openDatabase } from './open-database.ts'
import { refuseArguments } from './process.ts'

/** `writeback reencrypt`: moves everything that is encrypted to the current key, then ends. */
export async function run(args: string[]): Promise<number> {
  refuseArguments('reencrypt', args)
  const config = loadConfig(process.env)
  const logger = createLogger({ level: config.logLevel })
  const database = await openDatabase(config, logger, () => undefined)
  const sql = connect({ url: database.url, max: 2, applicationName: 'writeback-reencrypt' })
  try {
    const { encryptionKey } = database
    const current = keyIdOf(encryptionKey)
    const cipher = createCipher({
      keys: keysById(...(config.oldEncryptionKeys ?? []), encryptionKey),
      current,
    })
    const done = await reencryptConnections(sql, cipher, current, logger)
    process.stdout.write(
      `re-encrypted with key ${current}: ${done.credentials} credentials, ${done.sessions} sessions; ${done.unreadable} could not be read\n`,
    )
    return done.unreadable === 0 ? 0 : 1
  } finally {
    await sql.end({ timeout: 5 })
    await database.stop()
  }
}
