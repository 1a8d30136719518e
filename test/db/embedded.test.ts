import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdir, mkdtemp, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { connect } from '../../src/db/connect.ts'
import { findBinaries } from '../../src/db/embedded-binaries.ts'
import { canReach } from '../../src/db/embedded-user.ts'
import { startEmbedded, type Embedded } from '../../src/db/embedded.ts'
import { isPostmasterOf, startOfProcess } from '../../src/db/process-identity.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import { waitUntil } from '../support/wait-until.ts'

const isRoot = process.getuid?.() === 0
const projectFolder = new URL('../..', import.meta.url).pathname
const logger = silentLogger
const timeoutMs = 20_000

let folder: string
let dataDir: string
const running: Embedded[] = []
const children: ChildProcess[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'writeback-embedded-'))
  await chmod(folder, 0o755)
  dataDir = join(folder, 'data')
})
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await Promise.all(running.splice(0).map((one) => one.stop()))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function start(part: Partial<Parameters<typeof startEmbedded>[0]> = {}): Promise<Embedded> {
  const embedded = await startEmbedded({ dataDir, logger, ...part })
  running.push(embedded)
  return embedded
}

/** Runs statements on an embedded database and answers the rows of the last. */
async function query(url: string, ...texts: string[]): Promise<unknown[]> {
  const sql = connect({ url, max: 2 })
  try {
    let rows: unknown[] = []
    for (const text of texts) rows = [...(await sql.unsafe(text))]
    return rows
  } finally {
    await sql.end({ timeout: 5 })
  }
}

/** Another process that starts the database on the same folder, and reports its URL and the server's process id. */
async function startElsewhere(
  options: { uid?: number; gid?: number; dataDir?: string } = {},
): Promise<{ child: ChildProcess; url: string; pid: number }> {
  const program = `
    import { startEmbedded } from './src/db/embedded.ts'
    import { silentLogger } from './src/kernel/log.ts'
    const embedded = await startEmbedded({ dataDir: process.argv[1], logger: silentLogger })
    const keepAlive = setInterval(() => undefined, 1000)
    process.on('SIGINT', () => console.log('interrupted'))
    process.on('SIGTERM', async () => { await embedded.stop(); clearInterval(keepAlive) })
    console.log(JSON.stringify({ url: embedded.url, pid: embedded.pid }))`
  const { dataDir: otherFolder, ...user } = options
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program, otherFolder ?? dataDir], {
    cwd: projectFolder,
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
    ...user,
  })
  children.push(child)
  const [chunk] = (await once(child.stdout, 'data')) as [Buffer]
  return { child, ...(JSON.parse(chunk.toString()) as { url: string; pid: number }) }
}

const isGone = async (pid: number): Promise<boolean> => (await startOfProcess(pid)) === null

