import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { issuesOf, jsonOf, startHarness, type Harness } from './harness.ts'
import { oneStory } from '../support/one-story.ts'

let harness: Harness
beforeAll(async () => {
  harness = await startHarness()
})
afterAll(() => harness.close())

const credentials = { type: 'access-token', accessToken: 'tok', instanceUrl: 'https://x.my.salesforce.com/' }
const statusOf = async (path: string, key?: string): Promise<number> =>
  (await harness.call('GET', path, key === undefined ? {} : { key })).statusCode
const made = async (path: string, body: unknown): Promise<Record<string, string>> => {
  const answer = await harness.call('POST', path, { body })
  expect(answer.statusCode).toBe(201)
  return answer.json()
}

/** A project with a key of each kind and an integration, and a way to install it. */
async function createProject(name: string) {
  const { id } = await made('/v1/projects', { name })
  const base = `/v1/projects/${id!}`
  const keyWith = async (scopes: string[]) => (await made(`${base}/api-keys`, { label: 'k', scopes })).key!
  const integration = await made(`${base}/integrations`, { name: 'sync', provider: 'salesforce' })
  const integrationPath = `${base}/integrations/${integration.id!}`
  const install = async (groupRef: string): Promise<string> => {
    await made(`${base}/connections`, { groupRef, provider: 'salesforce', credentials })
    const config = { content: { provider: 'salesforce', write: {} } }
    return `${integrationPath}/installations/${(await made(`${integrationPath}/installations`, { groupRef, config })).id!}`
  }
  return {
    id: id!,
    base,
    integrationPath,
    install,
    admin: await keyWith(['admin']),
    writer: await keyWith(['write', 'read']),
  }
}

