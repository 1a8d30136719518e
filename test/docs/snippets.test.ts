import { existsSync, globSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Problem } from '../../src/contract/problem.ts'
import { startService, type Service } from '../support/service.ts'

const root = resolve(import.meta.dirname, '../..')

interface Snippet {
  page: string
  /** Its place among the snippets of the page. */
  place: number
  language: string
  code: string
}

const snippetsOf = (page: string): Snippet[] =>
  [...readFileSync(resolve(root, page), 'utf8').matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(
    ([, language = '', code = ''], place) => ({ page, place, language, code }),
  )
const snippets = ['README.md', ...globSync('docs/**/*.md', { cwd: root })].flatMap(snippetsOf)

/** Tests of their own, which run what a page or one of its snippets shows. */
const elsewhere: Record<string, string> = {
  'README.md#0': 'test/demo/run.test.ts',
  'README.md#1': 'test/demo/summary.test.ts',
  'README.md#2': 'test/demo/run.test.ts',
  'README.md#4': 'test/cli/commands.test.ts',
  'docs/reference/cli.md': 'test/cli/help.test.ts',
  'docs/guides/client.md': 'test/client/guide.test.ts',
  'docs/guides/first-write.md': 'test/docs/first-write.test.ts',
  'docs/guides/bulk.md': 'test/docs/bulk.test.ts',
  'docs/guides/floqer.md': 'test/docs/reads.test.ts',
  'docs/guides/floqer.md#0': 'test/docs/floqer-upsert.test.ts',
  'docs/guides/floqer.md#1': 'test/docs/floqer-upsert.test.ts',
  'docs/guides/callers.md': 'test/docs/reads.test.ts',
  'docs/guides/records.md': 'test/docs/records.test.ts',
  'docs/guides/engagement-interactions.md': 'test/docs/engagement.test.ts',
  'docs/guides/connecting-an-org.md': 'test/docs/connecting.test.ts',
  'docs/guides/setting-up.md': 'test/docs/object-entry.test.ts',
  'docs/guides/notifications.md': 'test/notify/guide.test.ts',
  'docs/guides/upgrading.md': 'test/docs/upgrading.test.ts',
  'docs/reference/metrics.md': 'test/metrics/documents.test.ts',
  'docs/performance.md': 'test/docs/bench.test.ts',
  // With a container engine (npm run test:containers).
  'docs/guides/production.md': 'test/docs/compose.test.ts',
}

let service: Service
beforeAll(async () => {
  service = await startService()
})
afterAll(() => service.stop())

const snippet = (page: string, place: number): Snippet => {
  const found = snippets.find((one) => one.page === page && one.place === place)
  if (found === undefined) throw new Error(`${page} has no snippet ${place}`)
  return found
}

/** What a value is made of: the same for two that differ only in texts and numbers. */
const shapeOf = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(shapeOf)
  if (typeof value !== 'object' || value === null) return typeof value
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, shapeOf(one)]))
}

const here: Record<string, (code: string) => Promise<void>> = {
  'README.md#3': async (code) => {
    const [head = '', text = ''] = code.split('\n\n')
    expect(head.split('\n')[0]).toMatch(/^POST \/v1\/projects\/\w+\/integrations\/\w+\/objects\/Contact$/)
    const body = JSON.parse(text) as Record<string, unknown>
    const answer = await service.tenant.post('Contact', { ...body, groupRef: service.tenant.groupRef })
    expect(answer).toMatchObject({ status: 200, body: { operationId: expect.any(String) as string } })
  },
  'docs/guides/synchronous-calls.md#0': async (code) => {
    const { groupRef } = service.tenant
    const answer = await service.tenant.post('Contact', {
      groupRef,
      type: 'create',
      record: { LastName: 'Ngata' },
    })
    expect(shapeOf(answer.body)).toEqual(shapeOf(JSON.parse(code)))
  },
  'docs/reference/errors.md#0': async (code) => {
    const { groupRef } = service.tenant
    const wrong = { groupRef, type: 'create', mode: 'asynchronous', record: { LastName: 'x' } }
    const answer = await service.tenant.post('Contact', {
      ...wrong,
      nme: 1,
      autoBatchPolicy: { maxRecords: 5 },
    })
    const shown = JSON.parse(code) as Problem
    const { instance, requestId, time, ...lasting } = answer.body as Problem
    expect({ ...lasting, instance: typeof instance, requestId: typeof requestId, time: typeof time }).toEqual(
      {
        ...shown,
        instance: 'string',
        requestId: 'string',
        time: 'string',
      },
    )
  },
  'docs/reference/errors.md#1': async (code) => {
    const id = await service.tenant.write('Contact', { type: 'create', record: { FirstName: 'Ada' } })
    const operation = await service.tenant.operation(id)
    expect(operation.metadata.records[0]).toEqual(JSON.parse(code))
  },
}

describe('every snippet of the documentation', () => {
  it('is run by a test', () => {
    const unknown = snippets.filter(({ page, place }) => {
      const name = `${page}#${place}`
      return here[name] === undefined && !existsSync(resolve(root, elsewhere[name] ?? elsewhere[page] ?? '-'))
    })
    expect(unknown.map(({ page, place }) => `${page}#${place}`)).toEqual([])
  })

  it.each(Object.keys(here).map((name) => [name]))('%s is as it is', async (name) => {
    const [page = '', place = ''] = name.split('#')
    await here[name]?.(snippet(page, Number(place)).code)
  })

  it('of JSON can be read', () => {
    const texts = snippets.filter(
      ({ page, language }) => language === 'json' && page !== 'docs/guides/bulk.md',
    )
    expect(texts.length).toBeGreaterThan(3)
    for (const { code } of texts) expect(() => void JSON.parse(code)).not.toThrow()
  })
})