async function killHard(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

describe('startEmbedded', () => {
  test('makes a durable database on loopback, and keeps it from one start to the next', async () => {
    const first = await start()
    const read = await query(
      first.url,
      'create table kept (id int)',
      'insert into kept values (1)',
      `select current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit,
        current_setting('full_page_writes') as pages, current_setting('listen_addresses') as addresses,
        current_setting('server_version_num')::int / 10000 as version, current_database() as database`,
    )
    expect(read).toEqual([
      { fsync: 'on', commit: 'on', pages: 'on', addresses: '127.0.0.1', version: 18, database: 'writeback' },
    ])
    await first.stop()
    await first.stop()
    expect(await isGone(first.pid)).toBe(true)
    const second = await start()
    expect(await query(second.url, 'select id from kept')).toEqual([{ id: 1 }])
  })

  test('keeps its password for the owner only, and asks for it', async () => {
    const { url } = await start()
    const path = join(dataDir, 'postgres-password')
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(new URL(url).password).toBe((await readFile(path, 'utf8')).trim())
    const wrong = new URL(url)
    wrong.password = 'wrong'
    await expect(query(wrong.href, 'select 1')).rejects.toMatchObject({ code: '28P01' })
  })

  test('never runs the server as root', async () => {
    const { pid } = await start()
    const { uid } = await stat(`/proc/${pid}`)
    if (isRoot) expect(uid).not.toBe(0)
    else expect(uid).toBe(process.getuid?.())
  })

  test('refuses a folder that another live process has, and that process goes on', async () => {
    const owner = await startElsewhere()
    await expect(start()).rejects.toThrow(
      `The data folder ${await realpath(dataDir)} is in use by process ${String(owner.child.pid)}.`,
    )
    expect(await query(owner.url, 'select 1 as one')).toEqual([{ one: 1 }])
    owner.child.kill('SIGTERM')
    await once(owner.child, 'exit')
    expect(await isGone(owner.pid)).toBe(true)
  })

  test('takes over from a process that was killed: its server is stopped and nothing is lost', async () => {
    const owner = await startElsewhere()
    await query(
      owner.url,
      'create table if not exists survivors (id int)',
      'insert into survivors values (1)',
    )
    await killHard(owner.child)
    expect(await isGone(owner.pid)).toBe(false)
    const next = await start()
    expect(await isGone(owner.pid)).toBe(true)
    expect(await query(next.url, 'select count(*) from survivors')).toEqual([{ count: 1 }])
  })

  test('replays its log after the server was killed with its process', async () => {
    const owner = await startElsewhere()
    await query(owner.url, 'create table replayed (id int)', 'insert into replayed values (1)')
    await killHard(owner.child)
    process.kill(owner.pid, 'SIGKILL')
    const next = await start()
    expect(await query(next.url, 'select id from replayed')).toEqual([{ id: 1 }])
  })

  test('says when the server ends unexpectedly, and starts again', async () => {
    const onExit = vi.fn()
    const fatal = vi.fn()
    const first = await start({ onExit, logger: { ...logger, fatal } })
    process.kill(first.pid, 'SIGKILL')
    await waitUntil(() => onExit.mock.calls.length > 0, { timeoutMs, what: 'the report' })
    expect(onExit).toHaveBeenCalledExactlyOnceWith({ code: null, signal: 'SIGKILL' })
    expect(fatal).toHaveBeenCalledTimes(1)
    await first.stop()
    const next = await start()
    expect(await query(next.url, 'select 1 as one')).toEqual([{ one: 1 }])
  })

  test('leaves a process alone whose id a dead server had', async () => {
    const owner = await startElsewhere()
    await killHard(owner.child)
    process.kill(owner.pid, 'SIGKILL')
    await waitUntil(() => isGone(owner.pid), { timeoutMs, what: 'the end of the server' })
    const pidFile = join(dataDir, 'postgres', 'data', 'postmaster.pid')
    const { uid, gid } = await stat(pidFile)
    const bystander = spawn('sleep', ['60'], { uid, gid, stdio: 'ignore' })
    children.push(bystander)
    const lines = (await readFile(pidFile, 'utf8')).split('\n')
    await writeFile(pidFile, [String(bystander.pid), ...lines.slice(1)].join('\n'))
    const next = await start()
    expect(await query(next.url, 'select 1 as one')).toEqual([{ one: 1 }])
    expect(bystander.exitCode).toBeNull()
    expect(bystander.signalCode).toBeNull()
  })

  test('an interrupt from the terminal leaves the server running', async () => {
    const owner = await startElsewhere()
    const output = owner.child.stdout
    if (!output || owner.child.pid === undefined) throw new Error('no process')
    const said = once(output, 'data')
    process.kill(-owner.child.pid, 'SIGINT')
    expect(String((await said)[0])).toBe('interrupted\n')
    expect(await query(owner.url, 'select 1 as one')).toEqual([{ one: 1 }])
    expect(await isPostmasterOf(owner.pid, await realpath(join(dataDir, 'postgres', 'data')))).toBe(true)
  })

  test('leaves the ways out of the process to the process', async () => {
    const signals = [
      'SIGINT',
      'SIGTERM',
      'SIGHUP',
      'uncaughtException',
      'unhandledRejection',
      'beforeExit',
      'message',
    ] as const
    const before = signals.map((signal) => process.listenerCount(signal))
    await start()
    expect(signals.map((signal) => process.listenerCount(signal))).toEqual(before)
  })

  test('says why a server did not start, in one line', async () => {
    const failing = start({ settings: { shared_buffers: 'nonsense' } })
    await expect(failing).rejects.toThrow(/^The embedded PostgreSQL in .* did not start: .*shared_buffers.*$/)
    await (await start()).stop()
  })
})

describe('users', () => {
  test('works where only root may pass through, without opening the way', async () => {
    const hidden = join(folder, 'hidden')
    await mkdir(hidden, { mode: 0o700 })
    const inside = join(hidden, 'data')
    const { url, pid, stop } = await start({ dataDir: inside })
    expect(await query(url, 'select 1 as one')).toEqual([{ one: 1 }])
    expect((await stat(hidden)).mode & 0o777).toBe(0o700)
    const cluster = await realpath(join(inside, 'postgres'))
    expect(cluster.startsWith(await realpath(inside))).toBe(!isRoot)
    await stop()
    expect(await isGone(pid)).toBe(true)
    const again = await start({ dataDir: inside })
    expect(await query(again.url, 'select 1 as one')).toEqual([{ one: 1 }])
    await again.stop()
    await rm(cluster, { recursive: true })
    // a link to nothing means that data was lost: better to say so than to begin anew
    if (isRoot)
      await expect(start({ dataDir: inside })).rejects.toThrow(`was kept in ${cluster}, which is gone`)
  })

  test('works for an ordinary user', async () => {
    const nobody = { uid: 65534, gid: 65534 }
    const own = join(folder, 'ordinary')
    await mkdir(own)
    const { postgres } = await findBinaries(undefined)
    const others = isRoot && (await canReach(process.execPath, nobody)) && (await canReach(postgres, nobody))
    // a clone that is closed to other users leaves nothing to try: the server itself is another user then
    if (others) await chown(own, nobody.uid, nobody.gid)
    const { url, pid, child } = await startElsewhere({ dataDir: own, ...(others ? nobody : {}) })
    expect(await query(url, 'select 1 as one')).toEqual([{ one: 1 }])
    const { uid } = await stat(`/proc/${pid}`)
    if (isRoot) expect(uid).not.toBe(0)
    else expect(uid).toBe(process.getuid?.())
    if (others) expect(uid).toBe(nobody.uid)
    child.kill('SIGTERM')
    await once(child, 'exit')
    expect(await isGone(pid)).toBe(true)
  })
})
