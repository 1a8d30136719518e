import { execFile } from 'node:child_process'
import { chmod, chown, mkdir, mkdtemp, readlink, realpath, stat, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Whom PostgreSQL runs as; undefined for this process's own user. */
export interface ServerUser {
  uid: number
  gid: number
}

/** Where a cluster is kept that root's own folders would hide from PostgreSQL's user. Survives a restart of the host. */
const reachableFolders = ['/var/lib/writeback', '/var/tmp/writeback']

async function idsOf(name: string): Promise<ServerUser | undefined> {
  try {
    const [uid, gid] = await Promise.all([run('id', ['-u', name]), run('id', ['-g', name])])
    return { uid: Number(uid.stdout), gid: Number(gid.stdout) }
  } catch {
    return undefined
  }
}

/**
 * PostgreSQL refuses to run as root. As root it runs as the owner of the cluster that is already there,
 * else as `postgres` where that user exists, else as `nobody`: no account is made for it.
 *
 * @throws {Error} when root and neither user exists
 */
export async function chooseServerUser(cluster: string): Promise<ServerUser | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const owner = await stat(join(cluster, 'PG_VERSION')).catch(() => undefined)
  if (owner && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid }
  const user = (await idsOf('postgres')) ?? (await idsOf('nobody'))
  if (!user)
    throw new Error('PostgreSQL does not run as root, and there is neither a user postgres nor nobody.')
  return user
}

/** Whether a user can pass through to a path and use it. */
export async function canReach(path: string, user: ServerUser | undefined): Promise<boolean> {
  if (!user) return true
  // asking as that user also covers what mode bits do not tell (access lists, mount options)
  return run('/bin/sh', ['-c', 'test -x "$1"', 'sh', path], { ...user, cwd: '/' }).then(
    () => true,
    () => false,
  )
}

/** A folder outside of root's home in which `user` may own things. */
export async function reachableFolder(user: ServerUser): Promise<string> {
  for (const folder of reachableFolders) {
    const made = await mkdir(folder, { recursive: true, mode: 0o755 }).then(
      () => true,
      () => false,
    )
    if (made && (await canReach(folder, user))) return folder
  }
  throw new Error(
    `PostgreSQL runs as user ${user.uid} and can use neither the data folder nor ${reachableFolders.join(' nor ')}. Set WRITEBACK_DATA_DIR to a folder that every user may pass through.`,
  )
}

/**
 * Makes `<dataDir>/postgres` for a server user and returns its real path. Where root's own folders keep
 * that user out (a clone under /root, say), their modes are left alone: the cluster is kept in a folder
 * of its own elsewhere, and `postgres` is a link to it.
 */
export async function prepareClusterFolder(dataDir: string, user: ServerUser | undefined): Promise<string> {
  const cluster = join(dataDir, 'postgres')
  const existing = await realpath(cluster).catch(() => undefined)
  const link = existing === undefined ? await readlink(cluster).catch(() => undefined) : undefined
  if (link !== undefined) throw new Error(`The database of ${dataDir} was kept in ${link}, which is gone.`)
  if (existing !== undefined && (await canReach(existing, user))) return existing
  if (!user) {
    await mkdir(cluster, { recursive: true, mode: 0o700 })
    return realpath(cluster)
  }
  // the data folder is ours, and all that is secret in it has modes of its own
  await chmod(dataDir, 0o711)
  if (existing === undefined && (await canReach(dataDir, user))) {
    await mkdir(cluster, { mode: 0o700 })
    await chown(cluster, user.uid, user.gid)
    return realpath(cluster)
  }
  if (existing !== undefined && (await canReach(existing, user))) return existing
  if (existing !== undefined) {
    throw new Error(
      `User ${user.uid}, whom PostgreSQL runs as, cannot reach ${existing}. Move the data folder, or let every user pass through ${dirname(existing)}.`,
    )
  }
  const elsewhere = await mkdtemp(join(await reachableFolder(user), 'cluster-'))
  await chown(elsewhere, user.uid, user.gid)
  await symlink(elsewhere, cluster)
  return elsewhere
}
