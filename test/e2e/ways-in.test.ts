import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startSimulator, type Simulator } from '../../src/simulator/start.ts'
import { endedOf } from '../support/ended-of.ts'
import { expectLanesTrue, refuseIllegalMoves } from '../support/queue-fixture.ts'
import { concurrently, createTenant, startService, type Service, type Tenant } from '../support/service.ts'

/*
 * The same 500 records through every way in: what comes of them in the org, their outcomes and the API calls
 * that they cost are those of the write call in the same shape.
 */

let service: Service
beforeAll(async () => {
  service = await startService()
  await refuseIllegalMoves(service.database.sql)
})
afterAll(() => service.stop())

type Fields = Record<string, unknown>
type Post = (path: string, body: Fields) => Promise<string>

/** Calls under the tenant's integration; answers the operation's id. */
const posting =
  ({ tenant }: World): Post =>
  async (path, body) => {
    const answer = await tenant.call<{ operationId?: string }>(
      'POST',
      `/v1/projects/${tenant.projectId}/integrations/${tenant.integrationId}${path}`,
      { groupRef: tenant.groupRef, ...body },
    )
    const id = answer.body.operationId ?? answer.headers.get('writeback-operation-id')
    if (id === null) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return id
  }

interface World {
  tenant: Tenant
  simulator: Simulator
}

/** Sends the records; answers the ids of the operations that hold them, in their order. */
type Send = (post: Post, records: Fields[]) => Promise<string[]>

const COUNT = 500
const object = 'Contact'
const externalIdField = 'External_Id__c'
/** Leaves when it is full, so that each way fills the same groups. */
const queued = { mode: 'asynchronous', autoBatchPolicy: { maxDelayMinutes: 60, maxRecords: 100 } }

const singly =
  (path: string, bodyOf: (record: Fields) => Fields, more: Fields): Send =>
  (post, records) =>
    concurrently(records, 20, (record) => post(path, { ...bodyOf(record), ...more }))

const inBatches =
  (size: number, send: (post: Post, records: Fields[]) => Promise<string>): Send =>
  async (post, records) => {
    const ids: string[] = []
    for (let at = 0; at < records.length; at += size) ids.push(await send(post, records.slice(at, at + size)))
    return ids
  }

const writeCall = `/objects/${object}`
const asFloqer = (record: Fields): Fields => ({
  inputs: {
    salesforce_object: object,
    salesforce_external_id_field: externalIdField,
    add_fields_and_their_values: Object.entries(record).map(([name, value]) => ({ name, value })),
  },
})
const asScripts = (records: Fields[]): Fields => ({
  type: object,
  records: records.map((fields) => ({ fields })),
})
const idFirst = ({ id, ...data }: Fields): Fields => ({ object, id, data })
const asScriptUpdates = (records: Fields[]): Fields => ({
  type: object,
  records: records.map(({ id, ...fields }) => ({ id, fields })),
})

const creates: Send = singly(writeCall, (record) => ({ type: 'create', record }), queued)
const upserts = (more: Fields): Send =>
  singly(writeCall, (record) => ({ type: 'upsert', externalIdField, record }), more)
const updates = (more: Fields): Send => singly(writeCall, (record) => ({ type: 'update', record }), more)
const batches = (type: string, more: Fields): Send =>
  inBatches(100, (post, records) =>
    post(writeCall, { type, batch: records.map((record) => ({ record })), ...more }),
  )

/** One shape of call: the write call's way first, then the others, each with the API calls that it costs. */
interface Shape {
  name: string
  type: 'create' | 'update' | 'upsert'
  ways: [way: string, send: Send, apiCalls: number][]
}

