import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startService, type Service } from '../support/service.ts'
import {
  createBodyCheck,
  routesOf,
  type BodyCheck,
  type Document,
  type DocumentedRoute,
} from './openapi-document.ts'
import { documentStructure } from './openapi-structure.ts'

let service: Service
let document: Document
let check: BodyCheck
let routes: DocumentedRoute[]

beforeAll(async () => {
  service = await startService()
  document = (await (await fetch(`${service.app.url}/openapi.json`)).json()) as Document
  check = createBodyCheck(document)
  routes = routesOf(document)
})
afterAll(() => service.stop())

/** Every bodies' media type of a route, with where it stands. */
const bodiesOf = ({ name, call }: DocumentedRoute) => [
  ...Object.entries(call.requestBody?.content ?? {}).map(([type, media]) => ({
    at: `${name} ${type}`,
    type,
    media,
  })),
  ...Object.entries(call.responses).flatMap(([status, { content = {} }]) =>
    Object.entries(content).map(([type, media]) => ({ at: `${name} ${status} ${type}`, type, media })),
  ),
]
const complaints = <T>(items: T[], find: (item: T) => string | false | null | undefined): string[] =>
  items.flatMap((item) => find(item) || [])

describe('the document', () => {
  it('has the structure of OpenAPI 3.1', () => {
    const ajv = new Ajv2020({ strict: false, allErrors: true })
    const validate = ajv.compile(documentStructure)
    validate(document)
    const faults = (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`)
    expect(faults).toEqual([])
    expect(validate({ ...document, path: {} })).toBe(false)
  })

  it('has no pointer that leads nowhere', () => {
    const pointers = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, to]) => to!)
    expect(pointers.length).toBeGreaterThan(100)
    const target = (pointer: string): unknown =>
      pointer
        .replace(/^#\//, '')
        .split('/')
        .reduce<unknown>((at, part) => (at as Record<string, unknown> | undefined)?.[part], document)
    expect([...new Set(pointers)].filter((pointer) => target(pointer) === undefined)).toEqual([])
  })

  it('says of every route what it is, by a name of its own', () => {
    const wrong = complaints(routes, ({ name, call }) => {
      if (!/^[a-z][a-zA-Z]+$/.test(call.operationId ?? '')) return `${name}: operationId ${call.operationId}`
      if (!/^[A-Z].*[^.]$/s.test(call.summary ?? '')) return `${name}: summary ${call.summary}`
      if (!/[.:)]$/.test((call.description ?? '').trim())) return `${name}: description ${call.description}`
      if (call.tags?.length !== 1) return `${name}: tags ${String(call.tags)}`
      return null
    })
    expect(wrong).toEqual([])
    const ids = routes.map(({ call }) => call.operationId)
    expect(ids.filter((id, place) => ids.indexOf(id) !== place)).toEqual([])
    const tags = (document.tags ?? []).map(({ name }) => name)
    expect(new Set(routes.flatMap(({ call }) => call.tags))).toEqual(new Set(tags))
    expect((document.tags ?? []).filter(({ description }) => description.length < 20)).toEqual([])
  })

  it('keeps the names by which clients are generated', () => {
    const names = Object.fromEntries(routes.map(({ name, call }) => [name, call.operationId]))
    expect(names).toMatchObject({
      'POST /v1/projects/{project}/integrations/{integration}/objects/{object}': 'write',
      'POST /v1/projects/{project}/integrations/{integration}/writes': 'writeMany',
      'POST /v1/projects/{project}/operations:batchGet': 'getOperations',
      'GET /v1/projects/{project}/operations/{operation}': 'getOperation',
      'POST /v1/projects/{project}/operations/{operation}:promote': 'promoteOperation',
      'GET /v1/projects/{project}/integrations/{integration}/installations/{installationId}/batches':
        'listBatches',
      'GET /v1/projects/{project}/batches/{batch}': 'getBatch',
      'POST /v1/projects/{project}/lanes/{lane}:flush': 'flushLane',
      'POST /v1/projects/{project}/api-keys': 'createApiKey',
    })
  })

  it('describes every parameter, those of the path among them and no others', () => {
    const wrong = complaints(routes, ({ name, path, call }) => {
      const parameters = call.parameters ?? []
      const silent = parameters.find(({ description = '' }) => description.length < 10)
      if (silent !== undefined) return `${name}: nothing is said of ${silent.name}`
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, part]) => part!)
      const described = parameters.filter((one) => one.in === 'path').map((one) => one.name)
      return inPath.sort().join() === described.sort().join() ? null : `${name}: path ${described.join()}`
    })
    expect(wrong).toEqual([])
  })

  it('has schemas that are JSON Schema, and examples that they take', () => {
    const bodies = routes.flatMap(bodiesOf)
    expect(
      complaints(bodies, ({ at, media }) => media.schema === undefined && `${at} has no schema`),
    ).toEqual([])
    const schemas = [
      ...bodies.map(({ at, media }) => ({ at, schema: media.schema! })),
      ...routes.flatMap(({ name, call }) =>
        (call.parameters ?? []).map((one) => ({ at: `${name} ${one.name}`, schema: one.schema })),
      ),
    ]
    expect(
      complaints(schemas, ({ at, schema }) => {
        const fault = check.schemaFaults(schema)
        return fault !== null && `${at}: ${fault}`
      }),
    ).toEqual([])
    const values = bodies.flatMap(({ at, media }) => {
      const shared = Object.entries(media.examples ?? {}).map(([name, example]) => {
        const value =
          '$ref' in example
            ? document.components.examples![example.$ref.split('/').at(-1)!]!.value
            : example.value
        return { at: `${at} ${name}`, schema: media.schema!, value }
      })
      return media.example === undefined ? shared : [{ at, schema: media.schema!, value: media.example }]
    })
    expect(values.length).toBeGreaterThan(100)
    expect(
      complaints(values, ({ at, schema, value }) => {
        const fault = check.faults(schema, value)
        return fault !== null && `${at}: ${fault}: ${JSON.stringify(value)}`
      }),
    ).toEqual([])
  })

  it('has an example of every body that is sent and of every answer', () => {
    const bare = routes
      .flatMap(bodiesOf)
      .filter(({ media }) => media.example === undefined && media.examples === undefined)
    expect(bare.map(({ at }) => at)).toEqual([])
  })

  it('names the errors of every route, and what every route may be refused with', () => {
    const keyed = routes.filter(({ call }) => call.security?.length !== 0)
    expect(keyed.length).toBeGreaterThan(30)
    const wrong = complaints(keyed, ({ name, path, call }) => {
      const missing = ['401', '403', '503', 'default', ...(path.includes('{') ? ['404'] : [])].filter(
        (status) => call.responses[status]?.content?.['application/problem+json'] === undefined,
      )
      return missing.length > 0 && `${name} lacks ${missing.join()}`
    })
    expect(wrong).toEqual([])
    const write = routes.find(({ call }) => call.operationId === 'write')!.call.responses
    expect(Object.keys(write)).toEqual([
      '200',
      '400',
      '401',
      '403',
      '404',
      '409',
      '413',
      '415',
      '422',
      '424',
      '429',
      '502',
      '503',
      '504',
      'default',
    ])
    for (const code of ['OUTCOME_UNKNOWN', 'STILL_TRYING', 'RECORD_BUSY', 'PROVIDER_TIMEOUT'])
      expect(JSON.stringify(write['504'])).toContain(code)
    expect(JSON.stringify(write['502'])).toContain('OUTCOME_UNKNOWN')
    expect(Object.keys(write['429']!.headers ?? {})).toContain('Retry-After')
  })

  it('says what the service itself calls: each notification, its headers, and what answers mean', () => {
    const webhooks = Object.entries(document.webhooks ?? {})
    expect(webhooks.map(([name]) => name)).toEqual([
      'write.async.done',
      'write.async.done.digest',
      'destination.test',
    ])
    for (const [name, { post }] of webhooks) {
      const names = (post?.parameters ?? []).map((one) => [one.name, one.in, one.required])
      expect(names, name).toEqual([
        ['webhook-id', 'header', true],
        ['webhook-timestamp', 'header', true],
        ['webhook-signature', 'header', true],
      ])
      expect(Object.keys(post?.responses ?? {}), name).toEqual(['410', '429', '2XX', 'default'])
      const media = post?.requestBody?.content['application/json']
      expect(check.schemaFaults(media!.schema!), name).toBeNull()
      expect(check.faults(media!.schema!, media!.example), name).toBeNull()
      expect((media!.example as { notificationType: string }).notificationType).toBe(name)
    }
    const ids = [...routes.map(({ call }) => call), ...webhooks.map(([, { post }]) => post!)]
    expect(new Set(ids.map(({ operationId }) => operationId)).size).toBe(ids.length)
  })

  it('is served whole at one address, and says where the service is', async () => {
    const full = document as unknown as { servers: unknown[]; info: Record<string, unknown> }
    expect(full.servers).toHaveLength(1)
    expect(full.info).toMatchObject({ title: 'Writeback', version: 'test', license: { name: 'MIT' } })
    const again = await (await fetch(`${service.app.url}/openapi.json`)).json()
    expect(again).toEqual(document)
  })
})

describe('the page of the document', () => {
  const get = (path: string) => fetch(service.app.url + path, { redirect: 'manual' })
  const filesOf = (html: string) => [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, file]) => file!)

  it('needs no key, and loads nothing but what is served here', async () => {
    const page = await get('/docs')
    expect(page.status).toBe(200)
    const html = await page.text()
    expect(html).toContain('Writeback API')
    const files = filesOf(html)
    expect(files.length).toBeGreaterThan(4)
    for (const file of files) {
      expect(file).toMatch(/^\/docs\/static\//)
      const answer = await get(file)
      expect([file, answer.status]).toEqual([file, 200])
      expect((await answer.arrayBuffer()).byteLength).toBeGreaterThan(50)
    }
    expect(await (await get('/docs/')).text()).toContain('./static/swagger-ui.css')
    expect(await (await get('/docs/json')).json()).toEqual(document)
  })

  it('forbids by its policy whatever it does not need', async () => {
    const page = await get('/docs')
    const policy = page.headers.get('content-security-policy') ?? ''
    expect(policy).toContain("default-src 'none'")
    expect(policy).not.toMatch(/unsafe|https?:|\*/)
    const html = await page.text()
    // What such a policy would keep from working.
    expect(html).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\son\w+=|style="/)
    for (const name of ['swagger-initializer.js', 'index.css'])
      expect(await (await get(`/docs/static/${name}`)).text(), name).not.toMatch(
        /https?:\/\/(?!stackoverflow)/,
      )
  })

  it('leaves the headers of other answers as they are', async () => {
    for (const path of ['/openapi.json', '/healthz', '/v1/projects'])
      expect((await get(path)).headers.get('content-security-policy'), path).toBeNull()
    expect((await fetch(`${service.app.url}/docs`, { method: 'POST' })).status).toBe(405)
    expect((await get('/docs/static/nothing.js')).status).toBe(404)
  })
})
