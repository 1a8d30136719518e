import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createTenant, startService, type Service } from '../support/service.ts'

const guide = readFileSync(new URL('../../docs/guides/setting-up.md', import.meta.url), 'utf8')
const section = guide.split('<!-- object-entry:start -->')[1]?.split('<!-- object-entry:end -->')[0] ?? ''
const [objects, body, sent] = [...section.matchAll(/```json\n(.*?)```/gs)].map(
  (match) => JSON.parse(match[1] ?? '') as Record<string, unknown>,
)

let service: Service

beforeAll(async () => {
  service = await startService()
})
afterAll(() => service.stop())

it('the guide shows what an installation makes of a write as it is', async () => {
  const tenant = await createTenant(service.app.url, service.simulator.url, objects)
  const id = await tenant.write('person', { ...body, groupRef: tenant.groupRef })
  const operation = await tenant.operation(id)
  expect(operation).toMatchObject({ status: 'success', metadata: { state: 'succeeded' } })

  const record = service.simulator.org.record(operation.metadata.successfulRecordIds[0] ?? '')
  expect(record).toMatchObject({ ...sent, Write_Id__c: id, Email: null })
  expect(sent).toMatchObject({ Write_Id__c: 'OPERATION_ID' })
  const calls = service.simulator.org.requests.list((entry) => entry.objects.includes('Contact'))
  expect(calls.map((entry) => entry.headers['sforce-auto-assign'])).toEqual(['FALSE'])
})
