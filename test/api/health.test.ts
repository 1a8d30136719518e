import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { DatabaseLook } from '../../src/api/health.ts'
import { createServer } from '../../src/api/server.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import { jsonOf, startHarness, type Harness } from './harness.ts'

let harness: Harness
let ping: () => Promise<unknown> = () => Promise.resolve()
const wellLook: DatabaseLook = { missingMigrations: [], workers: { alive: 1, lastSeenAt: null } }
let looking = wellLook
beforeAll(async () => {
  harness = await startHarness({ ping: () => ping(), look: () => looking })
})
beforeEach(() => {
  looking = wellLook
  ping = () => Promise.resolve()
})
afterAll(() => harness.close())

describe('health', () => {
  test('needs no key', async () => {
    for (const url of ['/healthz', '/readyz', '/metrics', '/openapi.json'])
      expect((await harness.call('GET', url, { key: null })).statusCode).toBe(200)
  })

  test('readiness follows the database, liveness does not', async () => {
    ping = () => Promise.reject(new Error('password authentication failed for user "secret"'))
    const answer = await harness.call('GET', '/readyz')
    expect([answer.statusCode, answer.headers['retry-after']]).toEqual([503, '2'])
    expect(answer.body).not.toContain('secret')
    expect((await harness.call('GET', '/healthz')).statusCode).toBe(200)
    ping = () => Promise.resolve()
    expect((await harness.call('GET', '/readyz')).statusCode).toBe(200)
  })

  test('readiness tells whether any worker lives, and stays ready without one', async () => {
    const answer = async (look: DatabaseLook) => {
      looking = look
      const { statusCode, body } = await harness.call('GET', '/readyz', { key: null })
      return [statusCode, JSON.parse(body)] as unknown
    }
    const seen = { missingMigrations: [], workers: { alive: 2, lastSeenAt: new Date(0) } }
    expect(await answer(seen)).toEqual([
      200,
      {
        status: 'ready',
        migrations: 'applied',
        workers: { status: 'seen', alive: 2, lastSeenTime: '1970-01-01T00:00:00.000Z' },
      },
    ])
    const none = { missingMigrations: [], workers: { alive: 0, lastSeenAt: null } }
    expect(await answer(none)).toEqual([
      200,
      { status: 'ready', migrations: 'applied', workers: { status: 'missing', alive: 0 } },
    ])
  })

  test('a database that lacks a migration is not ready, and its name is told', async () => {
    looking = { missingMigrations: ['0099_later'], workers: { alive: 1, lastSeenAt: null } }
    const answer = await harness.call('GET', '/readyz', { key: null })
    expect(answer.statusCode).toBe(503)
    expect(jsonOf(answer)['detail']).toBe('The database lacks migrations: 0099_later.')
  })

  test('a database that does not answer is not waited for', async () => {
    ping = () => new Promise(() => undefined)
    expect((await harness.call('GET', '/readyz')).statusCode).toBe(503)
  })

  test('metrics are Prometheus text', async () => {
    const answer = await harness.call('GET', '/metrics')
    expect(answer.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8')
    expect(answer.body).toBe('up 1\n')
  })

  test('the document asks for no key on them, as the service does, and knows that readiness may be refused', async () => {
    interface Route {
      security?: unknown[]
      responses: Record<string, { content?: Record<string, unknown> }>
    }
    const document = jsonOf(await harness.call('GET', '/openapi.json', { key: null })) as unknown as {
      security: unknown[]
      paths: Record<string, Record<string, Route>>
    }
    expect(document.security).toHaveLength(2)
    const open = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.values(methods).some(({ security }) => security !== undefined) ? path : [],
    )
    expect(open.sort()).toEqual(['/healthz', '/metrics', '/readyz'])
    for (const path of open) expect(document.paths[path]!['get']!.security).toEqual([])
    const { responses } = document.paths['/readyz']!['get']!
    expect(Object.keys(responses)).toEqual(['200', '503', 'default'])
    expect(Object.keys(responses['503']!.content!)).toEqual(['application/problem+json'])
    expect(Object.keys(document.paths['/metrics']!['get']!.responses['200']!.content!)).toEqual([
      'text/plain',
    ])
  })

  test('a worker serves its health and nothing else', async () => {
    const worker = createServer({
      logger: silentLogger,
      health: {
        look: () => Promise.resolve(wellLook),
        metricsText: () => '',
      },
      isDatabaseUnavailable: () => false,
      api: null,
      version: '0.0.0',
    })
    const statuses = await Promise.all(
      ['/healthz', '/readyz', '/metrics', '/v1/projects', '/openapi.json'].map(
        async (url) => (await worker.inject(url)).statusCode,
      ),
    )
    expect(statuses).toEqual([200, 200, 200, 404, 404])
    await worker.close()
  })
})

describe('OpenAPI', () => {
  test('is 3.1 and describes every route with its body and its errors', async () => {
    const document = jsonOf(await harness.call('GET', '/openapi.json')) as {
      openapi: string
      components: { schemas: Record<string, unknown> }
      paths: Record<string, Record<string, { requestBody?: unknown; responses: Record<string, unknown> }>>
    }
    expect(document.openapi).toBe('3.1.0')
    const calls = Object.entries(document.paths).flatMap(([path, of]) =>
      Object.keys(of).map((m) => `${m} ${path}`),
    )
    expect(calls.sort()).toEqual([
      'delete /v1/projects/{project}',
      'delete /v1/projects/{project}/api-keys/{id}',
      'delete /v1/projects/{project}/connections/{id}',
      'delete /v1/projects/{project}/integrations/{integration}',
      'delete /v1/projects/{project}/integrations/{integration}/installations/{installationId}',
      'get /healthz',
      'get /metrics',
      'get /readyz',
      'get /v1/projects',
      'get /v1/projects/{project}',
      'get /v1/projects/{project}/api-keys',
      'get /v1/projects/{project}/api-keys/{id}',
      'get /v1/projects/{project}/connections',
      'get /v1/projects/{project}/connections/{id}',
      'get /v1/projects/{project}/integrations',
      'get /v1/projects/{project}/integrations/{integration}',
      'get /v1/projects/{project}/integrations/{integration}/installations',
      'get /v1/projects/{project}/integrations/{integration}/installations/{installationId}',
      'patch /v1/projects/{project}',
      'patch /v1/projects/{project}/api-keys/{id}',
      'patch /v1/projects/{project}/connections/{id}',
      'patch /v1/projects/{project}/integrations/{integration}',
      'patch /v1/projects/{project}/integrations/{integration}/installations/{installationId}',
      'post /v1/projects',
      'post /v1/projects/{project}/api-keys',
      'post /v1/projects/{project}/connections',
      'post /v1/projects/{project}/integrations',
      'post /v1/projects/{project}/integrations/{integration}/installations',
    ])
    expect(Object.keys(document.components.schemas)).toEqual(['Problem'])
    expect(JSON.stringify(document.paths)).toContain('"$ref":"#/components/schemas/Problem"')
    for (const [path, of] of Object.entries(document.paths).filter(([path]) => path.startsWith('/v1')))
      for (const [method, call] of Object.entries(of)) {
        const success = { get: '200', patch: '200', post: '201', delete: '204' }[method]
        expect(
          Object.keys(call.responses).filter((status) => !/^[45]/.test(status)),
          path,
        ).toEqual([success, 'default'])
        expect(call.requestBody !== undefined, path).toBe(method === 'post' || method === 'patch')
      }
  })
})
