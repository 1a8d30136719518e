import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { RecordsAnswer } from '../../src/contract/records.ts'
import { expectLanesTrue } from '../support/queue-fixture.ts'
import { caller, createTenant } from '../support/service.ts'
import { startRecords, type RecordsService } from './records-calls.ts'

let service: RecordsService

const procedures = {
  SelectQuote: { fields: ['CustomerSelectedQuote__c', 'next step'], values: { StageName: 'Negotiation' } },
  Together: { allOrNone: true },
  Again: { allowDuplicates: true },
  Later: { mode: 'asynchronous' },
  Now: { mode: 'synchronous', values: { Description: '{{who}}' } },
}

beforeAll(async () => {
  service = await startRecords({
    Opportunity: {
      objectName: 'Opportunity',
      mapToName: 'deal',
      fieldMappings: { 'next step': 'NextStep' },
      procedures,
    },
    Account: { objectName: 'Account', procedures: { Together: { allOrNone: true } } },
    Contact: { objectName: 'Contact', procedures: { Again: procedures.Again, Later: procedures.Later } },
  })
})
afterEach(async () => {
  expect(service.simulator.org.faults.list()).toEqual([])
  await expectLanesTrue(service.database.sql)
})
afterAll(() => service.stop())

const post: RecordsService['post'] = (body, headers) => service.post(body, headers)
const anyText = expect.any(String) as string
const opportunity = (values: Record<string, string | number> = {}): string =>
  service.simulator.org.create('Opportunity', { Name: 'Deal', ...values })

