import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startRecords, type RecordsService } from '../e2e/records-calls.ts'

const guide = readFileSync(new URL('../../docs/guides/records.md', import.meta.url), 'utf8')
const textsOf = (part: string): string[] => {
  const section = guide.split(`<!-- ${part}:start -->`)[1]?.split(`<!-- ${part}:end -->`)[0] ?? ''
  return [...section.matchAll(/```json\n(.*?)```/gs)].map((match) => match[1] ?? '')
}

let service: RecordsService
/** The snippets of a part, with ids of records that are there. */
let shownIn: (part: string) => Record<string, unknown>[]

beforeAll(async () => {
  service = await startRecords(JSON.parse(textsOf('records')[0] ?? '') as Record<string, unknown>)
  const { org } = service.simulator
  const deal = org.create('Opportunity', { Name: 'Deal' })
  const ids = {
    '006RM000004aBCDYA2': deal,
    '0Q0RM00000045670AA': org.create('Quote', {
      Name: '12 seats',
      TotalAmount: 1450.5,
      OpportunityId: deal,
    }),
    'customer-42': service.tenant.groupRef,
  }
  shownIn = (part) =>
    textsOf(part).map((text) => {
      const real = Object.entries(ids).reduce((so, [id, made]) => so.replaceAll(id, made), text)
      return JSON.parse(real) as Record<string, unknown>
    })
})
afterAll(() => service.stop())

it('the guide shows a call of the records as it is answered', async () => {
  const [, request, answer, refusal] = shownIn('records')
  const { status, body } = await service.post(request!)
  expect([status, body]).toEqual([200, { ...answer, operationId: expect.any(String) as string }])
  const [record] = body.records
  expect(service.simulator.org.record(record!.id as string)).toMatchObject({ StageName: 'Negotiation' })
  const wrong = await service.post({ ...request, records: [withAmount(request!)] })
  expect([wrong.status, wrong.body]).toEqual([400, refusal])
})

it('the guide shows a query as it is answered', async () => {
  const [request, answer, refusal] = shownIn('query')
  const { tenant, path } = service
  const ask = async (body: unknown) => {
    const { status, body: told } = await tenant.call('POST', path.replace(/records$/, 'query'), body)
    return [status, told]
  }
  expect(await ask(request)).toEqual([200, answer])
  expect(await ask({ ...request, query: 'DELETE FROM Quote' })).toEqual([400, refusal])
})

const withAmount = ({ records }: Record<string, unknown>): object => {
  const [record] = records as [{ fields: object }]
  return { ...record, fields: { ...record.fields, Amount: '5' } }
}
