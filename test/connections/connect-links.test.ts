import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createCipher, keyIdOf, keysById } from '../../src/connections/cipher.ts'
import {
  createConnectLinks,
  type Attempt,
  type Connected,
  type ConnectLinks,
} from '../../src/connections/connect-links.ts'
import { createConnection } from '../../src/connections/connections.ts'
import { deleteProject, createProject } from '../../src/connections/projects.ts'
import { newId } from '../../src/kernel/ids.ts'
import type { Credentials } from '../../src/model/credentials.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

const cipherOf = (key: Buffer) => createCipher({ keys: keysById(key), current: keyIdOf(key) })
const key = randomBytes(32)
const cipher = cipherOf(key)
const credentials: Credentials = { type: 'oauth2-refresh-token', clientId: 'app', refreshToken: 'fresh' }
const app = { clientId: 'app', clientSecret: 'secret' }

let database: TestDatabase
let links: ConnectLinks
let projectId: string
beforeAll(async () => {
  database = await createTestDatabase()
  links = createConnectLinks(database.sql, cipher)
})
afterAll(() => database.drop())
beforeEach(async () => {
  projectId = (await createProject(database.sql, { name: newId() })).id
})

const makeLink = async (groupRef = 'g') => {
  const { token } = await links.create(projectId, { groupRef, provider: 'salesforce', app })
  return { token, link: (await links.find(token))! }
}

const places = { loginUrl: 'https://test.salesforce.com', redirectUri: 'https://a.test/connect/callback' }

async function taken(groupRef?: string): Promise<Attempt> {
  const { token, link } = await makeLink(groupRef)
  const begun = (await links.begin(link.id, { ...places, token }))!
  const attempt = await links.take(begun.state, () => begun.browser)
  if (typeof attempt === 'string') throw new Error(attempt)
  expect(attempt).toMatchObject({ ...places, token, app, verifier: begun.verifier })
  return attempt
}

const connectionsOf = (groupRef: string) => database.sql<{ id: string; status: string }[]>`
  select id, status from connection where project_id = ${projectId} and group_ref = ${groupRef} order by id`

test('two links of a new group that end together make one connection', async () => {
  for (let round = 0; round < 10; round++) {
    const group = `group ${round}`
    const attempts = [await taken(group), await taken(group)]
    const ended = await Promise.all(attempts.map((attempt) => links.complete(attempt, credentials)))
    expect(ended.map((one) => (one as Connected).isNew).sort()).toEqual([false, true])
    expect(await connectionsOf(group)).toHaveLength(1)
  }
})

test('no sign-in begins with a link that was used or has expired since it was opened', async () => {
  const { token, link } = await makeLink()
  const begun = (await links.begin(link.id, { ...places, token }))!
  await links.complete((await links.take(begun.state, () => begun.browser)) as Attempt, credentials)
  expect(await links.begin(link.id, { ...places, token })).toBeNull()
  const other = await makeLink()
  await database.sql`update connect_link set expires_at = now() where id = ${other.link.id}`
  expect(await links.begin(other.link.id, { ...places, token: other.token })).toBeNull()
})

test('of several connections, the one that is written through has the credentials, a broken one first', async () => {
  const make = async (status: string, isUsed: boolean): Promise<string> => {
    const input = { groupRef: 'g', provider: 'salesforce', credentials }
    const { id } = await createConnection(database.sql, cipher, projectId, input)
    await database.sql`update connection set status = ${status} where id = ${id}`
    if (isUsed) {
      const integrationId = newId()
      await database.sql`insert into integration (id, project_id, name, provider) values (${integrationId}, ${projectId}, ${integrationId}, 'salesforce')`
      await database.sql`
        insert into installation (id, project_id, integration_id, group_ref, connection_id, config_id, config)
        values (${newId()}, ${projectId}, ${integrationId}, 'g', ${id}, ${newId()}, '{}')`
    }
    return id
  }
  const oldest = await make('broken', false)
  const working = await make('working', true)
  const broken = await make('broken', true)
  const newest = await make('working', true)
  expect(((await links.complete(await taken(), credentials)) as Connected).connection).toMatchObject({
    id: broken,
    status: 'working',
  })
  // All that are written through work now: the newest of them.
  expect(((await links.complete(await taken(), credentials)) as Connected).connection.id).toBe(newest)
  expect((await connectionsOf('g')).map(({ id, status }) => [id, status])).toEqual([
    [oldest, 'broken'],
    [working, 'working'],
    [broken, 'working'],
    [newest, 'working'],
  ])
})

test('a link goes with its project, and ends in nothing then', async () => {
  const attempt = await taken()
  await deleteProject(database.sql, projectId)
  expect(await links.complete(attempt, credentials)).toBe('deleted')
  expect(await links.find(attempt.token)).toBeNull()
  await expect(links.create(projectId, { groupRef: 'g', provider: 'salesforce', app })).rejects.toThrow(
    'deleted',
  )
})

test('what is encrypted for one link opens in no other, nor with another key', async () => {
  const [one, other] = [await makeLink(), await makeLink()]
  const begun = (await links.begin(one.link.id, { ...places, token: one.token }))!
  const foreign = createConnectLinks(database.sql, cipherOf(randomBytes(32)))
  expect(await foreign.take(begun.state, () => begun.browser)).toBe('unreadable')
  const again = (await links.begin(one.link.id, { ...places, token: one.token }))!
  await links.begin(other.link.id, { ...places, token: other.token })
  await database.sql`
    update connect_link set attempt = (select attempt from connect_link where id = ${other.link.id})
    where id = ${one.link.id}`
  expect(await links.take(again.state, () => again.browser)).toBe('unreadable')
})
