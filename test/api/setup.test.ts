import { createHash } from 'node:crypto'
import { createDirectory } from '../../src/connections/directory.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { issuesOf, jsonOf, startHarness, type Harness } from './harness.ts'

const uuid: unknown = expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/)
const time: unknown = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)

let harness: Harness
beforeAll(async () => {
  harness = await startHarness()
  await harness.call('POST', '/v1/projects', { body: { name: 'acme' } })
  await harness.call('POST', '/v1/projects/acme/integrations', {
    body: { name: 'sync', provider: 'salesforce' },
  })
})
afterAll(() => harness.close())

const credentials = { type: 'access-token', accessToken: 'tok', instanceUrl: 'https://x.my.salesforce.com/' }
const connect = async (groupRef: string): Promise<string> => {
  const body = { groupRef, provider: 'salesforce', credentials }
  return String(jsonOf(await harness.call('POST', '/v1/projects/acme/connections', { body })).id)
}
const installations = '/v1/projects/acme/integrations/sync/installations'
const content = { provider: 'salesforce', write: {} }

describe('projects', () => {
  test('create, get by id and by name, list', async () => {
    const made = await harness.call('POST', '/v1/projects', { body: { name: 'Ünï & Co/2' } })
    expect(made.statusCode).toBe(201)
    const project = jsonOf(made)
    expect(project).toEqual({
      id: uuid,
      name: 'Ünï & Co/2',
      createTime: time,
    })
    expect(made.headers.location).toBe(`/v1/projects/${String(project.id)}`)
    for (const path of [project.id, encodeURIComponent('Ünï & Co/2')])
      expect(jsonOf(await harness.call('GET', `/v1/projects/${String(path)}`))).toEqual(project)
    const list = await harness.call('GET', '/v1/projects?pageSize=1')
    expect(jsonOf(list)).toMatchObject({ results: [project], pagination: { done: false } })
  })

  test('a taken name is a conflict', async () => {
    const answer = await harness.call('POST', '/v1/projects', { body: { name: 'acme' } })
    expect(answer.statusCode).toBe(409)
    expect(jsonOf(answer)).toMatchObject({ code: 'CONFLICT', retryable: false })
  })

  test.each([
    ['', 'must not be empty'],
    ['x'.repeat(256), 'must have at most 255 characters'],
    ['0197a3b2-6b1f-7c52-9a53-0d3f5f2b8c11', 'must not look like an id'],
    [' padded', 'begin or end with a space'],
    ['two\nlines', 'control characters'],
    ['..', 'must not look like an id'],
    [7, 'must be text'],
    [null, 'must be text'],
  ])('refused name %#', async (name, message) => {
    const answer = await harness.call('POST', '/v1/projects', { body: { name } })
    expect(answer.statusCode).toBe(400)
    expect(issuesOf(answer)).toEqual([expect.stringMatching(/^\/name /)])
    expect(issuesOf(answer)[0]).toContain(message)
  })
})

describe('API keys', () => {
  test('the key is shown once, kept as a hash, and works', async () => {
    const made = await harness.call('POST', '/v1/projects/acme/api-keys', {
      body: { label: 'billing', scopes: ['write', 'read'] },
    })
    expect(made.statusCode).toBe(201)
    expect(made.headers['cache-control']).toBe('no-store')
    const { key, ...rest } = jsonOf(made)
    expect(key).toMatch(/^wb_[A-Za-z0-9_-]{43}$/)
    expect(rest).toEqual({
      id: uuid,
      label: 'billing',
      scopes: ['write', 'read'],
      createTime: time,
    })
    const location = String(made.headers.location)
    expect(jsonOf(await harness.call('GET', location, { key: String(key) }))).toEqual(rest)
    const list = await harness.call('GET', '/v1/projects/acme/api-keys')
    expect(jsonOf(list).results).toContainEqual(rest)
    const [row] = await harness.sql`select key_hash from api_key where id = ${String(rest.id)}`
    expect(row?.key_hash).toEqual(createHash('sha256').update(String(key)).digest())
  })

  test('every issue at once', async () => {
    const answer = await harness.call('POST', '/v1/projects/acme/api-keys', {
      body: { scopes: ['write', 'root', 'write'], key: 'mine', label: 3 },
    })
    expect(answer.statusCode).toBe(400)
    expect(issuesOf(answer)).toEqual([
      '/key is not a known field',
      '/label must be text',
      '/scopes must not name anything twice',
      '/scopes/1 must be one of: write, read, admin',
    ])
    const empty = await harness.call('POST', '/v1/projects/acme/api-keys', { body: { scopes: [] } })
    expect(issuesOf(empty)).toEqual(['/label is required', '/scopes must not be empty'])
  })
})