describe('projects and integrations', oneStory, () => {
  describe('a project', () => {
    test('is found by its new name at once, by its id as ever, and by the old name no more', async () => {
      const { id, base, admin, writer } = await createProject('old name')
      expect([
        await statusOf('/v1/projects/old name'),
        await statusOf('/v1/projects/old name', writer),
      ]).toEqual([200, 200])
      const answer = await harness.call('PATCH', '/v1/projects/old name', {
        key: admin,
        body: { name: 'new name' },
      })
      expect([answer.statusCode, jsonOf(answer)]).toMatchObject([200, { id, name: 'new name' }])
      for (const key of [undefined, writer])
        expect([
          await statusOf('/v1/projects/new name', key),
          await statusOf(base, key),
          await statusOf('/v1/projects/old name', key),
        ]).toEqual([200, 200, 404])
      expect(jsonOf(await harness.call('GET', base))).toEqual(jsonOf(answer))
    })

    test('takes no name that is taken or is none', async () => {
      const { base } = await createProject('mine')
      await createProject('taken')
      const taken = await harness.call('PATCH', base, { body: { name: 'taken' } })
      expect([taken.statusCode, jsonOf(taken).code]).toEqual([409, 'CONFLICT'])
      const none = await harness.call('PATCH', base, { body: { name: '', id: 'x' } })
      expect([none.statusCode, issuesOf(none)]).toEqual([
        400,
        ['/id is not a known field', '/name must not be empty'],
      ])
      expect(jsonOf(await harness.call('GET', base)).name).toBe('mine')
    })

    test('goes with all that is in it, but not while anything is installed', async () => {
      const { id, base, admin, writer, install } = await createProject('to go')
      const installation = await install('g')
      expect((await harness.call('DELETE', base, { key: writer })).statusCode).toBe(403)
      const refused = await harness.call('DELETE', base, { key: admin })
      expect([refused.statusCode, jsonOf(refused).code]).toEqual([409, 'CONFLICT'])
      expect([await statusOf(base, writer), await statusOf(installation)]).toEqual([200, 200])
      await harness.call('DELETE', installation)
      const answer = await harness.call('DELETE', base, { key: admin })
      expect([answer.statusCode, answer.body]).toEqual([204, ''])
      expect([await statusOf(base), await statusOf(base, writer)]).toEqual([404, 401])
      for (const table of ['project', 'api_key', 'integration', 'connection'])
        expect(
          await harness.sql`
          select from ${harness.sql(table)} t where ${id} in (to_jsonb(t) ->> 'project_id', t.id::text)`,
        ).toHaveLength(0)
      expect(await statusOf((await createProject('to go')).base)).toBe(200)
    })
  })

  describe('an integration', () => {
    test('is found by its new name at once, by its id as ever, and by the old name no more', async () => {
      const { base, integrationPath, admin } = await createProject('of renamed')
      expect(await statusOf(`${base}/integrations/sync`)).toBe(200)
      const body = { name: 'sync two' }
      const answer = await harness.call('PATCH', `${base}/integrations/sync`, { key: admin, body })
      expect([answer.statusCode, jsonOf(answer)]).toMatchObject([200, { ...body, provider: 'salesforce' }])
      expect([
        await statusOf(`${base}/integrations/sync two`),
        await statusOf(integrationPath),
        await statusOf(`${base}/integrations/sync`),
      ]).toEqual([200, 200, 404])
    })

    test('takes no name of another of the project, and no other provider', async () => {
      const { base, integrationPath, writer } = await createProject('of two')
      await made(`${base}/integrations`, { name: 'second', provider: 'salesforce' })
      const taken = await harness.call('PATCH', integrationPath, { body: { name: 'second' } })
      expect([taken.statusCode, jsonOf(taken).code]).toEqual([409, 'CONFLICT'])
      const other = await harness.call('PATCH', integrationPath, { body: { provider: 'hubspot' } })
      expect(issuesOf(other)).toEqual(['/name is required', '/provider is not a known field'])
      const body = { name: 'third' }
      expect((await harness.call('PATCH', integrationPath, { key: writer, body })).statusCode).toBe(403)
      expect(jsonOf(await harness.call('GET', integrationPath)).name).toBe('sync')
    })

    test('goes, but not while it is installed', async () => {
      const { base, integrationPath, install } = await createProject('of installed')
      const installation = await install('g')
      const refused = await harness.call('DELETE', integrationPath)
      expect([refused.statusCode, jsonOf(refused).code]).toEqual([409, 'CONFLICT'])
      expect(await statusOf(installation)).toBe(200)
      await harness.call('DELETE', installation)
      expect((await harness.call('DELETE', `${base}/integrations/sync`)).statusCode).toBe(204)
      expect([await statusOf(integrationPath), await statusOf(base)]).toEqual([404, 200])
    })

    test('that goes while it is being installed is not there, or installed', async () => {
      for (let round = 0; round < 6; round += 1) {
        const { base, integrationPath } = await createProject(`race ${round}`)
        await made(`${base}/connections`, { groupRef: 'g', provider: 'salesforce', credentials })
        const config = { content: { provider: 'salesforce', write: {} } }
        const body = { groupRef: 'g', config }
        const [installed, gone] = await Promise.all([
          harness.call('POST', `${integrationPath}/installations`, { body }),
          harness.call('DELETE', integrationPath),
        ])
        expect(['201 409', '404 204']).toContain(`${installed.statusCode} ${gone.statusCode}`)
        const left = await harness.sql`
        select from installation i where not exists (select from integration n where n.id = i.integration_id)`
        expect(left).toHaveLength(0)
      }
    })
  })

  test('every list goes on from page to page, newest first, without leaving out or repeating anything', async () => {
    const { base, integrationPath, install } = await createProject('of pages')
    for (const groupRef of ['a', 'b']) await install(groupRef)
    await made(`${base}/integrations`, { name: 'second', provider: 'salesforce' })
    for (const path of [
      '/v1/projects',
      `${base}/api-keys`,
      `${base}/integrations`,
      `${base}/connections`,
      `${integrationPath}/installations`,
    ]) {
      interface Listed {
        results: { id: string }[]
        pagination: { done: boolean; nextPageToken?: string }
      }
      const page = async (query: string) => (await harness.call('GET', `${path}?${query}`)).json<Listed>()
      const all = (await page('pageSize=1000')).results.map(({ id }) => id)
      expect(all.length).toBeGreaterThan(1)
      expect(all).toEqual([...all].sort().reverse())
      const seen: string[] = []
      let token = ''
      for (;;) {
        const { results, pagination } = await page(`pageSize=1&pageToken=${token}`)
        seen.push(...results.map(({ id }) => id))
        expect(pagination.done).toBe(pagination.nextPageToken === undefined)
        if (pagination.nextPageToken === undefined) break
        token = pagination.nextPageToken
      }
      expect(seen).toEqual(all)
    }
  })
})
