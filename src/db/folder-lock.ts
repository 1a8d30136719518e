import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startOfProcess } from './process-identity.ts'

/** A folder that this process alone uses until it is released. */
export interface FolderLock {
  release(): Promise<void>
}

/** How often a claim is made before a process that claimed at the same moment counts as the owner. */
const CLAIMS = 5

/**
 * Takes a folder for this process.
 *
 * Every claimant first writes a file named by its process id and start time into `<folder>/owner` and
 * then looks who else is there. Of two at once at least one sees the other, so never both go on; a
 * claimant that sees a live one withdraws and claims again a little later. A file whose process is gone,
 * or whose id now belongs to another process, counts for nothing: its name can never come again, so
 * anybody may delete it.
 *
 * @throws {Error} one line that names the folder and the owner's process id
 */
export async function lockFolder(folder: string): Promise<FolderLock> {
  const claims = join(folder, 'owner')
  await mkdir(claims, { recursive: true })
  const own = `${process.pid}-${(await startOfProcess(process.pid)) ?? 'unknown'}`
  const path = join(claims, own)
  const refusal = (pid: number | string): Error =>
    new Error(
      `The data folder ${folder} is in use by process ${pid}. Stop that one, or give this one another folder (WRITEBACK_DATA_DIR) or a database (DATABASE_URL).`,
    )
  for (let claim = 1; ; claim++) {
    try {
      await writeFile(path, '', { flag: 'wx', mode: 0o600 })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST')
        throw refusal(`${process.pid}, which is this one`)
      throw error
    }
    const other = await liveClaimant(claims, own)
    if (other === undefined) return { release: () => rm(path, { force: true }) }
    await rm(path, { force: true })
    if (claim === CLAIMS) throw refusal(other)
    await delay(20 + Math.random() * 80)
  }
}

/** The process id of another live claimant; the files of dead ones are deleted on the way. */
async function liveClaimant(claims: string, own: string): Promise<number | undefined> {
  for (const name of await readdir(claims)) {
    if (name === own) continue
    const pid = Number.parseInt(name, 10)
    const start = Number.isNaN(pid) ? null : await startOfProcess(pid)
    if (start !== null && name === `${pid}-${start}`) return pid
    await rm(join(claims, name), { force: true })
  }
  return undefined
}
