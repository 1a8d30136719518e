import { afterAll, beforeAll, expect, it } from 'vitest'
import { createBodyCheck, type Document, type Schema } from '../api/openapi-document.ts'
import { startReceiver, type Received, type Receiver } from '../notify/receiver.ts'
import { makeDestination, type Made } from '../notify/set-up.ts'
import { caller, startService, type Service } from '../support/service.ts'

let service: Service
let document: Document
let single: Receiver
let digest: Receiver
let made: Made

beforeAll(async () => {
  service = await startService()
  ;[single, digest] = await Promise.all([startReceiver(), startReceiver()])
  document = (await (await fetch(`${service.app.url}/openapi.json`)).json()) as Document
  const { app, tenant } = service
  made = await makeDestination(app.url, tenant, single.url)
  await makeDestination(app.url, tenant, digest.url, { maxRecords: 4, maxDelaySeconds: 60 })
})
afterAll(async () => {
  await service.stop()
  await Promise.all([single.close(), digest.close()])
})

/** A schema that takes nothing that it does not name. */
const exact = (schema: Schema): Schema => ({
  ...schema,
  ...(schema.items !== undefined && { items: exact(schema.items) }),
  ...(schema.properties !== undefined && {
    additionalProperties: false,
    properties: Object.fromEntries(
      Object.entries(schema.properties).map(([name, member]) => [name, exact(member)]),
    ),
  }),
})

/** What is wrong with a message by what the document says of its type. */
function faultsOf({ body, headers }: Received): string[] {
  const call = document.webhooks?.[body.notificationType]?.['post']
  const schema = call?.requestBody?.content['application/json']?.schema
  if (call === undefined || schema === undefined) return [`nothing is said of ${body.notificationType}`]
  const check = createBodyCheck(document)
  const ofHeaders = (call.parameters ?? []).map(
    (parameter) => check.faults(parameter.schema, headers[parameter.name]) ?? '',
  )
  return [check.faults(exact(schema), body) ?? '', ...ofHeaders].filter((fault) => fault !== '')
}

it('what is sent is what the document says: one outcome, a digest of several, a test', async () => {
  const { tenant, app } = service
  await tenant.write('Contact', { type: 'create', record: { LastName: 'x' }, reference: 'row-1' })
  await tenant.write('Contact', { type: 'create', record: { FirstName: 'x' } })
  const batch = [{ record: { LastName: 'x' } }, { record: { FirstName: 'x' } }]
  const whole = { groupRef: tenant.groupRef, type: 'create', mode: 'asynchronous', batch }
  expect((await tenant.post('Contact', whole)).status).toBe(200)
  const none = await tenant.write('Contact', {
    type: 'create',
    record: { LastName: 'x' },
    autoBatchPolicy: { maxDelayMinutes: 60 },
  })
  await tenant.call('POST', `/v1/projects/${tenant.projectId}/operations/${none}:cancel`)
  await Promise.all([single.until(4), digest.until(1)])
  const path = `/v1/projects/${tenant.projectId}/destinations/${made.id}:test`
  expect((await caller(app.url)('POST', path)).status).toBe(200)
  const messages = [...single.got, ...digest.got]
  expect(messages.map(({ body }) => body.notificationType).sort()).toEqual([
    'destination.test',
    'write.async.done',
    'write.async.done',
    'write.async.done',
    'write.async.done',
    'write.async.done.digest',
  ])
  expect(digest.got[0]!.body.data).toHaveLength(4)
  expect(messages.flatMap(faultsOf)).toEqual([])
  // The check looks: something more, something less, another header.
  const message = single.got[0]!
  const data: Record<string, unknown> = message.body.data
  const withData = (members: [string, unknown][]): Received =>
    ({ ...message, body: { ...message.body, data: Object.fromEntries(members) } }) as Received
  const members = Object.entries(data)
  const wrong = [
    withData([...members, ['more', 1]]),
    withData(members.filter(([name]) => name !== 'operationId')),
    { ...message, headers: { ...message.headers, 'webhook-signature': 'v2,x' } },
  ]
  expect(wrong.map((one) => faultsOf(one).length)).toEqual([1, 1, 1])
})
