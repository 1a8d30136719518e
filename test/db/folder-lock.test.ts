import { spawn } from 'node:child_process'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { lockFolder } from '../../src/db/folder-lock.ts'
import { startOfProcess } from '../../src/db/process-identity.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'writeback-lock-'))
})
afterEach(() => rm(folder, { recursive: true }))

const projectFolder = new URL('../..', import.meta.url).pathname

/** A process that takes the folder, says how that went, and holds on until its input ends. */
function claimant() {
  const program = `
    import { lockFolder } from './src/db/folder-lock.ts'
    process.stdin.once('data', async () => {
      try { await lockFolder(process.argv[1]); console.log('taken') } catch (error) { console.log(error.message) }
    })
    console.log('ready')`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program, folder], {
    cwd: projectFolder,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const lines: string[] = []
  const waiting: (() => void)[] = []
  child.stdout.on('data', (chunk: Buffer) => {
    lines.push(...chunk.toString().trim().split('\n'))
    for (const wake of waiting.splice(0)) wake()
  })
  const nextLine = async (): Promise<string> => {
    while (lines.length === 0) await new Promise<void>((resolve) => waiting.push(resolve))
    return lines.shift() ?? ''
  }
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  return { child, nextLine, ended }
}

test('of many processes at once one gets the folder, and the others name it', async () => {
  const claimants = Array.from({ length: 6 }, claimant)
  await Promise.all(claimants.map(({ nextLine }) => nextLine()))
  for (const { child } of claimants) child.stdin.write('go\n')
  const answers = await Promise.all(claimants.map(({ nextLine }) => nextLine()))
  const winners = claimants.filter((_, index) => answers[index] === 'taken')
  expect(winners).toHaveLength(1)
  for (const answer of answers.filter((text) => text !== 'taken')) {
    expect(answer).toMatch(
      new RegExp(`^The data folder ${folder} is in use by process \\d+\\. Stop that one, or `),
    )
  }
  const winner = winners[0]?.child.pid ?? 0
  await expect(lockFolder(folder)).rejects.toThrow(
    `The data folder ${folder} is in use by process ${winner}.`,
  )
  for (const { child } of claimants) child.kill('SIGKILL')
  await Promise.all(claimants.map(({ ended }) => ended))
  const lock = await lockFolder(folder)
  expect(await readdir(join(folder, 'owner'))).toHaveLength(1)
  await lock.release()
})

test('a second claim by the same process is refused until the first is released', async () => {
  const lock = await lockFolder(folder)
  await expect(lockFolder(folder)).rejects.toThrow(`is in use by process ${process.pid}, which is this one`)
  await lock.release()
  await (await lockFolder(folder)).release()
})

test('a claim whose process id now belongs to another process counts for nothing', async () => {
  await (await lockFolder(folder)).release()
  const start = await startOfProcess(process.ppid)
  expect(start).not.toBeNull()
  await writeFile(join(folder, 'owner', `${process.ppid}-1-earlier`), '')
  await writeFile(join(folder, 'owner', 'not a claim'), '')
  await (await lockFolder(folder)).release()
  expect(await readdir(join(folder, 'owner'))).toEqual([])
})
