import { afterAll, beforeAll, expect, test } from 'vitest'
import { issuesOf, jsonOf, startHarness, type Harness } from './harness.ts'

let harness: Harness
beforeAll(async () => {
  harness = await startHarness()
  await harness.call('POST', '/v1/projects', { body: { name: 'acme' } })
  const body = { name: 'sync', provider: 'salesforce' }
  await harness.call('POST', '/v1/projects/acme/integrations', { body })
})
afterAll(() => harness.close())

const installations = '/v1/projects/acme/integrations/sync/installations'
const credentials = { type: 'access-token', accessToken: 'tok', instanceUrl: 'https://x.my.salesforce.com/' }
const content = { provider: 'salesforce', write: {} }

async function connect(groupRef: string): Promise<string> {
  const body = { groupRef, provider: 'salesforce', credentials }
  return String(jsonOf(await harness.call('POST', '/v1/projects/acme/connections', { body })).id)
}
async function install(groupRef: string) {
  const connectionId = await connect(groupRef)
  const made = await harness.call('POST', installations, { body: { groupRef, config: { content } } })
  const installation = jsonOf(made)
  return { installation, connectionId, path: `${installations}/${String(installation.id)}` }
}

test('changes what is given, and nothing else', async () => {
  const { installation, path } = await install('some')
  const connectionId = await connect('some')
  const moved = jsonOf(await harness.call('PATCH', path, { body: { connectionId } }))
  expect(moved).toEqual({ ...installation, connection: { id: connectionId, status: 'working' } })
  const write = { packing: 'none' }
  const changed = await harness.call('PATCH', path, { body: { config: { content: { ...content, write } } } })
  const { config } = jsonOf(changed) as { config: { id: string; content: unknown } }
  expect(jsonOf(changed)).toEqual({ ...moved, config })
  expect(config.content).toEqual({ ...content, write })
  expect(config.id).not.toBe((moved.config as { id: string }).id)
  expect(jsonOf(await harness.call('GET', path))).toEqual(jsonOf(changed))
})

test('refuses what does not fit, all of it at once, and leaves the installation as it was', async () => {
  const { installation, path } = await install('fits')
  const foreign = await connect('of another group')
  const refusals = async (body: unknown): Promise<[number, string[]]> => {
    const answer = await harness.call('PATCH', path, { body })
    return [answer.statusCode, issuesOf(answer)]
  }
  expect(await refusals({})).toEqual([400, [' must have at least 1 field']])
  expect(await refusals({ groupRef: 'x', config: {} })).toEqual([
    400,
    ['/config/content is required', '/groupRef is not a known field'],
  ])
  const objects = { Lead: { objectName: 'Contact' } }
  expect(
    await refusals({ connectionId: foreign, config: { content: { ...content, write: { objects } } } }),
  ).toEqual([
    400,
    [
      '/config/content/write/objects/Lead/objectName must be the same as its key: Lead',
      '/connectionId is the connection of another groupRef',
    ],
  ])
  const twice = {
    Lead: { objectName: 'Lead', mapToName: 'person' },
    Contact: { objectName: 'Contact', mapToName: 'person' },
  }
  const [status, issues] = await refusals({ config: { content: { ...content, write: { objects: twice } } } })
  expect([status, issues.length]).toEqual([400, 1])
  expect(jsonOf(await harness.call('GET', path))).toEqual(installation)
})

test('what is not there is not found; a key without the scope may not', async () => {
  const { path } = await install('scopes')
  const body = { label: 'writer', scopes: ['write', 'read'] }
  const { key } = jsonOf(await harness.call('POST', '/v1/projects/acme/api-keys', { body }))
  const other = { name: 'other', provider: 'salesforce' }
  await harness.call('POST', '/v1/projects/acme/integrations', { body: other })
  const elsewhere = path.replace('/sync/', '/other/')
  for (const [method, change] of [['PATCH', { config: { content } }], ['DELETE']] as const) {
    expect((await harness.call(method, path, { key: String(key), body: change })).statusCode).toBe(403)
    for (const wrong of [elsewhere, `${installations}/nonsense`])
      expect((await harness.call(method, wrong, { body: change })).statusCode).toBe(404)
  }
  expect((await harness.call('GET', path)).statusCode).toBe(200)
})

test('a deletion is noted for the queue, and logged with who made it', async () => {
  const { installation, path } = await install('gone')
  const answer = await harness.call('DELETE', path)
  expect([answer.statusCode, answer.body]).toEqual([204, ''])
  const rows =
    await harness.sql`select project_id from deleted_installation where id = ${String(installation.id)}`
  expect([...rows]).toEqual([{ project_id: installation.projectId }])
  const said = harness.lines.filter((line) => line.includes('an installation was deleted'))
  expect(said).toEqual([expect.stringContaining('"key":"admin"')])
})
