import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { postInteraction } from '../support/engagement.ts'
import { startService, type Service } from '../support/service.ts'

const guide = readFileSync(new URL('../../docs/guides/engagement-interactions.md', import.meta.url), 'utf8')
const section = guide.split('<!-- engagement:start -->')[1]?.split('<!-- engagement:end -->')[0] ?? ''
const [request, answer] = [...section.matchAll(/```json\n(.*?)```/gs)].map(
  (match) => JSON.parse(match[1] ?? '') as Record<string, unknown>,
)

let service: Service
beforeAll(async () => {
  service = await startService()
})
afterAll(() => service.stop())

/** The same without what differs from one call to the next. */
const lasting = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value), (name, one: unknown) =>
    ['id', 'recordId', 'operationId'].includes(name) ? typeof one : one,
  )

it('the guide shows an interaction as it is answered', async () => {
  const { status, body } = await postInteraction(service.tenant, {
    ...request,
    groupRef: service.tenant.groupRef,
  })
  expect([status, lasting(body)]).toEqual([200, lasting(answer)])
  const made = service.simulator.org.find(
    'EngagementInteraction',
    'ExternalIdentifierId',
    'call-2022-04-17-0815',
  )
  expect(made).toMatchObject([{ Sentiment: 'Positive', sampleLocation__Longitude__s: 17 }])
})