const shapes: Shape[] = [
  {
    name: 'creates, one by one through the queue',
    type: 'create',
    ways: [
      ['the write call', creates, 5],
      ['/actions/create-object', singly('/actions/create-object', (data) => ({ object, data }), queued), 5],
    ],
  },
  {
    name: 'updates, one by one through the queue',
    type: 'update',
    ways: [
      ['the write call', updates(queued), 5],
      ['/actions/update-object', singly('/actions/update-object', idFirst, queued), 5],
    ],
  },
  {
    name: 'upserts, one by one through the queue',
    type: 'upsert',
    ways: [
      ['the write call', upserts(queued), 5],
      [
        '/actions/upsert',
        singly('/actions/upsert', (data) => ({ object, externalIdField, data }), queued),
        5,
      ],
      ['/actions/salesforce_upsert_record', singly('/actions/salesforce_upsert_record', asFloqer, queued), 5],
    ],
  },
  {
    name: 'upserts, one by one and at once',
    type: 'upsert',
    ways: [
      ['the write call', upserts({}), COUNT],
      ['/actions/salesforce_upsert_record', singly('/actions/salesforce_upsert_record', asFloqer, {}), COUNT],
      [
        '/actions/upsert',
        singly('/actions/upsert', (data) => ({ object, externalIdField, data }), {}),
        COUNT,
      ],
    ],
  },
  {
    name: 'creates, together and at once',
    type: 'create',
    ways: [
      ['the write call, 100 each', batches('create', {}), 5],
      [
        '/actions/bulk-create',
        inBatches(500, (post, records) => post('/actions/bulk-create', { object, records })),
        1,
      ],
      [
        '/records INSERT',
        inBatches(500, (post, records) => post('/records', { method: 'INSERT', ...asScripts(records) })),
        1,
      ],
    ],
  },
  {
    name: 'updates, together and at once',
    type: 'update',
    ways: [
      ['the write call, 100 each', batches('update', {}), 5],
      [
        '/actions/bulk-update',
        inBatches(500, (post, records) => post('/actions/bulk-update', { object, records })),
        1,
      ],
      [
        '/records UPDATE',
        inBatches(500, (post, records) =>
          post('/records', { method: 'UPDATE', ...asScriptUpdates(records) }),
        ),
        1,
      ],
    ],
  },
  {
    name: 'creates, together through the queue',
    type: 'create',
    ways: [
      ['the write call, 100 each', batches('create', { mode: 'asynchronous' }), 5],
      [
        '/actions/bulk-create',
        inBatches(500, (post, records) =>
          post('/actions/bulk-create', { object, records, mode: 'asynchronous' }),
        ),
        5,
      ],
      [
        '/records INSERT',
        inBatches(500, (post, records) =>
          post('/records', { method: 'INSERT', mode: 'asynchronous', ...asScripts(records) }),
        ),
        5,
      ],
    ],
  },
  {
    name: 'upserts, together and at once',
    type: 'upsert',
    ways: [
      ['the write call, 100 each', batches('upsert', { externalIdField }), 5],
      [
        '/records UPSERT',
        inBatches(500, (post, records) =>
          post('/records', { method: 'UPSERT', externalField: externalIdField, ...asScripts(records) }),
        ),
        1,
      ],
    ],
  },
]

/** Every 50th is one that the org must refuse; of upserts and updates, some find their record there. */
function recordsFor({ type }: Shape, { org }: Simulator): Fields[] {
  return Array.from({ length: COUNT }, (_, at) => {
    const key = `w-${at}`
    const isBad = at % 50 === 7
    const LastName = `Way ${at}`
    const record = { Email: isBad ? 'no address' : `way${at}@example.com`, Score__c: at / 4, LastName }
    if (type === 'update') {
      return { id: org.create(object, { LastName: 'Before', [externalIdField]: key }), ...record }
    }
    if (type === 'upsert' && at % 3 === 0) org.create(object, { LastName: 'Before', [externalIdField]: key })
    return { [externalIdField]: key, ...record }
  })
}

/** What came of a way: in the org, in the operations, and in calls. */
async function resultOf(shape: Shape, send: Send) {
  const simulator = await startSimulator()
  try {
    // Each group has a call of its own: how many share one is a matter of timing.
    const tenant = await createTenant(service.app.url, simulator.url, undefined, { packing: 'none' })
    const records = recordsFor(shape, simulator)
    const ids = await send(posting({ tenant, simulator }), records)
    const operations = await endedOf(tenant, ids)
    const outcomes = operations.flatMap(({ metadata }) =>
      metadata.records.map(({ success, created, errors }) => ({ success, created, errors })),
    )
    const contents = simulator.org
      .records(object)
      .map(({ External_Id__c, LastName, Email, Score__c }) => ({ External_Id__c, LastName, Email, Score__c }))
      .sort((a, b) => String(a.External_Id__c).localeCompare(String(b.External_Id__c)))
    const recordIds = operations.flatMap(({ metadata }) => metadata.successfulRecordIds)
    // The ids are of the records that the outcomes say were written, in their order.
    const written = records.filter((_, at) => outcomes[at]?.success === true)
    expect(recordIds.map((id) => simulator.org.record(id)?.['LastName'])).toEqual(
      written.map(({ LastName }) => LastName),
    )
    return { contents, outcomes, apiCalls: simulator.org.apiUsed }
  } finally {
    await simulator.close()
  }
}

describe.each(shapes)('$name', (shape) => {
  const [[, reference, calls], ...others] = shape.ways as [Shape['ways'][number], ...Shape['ways']]
  let expected: Awaited<ReturnType<typeof resultOf>>
  beforeAll(async () => {
    expected = await resultOf(shape, reference)
    await expectLanesTrue(service.database.sql)
  })

  it('through the write call: all are written but every 50th', () => {
    expect(expected.outcomes.filter(({ success }) => success)).toHaveLength(COUNT - COUNT / 50)
    expect(new Set(expected.outcomes.flatMap(({ errors }) => errors.map(({ code }) => code)))).toEqual(
      new Set(['INVALID_EMAIL_ADDRESS']),
    )
    expect(expected.apiCalls).toBe(calls)
  })

  it.each(others)('through %s: the same contents and outcomes', async (_, send, apiCalls) => {
    expect(await resultOf(shape, send)).toEqual({ ...expected, apiCalls })
    await expectLanesTrue(service.database.sql)
  })
})
