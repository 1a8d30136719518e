import { spawn, type ChildProcess } from 'node:child_process'
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { waitUntil } from '../support/wait-until.ts'

const main = join(import.meta.dirname, '../../src/main.ts')

interface Demo {
  child: ChildProcess
  stdout: () => string
  stderr: () => string
  /** The exit code. */
  ended: Promise<number | null>
}

let folder: string
let running: Demo[]

beforeEach(async () => {
  // The demo's own temporary folder goes in here; PostgreSQL's user must be able to pass through.
  folder = await mkdtemp(join(tmpdir(), 'demo-test-'))
  await chmod(folder, 0o755)
  running = []
})
afterEach(async () => {
  for (const { child, ended } of running) {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
    await ended
  }
  await rm(folder, { recursive: true, force: true })
})

function demo(...args: string[]): Demo {
  const env = {
    ...process.env,
    TMPDIR: folder,
    DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none',
    PORT: '1',
  }
  const child = spawn(process.execPath, [main, 'demo', ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const said = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk: Buffer) => (said.stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (said.stderr += chunk.toString()))
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  const started = { child, ended, stdout: () => said.stdout, stderr: () => said.stderr }
  running.push(started)
  return started
}

const says = (one: Demo, text: string): Promise<void> =>
  waitUntil(() => one.stdout().includes(text) || one.child.exitCode !== null, {
    timeoutMs: 60_000,
    what: `${JSON.stringify(text)} in: ${one.stdout()}${one.stderr()}`,
  })

const ownFolder = (): string => join(folder, 'writeback-demo-')

const procFile = (pid: number, file: string): Promise<string> =>
  readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')

/** The processes that work on a demo's data folder: the service and its database. */
async function processes(): Promise<number[]> {
  const found: number[] = []
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)) {
    const text = (await procFile(pid, 'cmdline')) + (await procFile(pid, 'environ'))
    if (text.includes(ownFolder())) found.push(pid)
  }
  return found
}

async function serviceProcess(): Promise<number> {
  for (const pid of await processes())
    if ((await procFile(pid, 'cmdline')).split('\0').includes('serve')) return pid
  throw new Error('there is no service')
}

const nothingIsLeft = async (): Promise<void> => {
  expect(await readdir(folder)).toEqual([])
  expect(await processes()).toEqual([])
}

// Each test starts a database of its own, which takes its time on a busy machine.
describe.skipIf(process.platform !== 'linux')('npm run demo', { timeout: 90_000 }, () => {
  it('ends with 0 when all agree, whatever the environment configures, and leaves nothing', async () => {
    const one = demo('--writes', '60', '--seed', '3')
    expect(await one.ended, one.stdout() + one.stderr()).toBe(0)
    expect(one.stdout()).toMatch(/accepted 60\/60 {2}sent 60\/60 {2}ended 60\/60/)
    expect(one.stdout()).toMatch(/^OK: 60 outcomes, \d+ records in the org/m)
    expect(one.stderr()).toBe('')
    await nothingIsLeft()
  })

  it('stops everything at Ctrl-C in the middle', async () => {
    const one = demo('--writes', '50000')
    await says(one, 'accepted')
    expect(await processes()).not.toEqual([])
    one.child.kill('SIGINT')
    expect(await one.ended).toBe(130)
    await nothingIsLeft()
  })

  it('ends with one line and 1 when the service is lost', async () => {
    const one = demo('--writes', '50000')
    await says(one, 'accepted')
    process.kill(await serviceProcess(), 'SIGKILL')
    expect(await one.ended).toBe(1)
    expect(one.stderr()).toBe('writeback: The service ended by SIGKILL.\n')
    await nothingIsLeft()
  })

  it('leaves everything up with --keep, with a call to go on with, until Ctrl-C', async () => {
    const one = demo('--writes', '5', '--keep')
    await says(one, 'OPERATION_ID?wait=10')
    const text = one.stdout()
    const [, url] = /service +(http:\/\/\S+)/.exec(text)!
    const [, key] = /project key +(\S+)/.exec(text)!
    const [, path] = /POST http:\/\/[^/]+(\/\S+)/.exec(text)!
    const [, body] = /-d '(.+)'/.exec(text)!
    const headers = { 'x-api-key': key!, 'content-type': 'application/json' }
    const answer = await fetch(url! + path!, { method: 'POST', headers, body: body! })
    expect(answer.status).toBe(200)
    one.child.kill('SIGINT')
    expect(await one.ended).toBe(0)
    const [kept] = await readdir(folder)
    expect(await readdir(join(folder, kept!))).toContain('service.log')
    expect(await processes()).toEqual([])
  })

  it('refuses a bad option with one line and 2, before anything is started', async () => {
    const one = demo('--writes', '0')
    expect(await one.ended).toBe(2)
    expect(one.stderr()).toBe('writeback: --writes must be a whole number from 1 to 100000, not "0".\n')
    expect(one.stdout()).toBe('')
  })

  it('explains itself', async () => {
    const one = demo('--help')
    expect(await one.ended).toBe(0)
    for (const option of ['--writes', '--seed', '--keep']) expect(one.stdout()).toContain(option)
  })
})
