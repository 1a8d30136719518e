import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { caller, concurrently, startService, type Service } from '../support/service.ts'
import { startCapturingOrg, type CapturingOrg } from './capturing-org.ts'
import { dangerousNames, oddText, print, toNode, type Node } from './json-text.ts'

let service: Service
let org: CapturingOrg

beforeAll(async () => {
  service = await startService()
  org = await startCapturingOrg()
  const { projectId, connectionId } = service.tenant
  const credentials = { type: 'access-token', accessToken: 'session', instanceUrl: org.url }
  const path = `/v1/projects/${projectId}/connections/${connectionId}`
  expect((await caller(service.app.url)('PATCH', path, { credentials })).status).toBe(200)
})
afterAll(async () => {
  await service.stop()
  await org.close()
})

const nameOf = fc.oneof(
  { weight: 3, arbitrary: fc.stringMatching(/^[A-Za-z]\w{0,12}$/) },
  { weight: 2, arbitrary: fc.constantFrom(...dangerousNames) },
  { weight: 1, arbitrary: oddText },
)
const valueOf: fc.Arbitrary<Node> = fc.oneof(
  { weight: 3, arbitrary: oddText },
  { weight: 3, arbitrary: fc.jsonValue({ maxDepth: 3 }).map(toNode) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('12345678901234567890', '1e2', '0.10', '1e400').map((raw) => ({ raw })),
  },
)
const sample = fc.record({
  members: fc.array(fc.tuple(nameOf, valueOf), { maxLength: 6 }),
  type: fc.constantFrom('create', 'update', 'upsert'),
  mode: fc.constantFrom('synchronous', 'asynchronous'),
})

let markers = 0

/** Numbers that no double holds. */
const tooLong = ['12345678901234567890', '1e400']
const isChanged = (members: [string, Node][]): boolean =>
  new Set(members.map(([name]) => name)).size < members.length ||
  members.some(
    ([, value]) =>
      typeof value === 'object' && value !== null && 'raw' in value && tooLong.includes(value.raw),
  )

interface Sent {
  mark: string
  status: number
  body: { operationId?: string; issues?: { path: string; message: string }[] }
  /** The record as it was sent. */
  text: string
  /** Whether reading it as JSON changes it. */
  isChanged: boolean
}

async function send({
  members,
  type,
  mode,
}: {
  members: [string, Node][]
  type: string
  mode: string
}): Promise<Sent> {
  markers += 1
  const mark = `mark-${markers}`
  const own: [string, Node][] = type === 'update' ? [['id', `003RM${String(markers).padStart(10, '0')}`]] : []
  const record: { members: [string, Node][] } = { members: [...own, ['Mark__c', mark], ...members] }
  const { tenant, app } = service
  const text = print(record)
  const key = type === 'upsert' ? ',"externalIdField":"Mark__c"' : ''
  const answer = await caller(app.url)<Sent['body']>(
    'POST',
    `/v1/projects/${tenant.projectId}/integrations/${tenant.integrationId}/objects/Contact`,
    `{"groupRef":${JSON.stringify(tenant.groupRef)},"type":"${type}","mode":"${mode}"${key},"record":${text}}`,
  )
  if (answer.status === 200 && mode === 'asynchronous')
    expect((await tenant.operation(answer.body.operationId!)).metadata.state).toBe('succeeded')
  return { mark, status: answer.status, body: answer.body, text, isChanged: isChanged(record.members) }
}

/** A record's text with its members in the order that reading and writing it gives; ids in their long form. */
const canonical = (text: string): string => {
  const { id, ...rest } = JSON.parse(text) as Record<string, unknown>
  const fields = Object.entries(JSON.parse(text) as object).filter(([name]) => name !== 'id')
  expect(Object.keys(rest).length).toBe(fields.length)
  return JSON.stringify([typeof id === 'string' ? id.slice(0, 15) : id, fields])
}

it('a record reaches the org as it was sent, or is refused by name', async () => {
  let taken = 0
  await fc.assert(
    fc.asyncProperty(fc.array(sample, { minLength: 20, maxLength: 20 }), async (samples) => {
      for (const { mark, status, body, text, isChanged } of await concurrently(samples, 10, send)) {
        const arrived = org.records.filter((record) => record.includes(`"${mark}"`))
        if (isChanged) expect([status, text]).toEqual([400, text])
        if (status === 200) {
          taken += 1
          expect(arrived.map(canonical)).toEqual([canonical(text)])
        } else {
          expect([status, arrived]).toEqual([400, []])
          expect(body.issues?.length, text).toBeGreaterThan(0)
          for (const issue of body.issues!) expect(issue.path, text).toMatch(/^\/record\//)
        }
      }
      org.records.length = 0
    }),
    { numRuns: 20, endOnFailure: true },
  )
  expect(taken).toBeGreaterThan(50)
}, 120_000)
