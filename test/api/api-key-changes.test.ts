import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDirectory } from '../../src/connections/directory.ts'
import { connect } from '../../src/db/connect.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import { issuesOf, jsonOf, startHarness, type Harness } from './harness.ts'

let harness: Harness
beforeAll(async () => {
  harness = await startHarness()
  await harness.call('POST', '/v1/projects', { body: { name: 'acme' } })
})
afterAll(() => harness.close())

const keys = '/v1/projects/acme/api-keys'
async function makeKey(scopes: string[]): Promise<{ id: string; key: string; path: string }> {
  const { id, key } = jsonOf(await harness.call('POST', keys, { body: { label: 'first', scopes } }))
  return { id: String(id), key: String(key), path: `${keys}/${String(id)}` }
}
const statusWith = async (key: string): Promise<number> =>
  (await harness.call('GET', '/v1/projects/acme', { key })).statusCode

test('a key that is revoked opens nothing any more, from the answer on', async () => {
  const { id, key, path } = await makeKey(['read'])
  const kept = await makeKey(['read'])
  expect([await statusWith(key), await statusWith(key)]).toEqual([200, 200])
  const answer = await harness.call('DELETE', path)
  expect([answer.statusCode, answer.body]).toEqual([204, ''])
  expect([await statusWith(key), await statusWith(kept.key)]).toEqual([401, 200])
  expect((await harness.call('GET', path)).statusCode).toBe(404)
  expect((await harness.call('DELETE', path)).statusCode).toBe(404)
  const told = harness.lines.filter((line) => line.includes('an API key was revoked') && line.includes(id))
  expect(told).toHaveLength(1)
})

test('a key that is revoked or changed is so in every process at once', async () => {
  const { key, path } = await makeKey(['read'])
  const pool = connect({ url: harness.url, max: 2 })
  const elsewhere = createDirectory(pool, { logger: silentLogger, ttlMs: 3_600_000 })
  await elsewhere.start()
  try {
    const scopes = async (): Promise<unknown> => {
      const caller = await elsewhere.authenticate(key)
      return caller?.kind === 'project' ? [...caller.scopes] : caller
    }
    expect(await scopes()).toEqual(['read'])
    await harness.call('PATCH', path, { body: { scopes: ['write', 'read'] } })
    await expect.poll(scopes, { timeout: 1_000, interval: 10 }).toEqual(['write', 'read'])
    await harness.call('DELETE', path)
    await expect.poll(scopes, { timeout: 1_000, interval: 10 }).toBeNull()
  } finally {
    await elsewhere.stop()
    await pool.end({ timeout: 1 })
  }
})

test('what a key is called and may do can be changed, each by itself', async () => {
  const { id, key, path } = await makeKey(['read'])
  expect(await statusWith(key)).toBe(200)
  const renamed = await harness.call('PATCH', path, { body: { label: 'second' } })
  expect(renamed.statusCode).toBe(200)
  expect(jsonOf(renamed)).toMatchObject({ id, label: 'second', scopes: ['read'] })
  expect(jsonOf(renamed)).not.toHaveProperty('key')
  const narrowed = await harness.call('PATCH', path, { body: { scopes: ['write'] } })
  expect(jsonOf(narrowed)).toMatchObject({ id, label: 'second', scopes: ['write'] })
  expect(await statusWith(key)).toBe(403)
  expect(jsonOf(await harness.call('GET', path))).toEqual(jsonOf(narrowed))
})

test('refuses what cannot be changed, and callers who may not', async () => {
  const { key, path } = await makeKey(['write', 'read'])
  const refused = await harness.call('PATCH', path, { body: { key: 'mine', scopes: [] } })
  expect([refused.statusCode, issuesOf(refused)]).toEqual([
    400,
    ['/key is not a known field', '/scopes must not be empty'],
  ])
  const empty = await harness.call('PATCH', path, { body: {} })
  expect([empty.statusCode, issuesOf(empty)]).toEqual([400, [' must have at least 1 field']])
  for (const [method, body] of [['PATCH', { label: 'x' }], ['DELETE']] as const) {
    expect((await harness.call(method, path, { key, body })).statusCode).toBe(403)
    expect((await harness.call(method, `${keys}/nonsense`, { body })).statusCode).toBe(404)
  }
  expect(await statusWith(key)).toBe(200)
})
