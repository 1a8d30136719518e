import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { keysFor } from '../../src/generated-keys.ts'
import { silentLogger } from '../../src/kernel/log.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'writeback-keys-'))
})
afterEach(() => rm(folder, { recursive: true }))

const unset = () => ({ dataDir: join(folder, 'data'), adminKey: null, encryptionKey: null })

test('makes both keys once, for however many starts at a time', async () => {
  const all = await Promise.all(Array.from({ length: 20 }, () => keysFor(unset(), silentLogger)))
  const later = await keysFor(unset(), silentLogger)
  expect(new Set(all.map(({ adminKey }) => adminKey))).toEqual(new Set([later.adminKey]))
  expect(new Set(all.map(({ encryptionKey }) => encryptionKey.toString('hex'))).size).toBe(1)
  expect(later.encryptionKey).toHaveLength(32)
  expect(later.adminKey.length).toBeGreaterThan(40)
})

test('keeps them in files for the owner only and logs the files, not the keys', async () => {
  const info = vi.fn()
  const keys = await keysFor(unset(), { ...silentLogger, info })
  for (const name of ['admin-key', 'encryption-key']) {
    const path = join(folder, 'data', name)
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    const logged = JSON.stringify(info.mock.calls)
    expect(logged).toContain(path)
    expect(logged).not.toContain((await readFile(path, 'utf8')).trim())
  }
  expect((await readFile(join(folder, 'data', 'admin-key'), 'utf8')).trim()).toBe(keys.adminKey)
})

test('generates nothing that was configured', async () => {
  const encryptionKey = Buffer.alloc(32, 1)
  const keys = await keysFor({ ...unset(), adminKey: 'mine', encryptionKey }, silentLogger)
  expect(keys).toEqual({ adminKey: 'mine', encryptionKey })
  await expect(stat(join(folder, 'data', 'admin-key'))).rejects.toThrow('ENOENT')
})

test('refuses a kept encryption key that is none, and leaves it', async () => {
  await keysFor(unset(), silentLogger)
  const path = join(folder, 'data', 'encryption-key')
  await writeFile(path, 'short\n')
  await expect(keysFor(unset(), silentLogger)).rejects.toThrow(`${path} does not hold 32 bytes in base64.`)
  expect(await readFile(path, 'utf8')).toBe('short\n')
})
