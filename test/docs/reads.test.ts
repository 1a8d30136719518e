import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ADMIN_KEY, startService, type Service } from '../support/service.ts'

/** The requests of a marked section of a guide, each with the answer that it shows. */
function examplesOf(page: string, section: string): { path: string; body: string; answer: string }[] {
  const guide = readFileSync(new URL(`../../docs/guides/${page}.md`, import.meta.url), 'utf8')
  const text = guide.split(`<!-- ${section}:start -->`)[1]?.split(`<!-- ${section}:end -->`)[0] ?? ''
  const blocks = [...text.matchAll(/```\w*\n(.*?)```/gs)].map((match) => match[1] ?? '')
  const examples = Array.from({ length: blocks.length / 2 }, (_, index) => {
    const [head = '', body = ''] = (blocks[2 * index] ?? '').split('\n\n')
    return { path: head.replace('POST ', '').trim(), body, answer: blocks[2 * index + 1] ?? '' }
  })
  if (examples.length === 0) throw new Error(`${page} shows nothing between ${section}:start and its end`)
  return examples
}

const shapeOf = (value: unknown): unknown => {
  // Of a list the first element is shown.
  if (Array.isArray(value)) return value.slice(0, 1).map(shapeOf)
  if (typeof value !== 'object' || value === null) return value === null ? null : typeof value
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, shapeOf(one)]))
}

let service: Service
let account: string
beforeAll(async () => {
  service = await startService()
  const { org } = service.simulator
  account = org.create('Account', { Name: 'Before' })
  org.create('Contact', { FirstName: 'Ada', LastName: 'Ngata', Email: 'ngata@example.com' })
})
afterAll(() => service.stop())

/** Sends an example to the service under test. */
async function send({
  path,
  body,
}: {
  path: string
  body: string
}): Promise<{ status: number; body: unknown }> {
  const { projectId, integrationId, groupRef } = service.tenant
  const own = path.replace(
    'projects/acme/integrations/crm',
    `projects/${projectId}/integrations/${integrationId}`,
  )
  expect(own).toContain(projectId)
  const response = await fetch(service.app.url + own, {
    method: 'POST',
    headers: { 'x-api-key': ADMIN_KEY, 'content-type': 'application/json' },
    body: body.replaceAll('customer-42', groupRef).replaceAll('001RM000003oLruYAE', account),
  })
  return { status: response.status, body: await response.json() }
}

it.each([
  ['floqer', 'options', 3],
  ['callers', 'writes', 4],
  ['callers', 'reads', 1],
  ['callers', 'custom', 1],
])('the calls of the guide %s in its section %s are answered as it says', async (page, section, count) => {
  const examples = examplesOf(page, section)
  expect(examples).toHaveLength(count)
  for (const example of examples) {
    const answer = await send(example)
    expect(answer.status).toBe(200)
    expect(shapeOf(answer.body)).toEqual(shapeOf(JSON.parse(example.answer)))
    if (section === 'options') {
      const { options } = answer.body as { options: unknown[] }
      expect(options).toContainEqual((JSON.parse(example.answer) as { options: unknown[] }).options[0])
    }
  }
})
