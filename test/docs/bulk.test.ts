import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Problem } from '../../src/contract/problem.ts'
import { ADMIN_KEY, startService, type Service } from '../support/service.ts'

interface Result {
  operationId?: string
  problem?: Problem
}

const guide = readFileSync(new URL('../../docs/guides/bulk.md', import.meta.url), 'utf8')
const section = guide.split('<!-- bulk:start -->')[1]?.split('<!-- bulk:end -->')[0] ?? ''
const [lines = '', answer = ''] = [...section.matchAll(/```\w*\n(.*?)```/gs)].map((match) => match[1] ?? '')

const resultsOf = (text: string): Result[] =>
  text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Result)

/** What stays the same from call to call. */
const lasting = ({ operationId, problem }: Result): unknown[] => {
  const { requestId, instance, time, ...rest } = problem ?? {}
  return [...[operationId, requestId, instance, time].map((value) => typeof value), rest]
}

let service: Service
beforeAll(async () => {
  service = await startService()
})
afterAll(() => service.stop())

it('the bulk call of the guide is answered as it says', async () => {
  const { projectId, integrationId, groupRef } = service.tenant
  const response = await fetch(
    `${service.app.url}/v1/projects/${projectId}/integrations/${integrationId}/writes`,
    {
      method: 'POST',
      headers: { 'x-api-key': ADMIN_KEY, 'content-type': 'application/x-ndjson' },
      body: lines.replaceAll('customer-42', groupRef),
    },
  )
  expect(response.status).toBe(200)
  const results = resultsOf(await response.text())
  expect(results).toHaveLength(3)
  expect(results.map(lasting)).toEqual(resultsOf(answer).map(lasting))
})