describe('a procedure', () => {
  const update = (storedProcedure: string, fields: object, more: object = {}) =>
    post({
      method: 'UPDATE',
      type: 'Opportunity',
      storedProcedure,
      records: [{ id: opportunity(), fields }],
      ...more,
    })

  it('takes its fields, and its values win', async () => {
    const { org } = service.simulator
    const { body } = await update('SelectQuote', { NextStep: 'Call' })
    expect(body).toMatchObject({ success: true, storedProcedure: 'SelectQuote' })
    const record = () => org.record(body.records[0]!.id as string)
    expect(record()).toMatchObject({ NextStep: 'Call', StageName: 'Negotiation' })
    const own = await post({
      method: 'INSERT',
      type: 'Opportunity',
      storedProcedure: 'Now',
      records: [{ name: 'Forced', fields: { description: 'mine', Amount: '5' } }],
      variables: { who: 'nobody' },
    })
    expect(own.body.success).toBe(true)
    // A procedure's value is no template.
    expect(org.find('Opportunity', 'Name', 'Forced')[0]).toMatchObject({ Description: '{{who}}', Amount: 5 })
  })

  it('refuses other fields by name, each of them, and nothing is written', async () => {
    const before = await service.traces()
    const insert = {
      method: 'INSERT',
      type: 'deal',
      storedProcedure: 'SelectQuote',
      records: [
        { name: 'x', fields: { 'next step': 'y', Amount: 1 } },
        { fields: { StageName: 'z' }, type: 'Lead' },
      ],
    }
    const { status, body } = await post(insert)
    const says = 'is not a field that the procedure "SelectQuote" takes'
    expect([status, body.errors.toSorted()]).toEqual([
      400,
      [
        `/records/0/fields/Amount ${says}`,
        `/records/0/name ${says}`,
        `/records/1/fields/StageName ${says}`,
        '/records/1/type must be the type of the request: deal',
      ],
    ])
    expect(await service.traces()).toEqual(before)
  })

  it('that is not there is refused by name', async () => {
    for (const name of ['Nope', 'constructor', '__proto__', 'selectquote']) {
      const before = service.simulator.org.apiUsed
      const { status, body } = await update(name, {})
      expect([status, body.errors, body.storedProcedure]).toEqual([
        400,
        ["/storedProcedure is no procedure of Opportunity in the installation's configuration"],
        name,
      ])
      expect(service.simulator.org.apiUsed).toBe(before)
    }
    const unlisted = await update('Nope', {}, { type: 'Lead' })
    expect([unlisted.status, unlisted.body.code]).toEqual([403, 'FORBIDDEN'])
  })

  it('of allOrNone undoes all for one', async () => {
    const { org } = service.simulator
    const before = org.count('Account')
    const records = [{ name: 'One' }, { name: 'Two', fields: { Industry: 'Nope' } }]
    const call = { method: 'INSERT', type: 'Account', storedProcedure: 'Together' }
    const { status, body } = await post({ ...call, records })
    expect([status, body.success, body.message]).toEqual([200, false, 'None of the 2 records was written.'])
    expect(body.records.map(({ errors }) => errors?.map(({ code }) => code))).toEqual([
      ['ALL_OR_NONE_OPERATION_ROLLED_BACK'],
      ['INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST'],
    ])
    expect(org.count('Account')).toBe(before)

    const many = await post({ ...call, records: Array.from({ length: 201 }, () => ({ name: 'x' })) })
    expect([many.status, many.body.errors]).toEqual([
      400,
      [expect.stringMatching(/^\/records must have at most 200 entries: .* Together .*transaction/)],
    ])
    const most = await post({ ...call, records: Array.from({ length: 200 }, () => ({ name: 'x' })) })
    expect([most.status, most.body.success]).toEqual([200, true])
  })

  it('says whether duplicates are saved', async () => {
    const { org } = service.simulator
    org.defineDuplicateRule({ object: 'Contact', name: 'Same_Email', fields: ['Email'], action: 'alert' })
    org.create('Contact', { LastName: 'There', Email: 'there@example.com' })
    const insert = (storedProcedure?: string) =>
      post({
        method: 'INSERT',
        type: 'Contact',
        storedProcedure,
        records: [{ fields: { LastName: 'Twin', Email: 'there@example.com' } }],
      })
    const refused = await insert()
    expect(refused.body.records).toMatchObject([
      { success: false, errors: [{ code: 'DUPLICATES_DETECTED' }] },
    ])
    expect((await insert('Again')).body.success).toBe(true)
    expect(org.find('Contact', 'Email', 'there@example.com')).toHaveLength(2)
  })

  it('decides the mode, whatever the caller says', async () => {
    const { tenant } = service
    const later = await post<{ operationId: string }>(
      {
        method: 'INSERT',
        type: 'Contact',
        storedProcedure: 'Later',
        mode: 'synchronous',
        records: [{ fields: { LastName: 'Later' } }],
      },
      { 'request-timeout': 'of no meaning then' },
    )
    expect(later).toMatchObject({ status: 200, body: { operationId: anyText } })
    expect(Object.keys(later.body)).toEqual(['operationId'])
    expect(await tenant.operation(later.body.operationId)).toMatchObject({ status: 'success' })
    const now = await update('Now', {}, { mode: 'asynchronous' })
    expect(now.body).toMatchObject({ success: true, records: [{ success: true }] })
  })

  it('may not set what names the record', async () => {
    const { status, body } = await post({
      method: 'UPSERT',
      type: 'Opportunity',
      externalField: 'Description',
      storedProcedure: 'Now',
      records: [{ fields: { Description: 'x' } }],
    })
    expect([status, body.errors]).toEqual([
      400,
      ['/externalField is set by the procedure Now: it can name no record'],
    ])
  })

  it('is as the installation has it a moment ago', async () => {
    const { tenant, app } = service
    const admin = caller(app.url)
    const own = await createTenant(app.url, service.simulator.url, { Contact: { objectName: 'Contact' } })
    const base = `/v1/projects/${own.projectId}/integrations/${own.integrationId}`
    const insert = (headers?: Record<string, string>) =>
      own.call<RecordsAnswer>(
        'POST',
        `${base}/records`,
        {
          groupRef: own.groupRef,
          method: 'INSERT',
          type: 'Contact',
          storedProcedure: 'New',
          records: [{ fields: { LastName: `Of ${tenant.groupRef}` } }],
        },
        headers,
      )
    expect((await insert()).status).toBe(400)
    const objects = {
      Contact: { objectName: 'Contact', procedures: { New: { values: { FirstName: 'Set' } } } },
    }
    const content = { provider: 'salesforce', write: { objects } }
    const changed = await admin('PATCH', `${base}/installations/${own.installationId}`, {
      config: { content },
    })
    expect([changed.status, changed.body['config']]).toMatchObject([200, { content }])
    const { status, body } = await insert()
    expect([status, body.success]).toEqual([200, true])
    expect(service.simulator.org.record(body.records[0]!.id as string)).toMatchObject({ FirstName: 'Set' })
    // What was made once is answered again, whatever has become of the procedure.
    const keyed = await insert({ 'idempotency-key': 'procedure' })
    const none = { provider: 'salesforce', write: { objects: { Contact: { objectName: 'Contact' } } } }
    await admin('PATCH', `${base}/installations/${own.installationId}`, { config: { content: none } })
    expect((await insert()).status).toBe(400)
    const again = await insert({ 'idempotency-key': 'procedure' })
    expect([again.status, again.body]).toEqual([200, keyed.body])
  })
})