describe('integrations', () => {
  test('create, get, conflict, refuse', async () => {
    const body = { name: 'second', provider: 'salesforce' }
    const made = await harness.call('POST', '/v1/projects/acme/integrations', { body })
    expect(made.statusCode).toBe(201)
    expect(jsonOf(made)).toEqual({
      id: uuid,
      ...body,
      createTime: time,
    })
    expect(jsonOf(await harness.call('GET', '/v1/projects/acme/integrations/second'))).toEqual(jsonOf(made))
    expect(jsonOf(await harness.call('GET', String(made.headers.location)))).toEqual(jsonOf(made))
    expect((await harness.call('POST', '/v1/projects/acme/integrations', { body })).statusCode).toBe(409)
    const wrong = { provider: 'siebel', nmae: 'x' }
    const refused = await harness.call('POST', '/v1/projects/acme/integrations', { body: wrong })
    expect(issuesOf(refused)).toEqual([
      '/name is required',
      '/nmae is not a known field',
      '/provider must be one of: salesforce',
    ])
  })
})

describe('installations', () => {
  test('takes the group’s newest working connection, and answers with all of it', async () => {
    await connect('g1')
    const newer = await connect('g1')
    const broken = await connect('g1')
    await harness.sql`update connection set status = 'broken' where id = ${broken}`
    const objects = { Account: { objectName: 'Account', deletionSettings: { enabled: true } } }
    const body = { groupRef: 'g1', config: { content: { provider: 'salesforce', write: { objects } } } }
    const made = await harness.call('POST', installations, { body })
    expect(made.statusCode).toBe(201)
    const { projectId, integrationId, ...rest } = jsonOf(made)
    expect([projectId, integrationId]).toEqual([uuid, uuid])
    expect(rest).toEqual({
      id: uuid,
      group: { groupRef: 'g1' },
      connection: { id: newer, status: 'working' },
      healthStatus: 'healthy',
      config: { id: uuid, content: body.config.content },
      createTime: time,
    })
    expect(jsonOf(await harness.call('GET', String(made.headers.location)))).toEqual(jsonOf(made))
    await harness.sql`update connection set status = 'broken' where id = ${newer}`
    const list = jsonOf(await harness.call('GET', installations))
    expect(list.results).toContainEqual({
      ...jsonOf(made),
      connection: { id: newer, status: 'broken' },
      healthStatus: 'unhealthy',
    })
    expect((await harness.call('POST', installations, { body })).statusCode).toBe(409)
  })

  test('a group whose only connection is broken is installed all the same, and unhealthy', async () => {
    const id = await connect('sick')
    await harness.sql`update connection set status = 'broken' where id = ${id}`
    const made = await harness.call('POST', installations, {
      body: { groupRef: 'sick', config: { content } },
    })
    expect(jsonOf(made)).toMatchObject({ connection: { id, status: 'broken' }, healthStatus: 'unhealthy' })
  })

  test('without a connection, or with one that does not fit, nothing is made', async () => {
    const elsewhere = await connect('g-elsewhere')
    const nobody = '0197a3b2-6b1f-7c52-9a53-0d3f5f2b8c11'
    for (const [connectionId, issue] of [
      [undefined, '/groupRef has no connection to salesforce yet'],
      [elsewhere, '/connectionId is the connection of another groupRef'],
      [nobody, '/connectionId is not a connection of this project'],
      ['not-an-id', '/connectionId must be a UUID'],
    ] as const) {
      const body = { groupRef: 'g-none', ...(connectionId && { connectionId }), config: { content } }
      const answer = await harness.call('POST', installations, { body })
      expect(answer.statusCode).toBe(400)
      expect(issuesOf(answer)).toEqual([issue])
    }
    expect(await harness.sql`select 1 from installation where group_ref = 'g-none'`).toHaveLength(0)
  })

  test('names that must agree are compared', async () => {
    await connect('g2')
    const objects = { Account: { objectName: 'Contact' }, account: { objectName: 'account' } }
    const body = { groupRef: 'g2', config: { content: { provider: 'salesforce', write: { objects } } } }
    expect(issuesOf(await harness.call('POST', installations, { body }))).toEqual([
      '/config/content/write/objects/Account/objectName must be the same as its key: Account',
      '/config/content/write/objects/account is listed twice: case does not tell objects apart',
    ])
  })

  test('every unknown key is named, objects and their entries included', async () => {
    const objects = {
      __proto__x: { objectName: 'A' },
      'Bad-Name': { objectName: 'A', x: 1, deletionSettings: { enabled: 'yes', hard: true } },
    }
    const write = { objects, defaults: {} }
    const body = {
      config: { content: { provider: 'salesforce', write, read: {}, proxy: {}, subscribe: {} } },
    }
    expect(issuesOf(await harness.call('POST', installations, { body }))).toEqual([
      '/config/content/proxy is not a known field',
      '/config/content/read is not a known field',
      '/config/content/subscribe is not a known field',
      '/config/content/write/defaults is not a known field',
      '/config/content/write/objects/Bad-Name must be an object name: letters, digits and underscores, a letter first',
      '/config/content/write/objects/Bad-Name/deletionSettings/enabled must be true or false',
      '/config/content/write/objects/Bad-Name/deletionSettings/hard is not a known field',
      '/config/content/write/objects/Bad-Name/x is not a known field',
      '/config/content/write/objects/__proto__x must be an object name: letters, digits and underscores, a letter first',
      '/groupRef is required',
    ])
  })

  test('says how calls are made, what is locked together, and what is written only if empty', async () => {
    await connect('g-calls')
    const objects = {
      Line__c: {
        objectName: 'Line__c',
        parentFields: ['Invoice__c', 'Site__c'],
        selectedFieldSettings: { Phone: { writeOnUpdate: 'ifEmpty' } },
      },
    }
    const write = { objects, packing: 'ready', apiBudgetPercent: 50 }
    const body = { groupRef: 'g-calls', config: { content: { provider: 'salesforce', write } } }
    const answer = await harness.call('POST', installations, { body })
    expect(answer.statusCode).toBe(201)
    expect(jsonOf(answer).config).toMatchObject({ content: { write } })
    const { id } = jsonOf(answer) as { id: string }
    const directory = createDirectory(harness.sql, { logger: silentLogger })
    const calls = async (of: string) => (await directory.installationById(of))?.calls
    expect(await calls(id)).toEqual({ packing: 'ready', apiBudgetPercent: 50 })
    await connect('g-plain')
    const plain = { groupRef: 'g-plain', config: { content: { provider: 'salesforce', write: {} } } }
    const made = jsonOf(await harness.call('POST', installations, { body: plain })) as { id: string }
    expect(await calls(made.id)).toEqual({ packing: 'riders', apiBudgetPercent: 90 })
  })

  test('refuses settings of calls that mean nothing', async () => {
    const objects = {
      A__c: { objectName: 'A__c', parentFields: [] },
      B__c: { objectName: 'B__c', parentFields: ['a__c', 'b__c', 'c__c', 'd__c', 'e__c'] },
      C__c: { objectName: 'C__c', parentFields: ['no field'] },
    }
    const write = { objects, packing: 'some', apiBudgetPercent: 101 }
    const body = { groupRef: 'g', config: { content: { provider: 'salesforce', write } } }
    expect(issuesOf(await harness.call('POST', installations, { body }))).toEqual([
      '/config/content/write/apiBudgetPercent must be at most 100',
      '/config/content/write/objects/A__c/parentFields must not be empty',
      '/config/content/write/objects/B__c/parentFields must have at most 4 entries',
      '/config/content/write/objects/C__c/parentFields/0 must be an object name: letters, digits and underscores, a letter first',
      '/config/content/write/packing must be one of: none, ready, riders',
    ])
    const twice = { objects: { A__c: { objectName: 'A__c', parentFields: ['P__c', 'p__C'] } } }
    const second = { groupRef: 'g', config: { content: { provider: 'salesforce', write: twice } } }
    expect(issuesOf(await harness.call('POST', installations, { body: second }))).toEqual([
      '/config/content/write/objects/A__c/parentFields/1 is the same field as "P__c"',
    ])
  })

  test('what is wrong with procedures is named, and nothing is kept; what is right is kept as it is', async () => {
    await connect('g3')
    const bodyWith = (procedures: object) => ({
      groupRef: 'g3',
      config: {
        content: {
          provider: 'salesforce',
          write: { objects: { Account: { objectName: 'Account', procedures } } },
        },
      },
    })
    const wrong = { Close: { field: ['Name'], values: { Name: ['x'] }, mode: 'later' } }
    const answer = await harness.call('POST', installations, { body: bodyWith(wrong) })
    expect(answer.statusCode).toBe(400)
    const base = '/config/content/write/objects/Account/procedures/Close'
    expect(issuesOf(answer)).toEqual([
      `${base}/field is not a known field`,
      `${base}/mode must be one of: synchronous, asynchronous`,
      `${base}/values/Name must be text, a number, true, false or null`,
    ])
    expect(await harness.sql`select 1 from installation where group_ref = 'g3'`).toHaveLength(0)
    const right = { Close: { fields: ['Name'], values: { Rating: 'Hot' }, mode: 'asynchronous' } }
    const made = await harness.call('POST', installations, { body: bodyWith(right) })
    expect([made.statusCode, jsonOf(made)]).toMatchObject([201, { config: bodyWith(right).config }])
  })
})

describe('things that are not there', () => {
  test.each([
    '/v1/projects/acme/api-keys/0197a3b2-6b1f-7c52-9a53-0d3f5f2b8c11',
    '/v1/projects/acme/api-keys/nope',
    '/v1/projects/acme/connections/0197a3b2-6b1f-7c52-9a53-0d3f5f2b8c11',
    '/v1/projects/acme/integrations/nope',
    '/v1/projects/acme/integrations/sync/installations/0197a3b2-6b1f-7c52-9a53-0d3f5f2b8c11',
    '/v1/projects/acme/integrations/sync/installations/%00',
    '/v1/projects/%00',
  ])('%s is a 404', async (url) => {
    const answer = await harness.call('GET', url)
    expect([answer.statusCode, jsonOf(answer).code]).toEqual([404, 'NOT_FOUND'])
  })

  test('nor is what no name is long enough for', async () => {
    for (const length of [256, 3000, 4000]) {
      const answer = await harness.call('GET', `/v1/projects/${'x'.repeat(length)}`)
      expect([answer.statusCode, jsonOf(answer).code]).toEqual([404, 'NOT_FOUND'])
    }
  })
})
