import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { integrationOf, projectOf, requireScope } from '../../src/api/auth.ts'
import { ADMIN_KEY, jsonOf, startHarness, type Harness } from './harness.ts'

let harness: Harness
const keys: Record<string, string> = {}
let acme: string
let other: string

const makeKey = async (project: string, ...scopes: string[]): Promise<string> => {
  const answer = await harness.call('POST', `/v1/projects/${project}/api-keys`, {
    body: { label: 'k', scopes },
  })
  return String(jsonOf(answer).key)
}

beforeAll(async () => {
  harness = await startHarness({
    routes: [
      (app) => {
        app.post('/projects/:project/write-probe', { onRequest: requireScope('write') }, (request) =>
          Promise.resolve({ project: projectOf(request).id }),
        )
        app.get(
          '/projects/:project/integrations/:integration/probe',
          { onRequest: requireScope('write', 'read') },
          (request) => Promise.resolve({ integration: integrationOf(request) }),
        )
        return Promise.resolve()
      },
    ],
  })
  const make = async (name: string) =>
    String(jsonOf(await harness.call('POST', '/v1/projects', { body: { name } })).id)
  acme = await make('acme')
  other = await make('other')
  for (const scope of ['write', 'read', 'admin']) keys[scope] = await makeKey('acme', scope)
  keys.foreign = await makeKey('other', 'write', 'read', 'admin')
  await harness.call('POST', '/v1/projects/acme/integrations', {
    body: { name: 'sync', provider: 'salesforce' },
  })
})
afterAll(() => harness.close())

const keyFor = (who: string): string | null =>
  who === 'none'
    ? null
    : who === 'wrong'
      ? `wb_${'A'.repeat(43)}`
      : who === 'operator'
        ? ADMIN_KEY
        : (keys[who] ?? '')

describe('who may do what', () => {
  const newProject = ['POST', '/v1/projects', { name: 'one more' }] as const
  const listProjects = ['GET', '/v1/projects', undefined] as const
  const getProject = ['GET', '/v1/projects/acme', undefined] as const
  const listKeys = ['GET', '/v1/projects/acme/api-keys', undefined] as const
  const newKey = ['POST', '/v1/projects/acme/api-keys', { label: 'k', scopes: ['read'] }] as const
  const write = ['POST', '/v1/projects/acme/write-probe', {}] as const

  test.each([
    [newProject, { none: 401, wrong: 401, write: 403, read: 403, admin: 403, foreign: 403, operator: 201 }],
    [listProjects, { none: 401, wrong: 401, write: 403, read: 403, admin: 403, foreign: 403, operator: 200 }],
    [getProject, { none: 401, wrong: 401, write: 403, read: 200, admin: 200, foreign: 404, operator: 200 }],
    [listKeys, { none: 401, wrong: 401, write: 403, read: 200, admin: 200, foreign: 404, operator: 200 }],
    [newKey, { none: 401, wrong: 401, write: 403, read: 403, admin: 201, foreign: 404, operator: 201 }],
    [write, { none: 401, wrong: 401, write: 200, read: 403, admin: 403, foreign: 404, operator: 200 }],
  ])('%j', async ([method, url, body], expected) => {
    const found: Record<string, number> = {}
    for (const who of Object.keys(expected)) {
      const answer = await harness.call(method, url, { key: keyFor(who), body })
      found[who] = answer.statusCode
    }
    expect(found).toEqual(expected)
  })

  test('another project is answered exactly like one that is not there', async () => {
    const strip = (text: string, name: string) => {
      const { requestId, instance, time, ...rest } = JSON.parse(text) as Record<string, unknown>
      expect([requestId, instance, time].every((value) => typeof value === 'string')).toBe(true)
      return JSON.stringify(rest).replaceAll(name, 'NAME')
    }
    for (const rest of ['', '/api-keys', '/connections', '/integrations/sync', '/integrations/nope']) {
      const theirs = await harness.call('GET', `/v1/projects/other${rest}`, { key: keyFor('read') })
      const nobodys = await harness.call('GET', `/v1/projects/nobody${rest}`, { key: keyFor('read') })
      const byId = await harness.call('GET', `/v1/projects/${other}${rest}`, { key: keyFor('read') })
      expect([theirs.statusCode, nobodys.statusCode, byId.statusCode]).toEqual([404, 404, 404])
      const expected = strip(nobodys.body, 'nobody')
      expect(strip(theirs.body, 'other')).toBe(expected)
      expect(strip(byId.body, other)).toBe(expected)
      expect(Object.keys(theirs.headers).sort()).toEqual(Object.keys(nobodys.headers).sort())
    }
  })

  test('a key is taken from either header, and the scheme in any case', async () => {
    for (const headers of [
      { authorization: `Bearer ${String(keys.read)}` },
      { authorization: `bearer  ${String(keys.read)}` },
      { 'x-api-key': String(keys.read) },
      { 'X-API-KEY': String(keys.read), authorization: 'Basic Zm9vOmJhcg==' },
    ]) {
      const answer = await harness.call('GET', '/v1/projects/acme', { key: null, headers })
      expect(answer.statusCode, JSON.stringify(Object.keys(headers))).toBe(200)
    }
    for (const authorization of [`Basic ${String(keys.read)}`, 'Bearer', String(keys.read)]) {
      const answer = await harness.call('GET', '/v1/projects/acme', { key: null, headers: { authorization } })
      expect(answer.statusCode).toBe(401)
      expect(answer.headers['www-authenticate']).toBe('Bearer')
    }
  })

  test('refuses before it reads the body', async () => {
    const answer = await harness.call('POST', '/v1/projects/acme/api-keys', { key: null, body: '{ not json' })
    expect(answer.statusCode).toBe(401)
  })

  test('project and integration are named by id or name', async () => {
    const byName = await harness.call('GET', '/v1/projects/acme/integrations/sync/probe', {
      key: keyFor('read'),
    })
    const { integration } = byName.json<{ integration: { id: string; projectId: string } }>()
    expect(integration).toMatchObject({ projectId: acme, name: 'sync', provider: 'salesforce' })
    const byId = await harness.call('GET', `/v1/projects/${acme}/integrations/${integration.id}/probe`)
    expect(byId.json()).toEqual(byName.json())
    const missing = await harness.call('GET', `/v1/projects/${acme}/integrations/nope/probe`)
    expect(missing.statusCode).toBe(404)
  })
})
