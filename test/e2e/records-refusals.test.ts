import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { RecordsAnswer } from '../../src/contract/records.ts'
import { normaliseRecordId } from '../../src/model/salesforce-id.ts'
import { expectLanesTrue } from '../support/queue-fixture.ts'
import { createTenant } from '../support/service.ts'
import { startRecords, type RecordsService } from './records-calls.ts'

let service: RecordsService
beforeAll(async () => {
  service = await startRecords({
    Opportunity: { objectName: 'Opportunity', mapToName: 'deal', fieldMappings: { contact: 'ContactId' } },
    Account: { objectName: 'Account' },
  })
})
afterEach(async () => {
  expect(service.simulator.org.faults.list()).toEqual([])
  await expectLanesTrue(service.database.sql)
})
afterAll(() => service.stop())

const post: RecordsService['post'] = (body, headers) => service.post(body, headers)
const anyText = expect.any(String) as string
const named = (...names: string[]) => names.map((Name) => ({ fields: { Name } }))

describe('a call with issues', () => {
  const id = normaliseRecordId('001RM000004ABCD')!
  const spoilt = `${id.slice(0, 17)}?`.replace('?', id.endsWith('A') ? 'B' : 'A')
  it.each<[string, Record<string, unknown>, string[]]>([
    [
      'of every kind at once',
      {
        method: 'MERGE',
        type: '',
        records: [{ nme: 1 }, 'x'],
        orgId: 5,
        nonsense: true,
        mode: 'later',
        reference: '',
      },
      [
        '/method must be one of: INSERT, UPDATE, UPSERT',
        '/mode must be one of: synchronous, asynchronous',
        '/nonsense is not a known field',
        '/orgId must be text or null',
        '/records/0/nme is not a known field',
        '/records/1 must be an object',
        '/reference must not be empty',
        '/type must not be empty',
      ],
    ],
    ['that is empty', {}, ['/method is required', '/records is required', '/type is required']],
    [
      'whose method is a name of every object',
      { method: 'toString', type: 'Account', records: [{}] },
      ['/method must be one of: INSERT, UPDATE, UPSERT'],
    ],
    [
      'with too many records',
      { method: 'UPDATE', type: 'Account', records: Array.from({ length: 2_001 }, () => ({})) },
      ['/records must have at most 2000 entries'],
    ],
    [
      'with what is no field',
      {
        method: 'UPSERT',
        type: 'Account',
        externalField: 'Ext id',
        records: [{ fields: { 'Ext id': 'x' } }],
      },
      ['/externalField must be a field name: letters, digits and underscores, a letter first'],
    ],
    ['without records', { method: 'INSERT', type: 'Account', records: [] }, ['/records must not be empty']],
    [
      'without a key',
      { method: 'UPSERT', type: 'Account', records: [{ fields: {} }] },
      ['/externalField is required for an upsert'],
    ],
    [
      'with a key where none belongs',
      { method: 'INSERT', type: 'Account', externalField: 'X__c', records: [{ name: 'x' }] },
      ['/externalField is for an upsert only'],
    ],
    [
      'in its updates',
      {
        method: 'UPDATE',
        type: 'Account',
        records: [
          { fields: { Name: 'x' } },
          { id: 'nope', fields: {} },
          { id, type: 'Contact', fields: { ID: id } },
          { id: id.slice(0, 15), fields: { attributes: {} } },
        ],
      },
      [
        '/records/0/id is required: an update names its record by id or Id',
        '/records/1/id is no record id: 15 or 18 letters and digits, the last three of 18 a checksum',
        '/records/2/fields/ID cannot be given together with id',
        '/records/2/type must be the type of the request: Account',
        "/records/3/fields/attributes is the provider's own; the object comes from the path",
      ],
    ],
    [
      'in a record named twice',
      { method: 'UPDATE', type: 'Account', records: [{ id }, { id: id.slice(0, 15) }] },
      ['/records/1/id names the same record as /records/0: a batch writes a record once'],
    ],
    [
      'in its inserts',
      {
        method: 'INSERT',
        type: 'Account',
        records: [{ id, name: 'A' }, { name: 'B', fields: { name: 'C' } }, { name: '{{x}}' }],
        variables: {},
      },
      [
        '/records/0/id cannot be given for a create: the provider gives the id; use update',
        '/records/1/fields/name is not the same as name',
        '/records/2/name names the variable "x", which variables does not hold',
      ],
    ],
    [
      'in its upserts',
      {
        method: 'UPSERT',
        type: 'Account',
        externalField: 'External_Id__c',
        records: [
          { id, fields: { Name: 'x' } },
          { id: 'ext-1', fields: { External_Id__c: 'ext-2' } },
          { fields: { External_Id__c: ' ' } },
          { id: spoilt, fields: {} },
          { id: '{{record}}', name: 'A', fields: { Name: 'B' } },
        ],
        variables: { record: id },
      },
      [
        '/records/0/fields/External_Id__c is required: it is the external id of the upsert',
        '/records/1/id is no record id, and not the value of External_Id__c either',
        '/records/2/fields/External_Id__c must be a text or number that is not empty: it is the external id',
        '/records/3/fields/External_Id__c is required: it is the external id of the upsert',
        '/records/3/id is no record id, and not the value of External_Id__c either',
        '/records/4/fields/External_Id__c is required: it is the external id of the upsert',
        '/records/4/fields/Name is not the same as name',
        '/records/4/id is no record id, and not the value of External_Id__c either',
      ],
    ],
  ])(
    '%s is refused with each of them, in the envelope, and nothing is written',
    async (_, request, errors) => {
      const before = await service.traces()
      const { status, body, headers } = await post(request)
      expect(status).toBe(400)
      expect(headers.get('content-type')).toMatch(/^application\/json/)
      expect(body.errors.toSorted()).toEqual(errors)
      expect(body).toMatchObject({
        success: false,
        message: 'The write has issues; nothing was written.',
        code: 'INVALID_REQUEST',
      })
      for (const name of ['method', 'type', 'orgId']) expect(Reflect.get(body, name)).toEqual(request[name])
      expect(body).not.toHaveProperty('operationId')
      expect(await service.traces()).toEqual(before)
    },
  )

  it('tells each record of its own', async () => {
    const records = [{ name: 'Fine' }, { name: 'A', fields: { Name: 'B' } }]
    const { body } = await post({ method: 'INSERT', type: 'Account', records, roomId: 'r' })
    expect(body).toMatchObject({
      roomId: 'r',
      records: [
        { ...records[0], success: false, message: body.message },
        { ...records[1], success: false, message: 'fields/Name is not the same as name' },
      ],
    })
  })

  it('is refused for its headers too, and for a body that cannot be read', async () => {
    const request = { method: 'INSERT', type: 'Account', records: [{ name: 'x' }] }
    const bad = await post(request, { 'request-timeout': 'soon', 'idempotency-key': 'two words' })
    expect([bad.status, bad.body.errors.map((one) => one.split(' ')[0])]).toEqual([
      400,
      ['/headers/request-timeout', '/headers/idempotency-key'],
    ])
    const unread = await service.tenant.call<RecordsAnswer>('POST', service.path, '{"method":')
    expect(unread.status).toBe(400)
    expect(unread.body).toMatchObject({ success: false, message: anyText, records: [] })
  })

  it('has what the configuration cannot make of it told where it was given', async () => {
    const records = [{ name: 'x', fields: { contact: '1', ContactId: '2' } }]
    const { status, body } = await post({ method: 'INSERT', type: 'deal', records })
    expect([status, body.errors]).toEqual([
      400,
      [
        '/records/0/fields/ContactId is the provider\'s field "ContactId", as "contact" is; give one of the two',
      ],
    ])
    const odd = await post({ method: 'INSERT', type: 'Lead', records: named('x') })
    expect([odd.status, odd.body.code, odd.body.records.length]).toEqual([403, 'FORBIDDEN', 1])
    const { app, simulator } = service
    const free = await createTenant(app.url, simulator.url)
    const free403 = await free.call<RecordsAnswer>(
      'POST',
      `/v1/projects/${free.projectId}/integrations/${free.integrationId}/records`,
      { groupRef: free.groupRef, method: 'INSERT', type: 'not an object', records: [{ name: 'x' }] },
    )
    expect([free403.status, free403.body.errors]).toEqual([
      400,
      ['/type must be an object name: letters, digits and underscores, a letter first'],
    ])
  })
})
