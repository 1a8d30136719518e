import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startRecords, type RecordsService } from '../e2e/records-calls.ts'

const guide = readFileSync(new URL('../../docs/guides/records.md', import.meta.url), 'utf8')
const section = guide.split('<!-- records:start -->')[1]?.split('<!-- records:end -->')[0] ?? ''
const texts = [...section.matchAll(/```json\n(.*?)```/gs)].map((match) => match[1] ?? '')

let service: RecordsService
/** The snippets, with ids of records that are there. */
let shown: Record<string, unknown>[]

beforeAll(async () => {
  service = await startRecords(JSON.parse(texts[0] ?? '') as Record<string, unknown>)
  const { org } = service.simulator
  const ids = {
    '006RM000004aBCDYA2': org.create('Opportunity', { Name: 'Deal' }),
    '0Q0RM00000045670AA': org.create('Quote', { Name: 'Q-1' }),
    'customer-42': service.tenant.groupRef,
  }
  shown = texts.map((text) => {
    const real = Object.entries(ids).reduce((so, [id, made]) => so.replaceAll(id, made), text)
    return JSON.parse(real) as Record<string, unknown>
  })
})
afterAll(() => service.stop())

it('the guide shows a call of the records as it is answered', async () => {
  const [, request, answer, refusal] = shown
  const { status, body } = await service.post(request!)
  expect([status, body]).toEqual([200, { ...answer, operationId: expect.any(String) as string }])
  const [record] = body.records
  expect(service.simulator.org.record(record!.id as string)).toMatchObject({ StageName: 'Negotiation' })
  const wrong = await service.post({ ...request, records: [withAmount(request!)] })
  expect([wrong.status, wrong.body]).toEqual([400, refusal])
})

const withAmount = ({ records }: Record<string, unknown>): object => {
  const [record] = records as [{ fields: object }]
  return { ...record, fields: { ...record.fields, Amount: '5' } }
}
