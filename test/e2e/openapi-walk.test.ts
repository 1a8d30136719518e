import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  createBodyCheck,
  mediaOf,
  routesOf,
  type BodyCheck,
  type Document,
  type DocumentedRoute,
} from '../api/openapi-document.ts'
import { ADMIN_KEY, startService, type Service } from '../support/service.ts'
import { createWorld, samples, type Sample, type World } from './openapi-samples.ts'
import { oneStory } from '../support/one-story.ts'

let service: Service
let world: World
let document: Document
let check: BodyCheck
/** By scopes: a key of the tenant's project that has all the others. */
const keysWithout = new Map<string, string>()

beforeAll(async () => {
  service = await startService()
  world = await createWorld(service)
  document = (await (await fetch(`${service.app.url}/openapi.json`)).json()) as Document
  check = createBodyCheck(document)
  for (const wanted of ['read', 'write', 'admin', 'read,admin', 'read,write']) {
    const scopes = ['read', 'write', 'admin'].filter((scope) => !wanted.split(',').includes(scope))
    const { body } = await world.admin<{ key: string }>('POST', `${world.base}/api-keys`, {
      label: 'x',
      scopes,
    })
    keysWithout.set(wanted, body.key)
  }
})
afterAll(async () => {
  await world.stop()
  await service.stop()
})

interface Given {
  status: number
  type: string
  text: string
}

