import { afterAll, beforeAll, expect, test } from 'vitest'
import { jsonOf, startHarness, type Harness } from './harness.ts'

let harness: Harness
beforeAll(async () => {
  harness = await startHarness()
  await harness.call('POST', '/v1/projects', { body: { name: 'acme' } })
  const body = { name: 'sync', provider: 'salesforce' }
  await harness.call('POST', '/v1/projects/acme/integrations', { body })
})
afterAll(() => harness.close())

const connections = '/v1/projects/acme/connections'
const installations = '/v1/projects/acme/integrations/sync/installations'
const credentials = { type: 'access-token', accessToken: 'tok', instanceUrl: 'https://x.my.salesforce.com/' }

async function connect(groupRef: string): Promise<{ id: string; path: string }> {
  const body = { groupRef, provider: 'salesforce', credentials }
  const id = String(jsonOf(await harness.call('POST', connections, { body })).id)
  return { id, path: `${connections}/${id}` }
}
const install = (groupRef: string, connectionId: string) =>
  harness.call('POST', installations, {
    body: { groupRef, connectionId, config: { content: { provider: 'salesforce', write: {} } } },
  })

test('a connection goes with its credentials, once', async () => {
  const { id, path } = await connect('unused')
  const answer = await harness.call('DELETE', path)
  expect([answer.statusCode, answer.body]).toEqual([204, ''])
  expect(await harness.sql`select from connection where id = ${id}`).toHaveLength(0)
  for (const method of ['GET', 'DELETE'] as const)
    expect((await harness.call(method, path)).statusCode).toBe(404)
})

test('one that an installation uses stays, until none does', async () => {
  const { id, path } = await connect('used')
  const installation = jsonOf(await install('used', id))
  const refused = await harness.call('DELETE', path)
  expect(refused.statusCode).toBe(409)
  expect(jsonOf(refused)).toMatchObject({
    code: 'CONFLICT',
    remedy: expect.stringContaining('delete') as string,
  })
  expect((await harness.call('GET', path)).statusCode).toBe(200)
  await harness.call('DELETE', `${installations}/${String(installation.id)}`)
  expect((await harness.call('DELETE', path)).statusCode).toBe(204)
})

test('an installation that meets the deletion finds the connection or a sentence, never a fault of ours', async () => {
  for (let round = 0; round < 8; round += 1) {
    const groupRef = `race ${round}`
    const { id, path } = await connect(groupRef)
    const [made, gone] = await Promise.all([install(groupRef, id), harness.call('DELETE', path)])
    const statuses = `${made.statusCode} ${gone.statusCode}`
    expect(['201 409', '400 204']).toContain(statuses)
  }
})

test('a key without the scope may not, and another project has no such connection', async () => {
  const { path } = await connect('scopes')
  const body = { label: 'writer', scopes: ['write', 'read'] }
  const { key } = jsonOf(await harness.call('POST', '/v1/projects/acme/api-keys', { body }))
  expect((await harness.call('DELETE', path, { key: String(key) })).statusCode).toBe(403)
  await harness.call('POST', '/v1/projects', { body: { name: 'other' } })
  expect((await harness.call('DELETE', path.replace('/acme/', '/other/'))).statusCode).toBe(404)
  expect((await harness.call('GET', path)).statusCode).toBe(200)
})
