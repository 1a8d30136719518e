import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { keptSecret } from './kernel/kept-secret.ts'
import type { Logger } from './kernel/log.ts'

/** The two keys of a service. */
export interface Keys {
  adminKey: string
  /** 32 bytes. */
  encryptionKey: Buffer
}

/**
 * The keys that were configured, and for one that was not the one kept in the data folder, generated at
 * the first start. Only for the embedded database: processes on a shared one would each make their own.
 * The log names the files, never the keys.
 *
 * @throws {Error} when a kept encryption key is not 32 bytes in base64
 */
export async function keysFor(
  config: { dataDir: string; adminKey: string | null; encryptionKey: Buffer | null },
  logger: Logger,
): Promise<Keys> {
  const folder = resolve(config.dataDir)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const kept = async (file: string, what: string, generate: () => string): Promise<string> => {
    const path = join(folder, file)
    const key = await keptSecret(path, generate)
    logger.info({ file: path }, `the ${what} is kept in a file`)
    return key
  }
  const adminKey =
    config.adminKey ??
    (await kept('admin-key', 'admin key', () => `wb_admin_${randomBytes(32).toString('base64url')}`))
  const encryptionKey =
    config.encryptionKey ??
    Buffer.from(
      await kept('encryption-key', 'encryption key', () => randomBytes(32).toString('base64')),
      'base64',
    )
  if (encryptionKey.length !== 32)
    throw new Error(`${join(folder, 'encryption-key')} does not hold 32 bytes in base64.`)
  return { adminKey, encryptionKey }
}