async function send(
  route: DocumentedRoute,
  sample: Omit<Sample, 'status'>,
  key: string | null,
): Promise<Given> {
  const { path, body, headers = {} } = sample
  const answer = await fetch(service.app.url + path, {
    method: route.method,
    headers: {
      ...(key !== null && { 'x-api-key': key }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  return { status: answer.status, type: answer.headers.get('content-type') ?? '', text: await answer.text() }
}

/** What is wrong with an answer by the document; null when nothing is. */
function faultOf({ call }: DocumentedRoute, { status, type, text }: Given): string | null {
  const described = call.responses[String(status)]
  if (described === undefined) return 'the document does not know this status'
  if (text === '') return described.content === undefined ? null : 'the document promises a body'
  const schema = mediaOf(described, type)?.schema
  if (schema === undefined) return `the document does not know the type ${type}`
  const bodies: unknown[] = type.startsWith('application/x-ndjson')
    ? text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown)
    : [type.includes('json') ? JSON.parse(text) : text]
  return bodies.map((body) => check.faults(schema, body)).find((fault) => fault !== null) ?? null
}

/** One line for an answer that is not as it should be, with what it was. */
function complaint(route: DocumentedRoute, wanted: number, given: Given): string[] {
  const name = `${route.name} (${wanted})`
  if (given.status !== wanted) return [`${name} was answered ${given.status}: ${given.text.slice(0, 400)}`]
  const fault = faultOf(route, given)
  return fault === null ? [] : [`${name}: ${fault}: ${given.text.slice(0, 400)}`]
}

const isOpen = ({ call }: DocumentedRoute): boolean => call.security?.length === 0

/** Samples of one route, each sent once and in order. */
const made = new Map<string, Sample[]>()
async function samplesOf(route: DocumentedRoute): Promise<Sample[]> {
  const known = made.get(route.name)
  if (known !== undefined) return known
  const make = samples[route.name]
  if (make === undefined)
    throw new Error(`There is no sample of ${route.name}: add one to test/e2e/openapi-samples.ts.`)
  const list = await make(world)
  made.set(route.name, list)
  return list
}

/** Runs over every route of the document and gathers what is wrong. */
async function overAll(
  run: (route: DocumentedRoute) => Promise<string[]>,
  routes = routesOf(document),
): Promise<string[]> {
  expect(routes.length).toBeGreaterThan(0)
  const wrong: string[] = []
  for (const route of routes) wrong.push(...(await run(route).catch((error: unknown) => [String(error)])))
  return wrong
}

describe('every route of the document', oneStory, () => {
  it('answers its samples as the document says', async () => {
    const wrong = await overAll(async (route) => {
      const complaints: string[] = []
      const list = await samplesOf(route)
      if (!list.some(({ status }) => status < 300))
        complaints.push(`${route.name} has no sample that succeeds`)
      for (const sample of list)
        complaints.push(...complaint(route, sample.status, await send(route, sample, ADMIN_KEY)))
      return complaints
    })
    expect(wrong).toEqual([])
  }, 60_000)

  it('has its samples all used', () => {
    const names = new Set(routesOf(document).map(({ name }) => name))
    expect(Object.keys(samples).filter((name) => !names.has(name))).toEqual([])
  })

  it('refuses a call without a key and one with a wrong key, unless it asks for none', async () => {
    const wrong = await overAll(async (route) => {
      const [sample] = await samplesOf(route)
      if (sample === undefined) return [`${route.name} has no samples`]
      if (isOpen(route)) return complaint(route, 200, await send(route, sample, null))
      return [
        ...complaint(route, 401, await send(route, sample, null)),
        ...complaint(route, 401, await send(route, sample, 'wrong')),
      ]
    })
    expect(wrong).toEqual([])
  })

  it('refuses a key without the scope that the document names', async () => {
    const wrong = await overAll(
      async (route) => {
        const scope = route.call['x-required-scopes']?.join()
        if (scope === undefined) return [`${route.name}: the document names no scope`]
        const [sample] = await samplesOf(route)
        const key = keysWithout.get(scope === 'operator' ? 'read' : scope)
        if (key === undefined) return [`${route.name}: no key lacks ${scope}`]
        // The path may name another project than the key's: the one that is refused is its own.
        const path = sample!.path.replace(/^\/v1\/projects\/[^/?]+/, world.base)
        const own = scope === 'operator' ? sample!.path : path
        return complaint(route, 403, await send(route, { ...sample!, path: own }, key))
      },
      routesOf(document).filter((route) => !isOpen(route)),
    )
    expect(wrong).toEqual([])
  })

  it('knows no project but those that are there', async () => {
    const wrong = await overAll(
      async (route) => {
        const [sample] = await samplesOf(route)
        const path = sample!.path.replace(/^\/v1\/projects\/[^/?:]+/, '/v1/projects/nowhere')
        return complaint(route, 404, await send(route, { ...sample!, path }, ADMIN_KEY))
      },
      routesOf(document).filter(({ path }) => path.includes('{project}')),
    )
    expect(wrong).toEqual([])
  })

  it('refuses a body that it does not take', async () => {
    const wrong = await overAll(
      async (route) => {
        const [sample] = await samplesOf(route)
        const rest = { path: sample!.path }
        const nonsense = await send(route, { ...rest, body: { nonsense: true } }, ADMIN_KEY)
        const noJson = await send(route, { ...rest, body: '{' }, ADMIN_KEY)
        const headers = { 'content-type': 'text/plain' }
        const plain = await send(route, { ...rest, body: 'x', headers }, ADMIN_KEY)
        // A bulk call takes more than any other (contract section 3).
        const megabytes = route.call.operationId === 'writeMany' ? 33 : 7
        const tooLarge = await send(
          route,
          { ...rest, body: `"${'x'.repeat(megabytes * 1024 * 1024)}"` },
          ADMIN_KEY,
        )
        return [
          ...complaint(route, 400, nonsense),
          ...complaint(route, 400, noJson),
          ...complaint(route, 415, plain),
          ...complaint(route, 413, tooLarge),
        ]
      },
      routesOf(document).filter(({ call }) => call.requestBody !== undefined),
    )
    expect(wrong).toEqual([])
  }, 60_000)

  it('refuses other methods by its default answer', async () => {
    const paths = new Set(routesOf(document).map(({ path }) => path))
    for (const path of ['/healthz', '/v1/projects']) {
      expect(paths).toContain(path)
      const answer = await fetch(service.app.url + path, { method: 'PUT' })
      expect(answer.status).toBe(405)
      const { responses } = Object.values(document.paths[path]!)[0]!
      const schema = mediaOf(responses['default'], answer.headers.get('content-type') ?? '')!.schema!
      expect(check.faults(schema, await answer.json())).toBeNull()
    }
  })
})
