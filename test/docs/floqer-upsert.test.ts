import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { FloqerUpserted } from '../../src/contract/floqer.ts'
import { startService, type Service } from '../support/service.ts'

const guide = readFileSync(new URL('../../docs/guides/floqer.md', import.meta.url), 'utf8')
const section = guide.split('<!-- upsert:start -->')[1]?.split('<!-- upsert:end -->')[0] ?? ''
const [request, answer] = [...section.matchAll(/```json\n(.*?)```/gs)].map(
  (match) => JSON.parse(match[1] ?? '') as Record<string, unknown>,
)

let service: Service
beforeAll(async () => {
  service = await startService()
})
afterAll(() => service.stop())

it('the guide shows Floqer’s upsert as it is answered', async () => {
  const { tenant, simulator } = service
  const path = `/v1/projects/${tenant.projectId}/integrations/${tenant.integrationId}/actions/salesforce_upsert_record`
  const call = { ...request, groupRef: tenant.groupRef }
  const { status, body } = await tenant.call<FloqerUpserted>('POST', path, call)
  const id = body.record_id
  expect(simulator.org.record(id)).toMatchObject({ Name: 'Acme', Website: 'acme.example' })
  // The page of the guide's record, on this org.
  const page = String(answer!['account_url']).replace(/^https:\/\/[^/]+/, simulator.url)
  const account_url = page.replace(String(answer!['record_id']), id)
  expect([status, body]).toEqual([200, { ...answer, record_id: id, account_url }])
})
