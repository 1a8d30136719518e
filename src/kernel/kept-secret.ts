import { randomBytes } from 'node:crypto'
import { link, readFile, rm, writeFile } from 'node:fs/promises'

/**
 * The secret kept in a file, made by `generate` when there is none yet. The file is readable by its
 * owner only and appears complete or not at all, so of several processes that make it at once all get
 * the same secret.
 */
export async function keptSecret(path: string, generate: () => string): Promise<string> {
  for (;;) {
    const kept = await readFile(path, 'utf8').catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    })
    if (kept !== undefined) return kept.trim()
    const draft = `${path}.${randomBytes(6).toString('hex')}`
    await writeFile(draft, `${generate()}\n`, { flag: 'wx', mode: 0o600 })
    try {
      await link(draft, path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    } finally {
      await rm(draft, { force: true })
    }
  }
}
