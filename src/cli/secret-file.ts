import { open, rm } from 'node:fs/promises'
import { messageOf } from '../kernel/errors.ts'

/** A file that waits for its secret. */
export interface SecretFile {
  write: (secret: string) => Promise<void>
  /** There is no secret: removes the file. */
  discard: () => Promise<void>
}

/**
 * Makes a file that only its owner can read, before its secret is made, so that none is made which could not be
 * kept.
 *
 * @throws {Error} one line, when the file is there already or cannot be made
 */
export async function openSecretFile(file: string): Promise<SecretFile> {
  const handle = await open(file, 'wx', 0o600).catch((error: unknown) => {
    const isThere = (error as NodeJS.ErrnoException).code === 'EEXIST'
    throw new Error(
      isThere
        ? `${file} is there already; nothing was made.`
        : `${file} cannot be written: ${messageOf(error)}`,
    )
  })
  return {
    write: async (secret) => {
      await handle.writeFile(`${secret}\n`)
      await handle.sync()
      await handle.close()
    },
    discard: async () => {
      await handle.close()
      await rm(file, { force: true })
    },
  }
}
