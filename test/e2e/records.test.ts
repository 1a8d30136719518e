import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { RecordsAnswer } from '../../src/contract/records.ts'
import { expectLanesTrue } from '../support/queue-fixture.ts'
import { ADMIN_KEY, caller, createTenant, type Call } from '../support/service.ts'
import { startRecords, type RecordsService } from './records-calls.ts'
import { queryQuotes, startRoomServer, updateSelectedQuote } from './room-script.ts'

let service: RecordsService
beforeAll(async () => {
  service = await startRecords({
    Opportunity: { objectName: 'Opportunity' },
    Account: { objectName: 'Account' },
    Contact: { objectName: 'Contact' },
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

describe('the example of the document', () => {
  it('updates the opportunity as it is printed, and shows what it is told', async () => {
    const { app, tenant, simulator, path } = service
    const { org } = simulator
    const masterRecordId = opportunity()
    const selectedQuoteId = org.create('Quote', { Name: 'Q-1', OpportunityId: masterRecordId })
    const room = { url: `${app.url}${path}?groupRef=${tenant.groupRef}#`, masterRecordId }
    const sent = { type: 'Opportunity', fields: { CustomerSelectedQuote__c: selectedQuoteId } }

    const refused = await updateSelectedQuote({ ...room, sessionId: 'Bearer nobodys' }, selectedQuoteId)
    expect(refused).toMatchObject([
      'handled',
      { message: 'The API key is not valid.', errors: [anyText], status: 401, code: 'UNAUTHENTICATED' },
    ])
    expect(org.record(masterRecordId)).not.toHaveProperty('CustomerSelectedQuote__c', selectedQuoteId)

    const sessionId = `Bearer ${ADMIN_KEY}`
    const [shown, answer] = await updateSelectedQuote({ ...room, sessionId }, selectedQuoteId)
    expect([shown, answer]).toEqual([
      'rendered',
      {
        success: true,
        message: null,
        errors: [],
        method: 'UPDATE',
        type: 'Opportunity',
        records: [{ id: masterRecordId, ...sent, success: true, message: null }],
        operationId: anyText,
      },
    ])
    expect(org.record(masterRecordId)).toMatchObject(sent.fields)
    const { operationId } = answer as { operationId: string }
    expect(await tenant.operation(operationId, 0)).toMatchObject({
      resource: 'Opportunity',
      status: 'success',
    })
  })

  it('finds the quotes of the opportunity and updates it with one of them, by one url', async () => {
    const { app, tenant, simulator, path } = service
    const { org } = simulator
    const masterRecordId = opportunity()
    const sums: Record<string, number> = { 'Q-12': 1450.5, 'Q-24': 2700 }
    for (const [Name, TotalAmount] of Object.entries(sums))
      org.create('Quote', { Name, TotalAmount, OpportunityId: masterRecordId })
    org.create('Quote', { Name: 'Q-other', OpportunityId: opportunity() })
    const integration = `${app.url}${path.replace(/\/records$/, '')}`
    const server = await startRoomServer(integration, tenant.groupRef, `Bearer ${ADMIN_KEY}`)
    try {
      const room = { url: server.url, sessionId: 'the session of the page', masterRecordId }
      const [shown, answer] = await queryQuotes(room)
      expect([shown, answer]).toEqual([
        'rendered',
        {
          success: true,
          message: null,
          errors: [],
          totalSize: 2,
          done: true,
          records: Object.entries(sums).map(([Name, TotalAmount]) => ({
            attributes: { type: 'Quote', url: expect.stringMatching(/\/sobjects\/Quote\/0Q0/) as string },
            Id: anyText,
            Name,
            TotalAmount,
          })),
        },
      ])
      const { Id } = (answer as { records: { Id: string }[] }).records[1]!
      expect(await updateSelectedQuote(room, Id)).toMatchObject(['rendered', { success: true }])
      expect(org.record(Id)).toMatchObject({ Name: 'Q-24' })
      expect(org.record(masterRecordId)).toMatchObject({ CustomerSelectedQuote__c: Id })
    } finally {
      await server.close()
    }
  })

  it('answers with every value of the request that the document says is answered', async () => {
    const values = {
      orgId: '00DRM000000abcd',
      roomId: 'a0BRM0000001234',
      origin: 'https://rooms.example.com',
      method: 'UPDATE',
      type: 'Opportunity',
    }
    const { body, headers } = await post({ ...values, records: [{ id: opportunity() }] })
    expect(headers.get('content-type')).toMatch(/^application\/json/)
    expect(body).toMatchObject({ success: true, ...values })
  })

  it('may name its group in the query', async () => {
    const { tenant } = service
    const body = { method: 'INSERT', type: 'Account', records: [{ name: 'By query' }] }
    const query = `${service.path}?groupRef=${tenant.groupRef}`
    const key = { 'idempotency-key': 'by-query' }
    const answer = await tenant.call<RecordsAnswer>('POST', query, body, key)
    expect([answer.status, answer.body.success]).toEqual([200, true])
    // The group is part of what a key stands for, wherever it is named.
    expect((await post(body, key)).body).toEqual(answer.body)
    const other = await tenant.call('POST', `${service.path}?groupRef=another`, body, key)
    expect([other.status, other.body['code']]).toEqual([422, 'IDEMPOTENCY_KEY_REUSED'])
    const twice = await tenant.call<RecordsAnswer>('POST', query, { ...body, groupRef: 'another' })
    expect([twice.status, twice.body.errors]).toEqual([
      400,
      ['/query/groupRef is not the same as groupRef in the body'],
    ])
  })
})

describe('an INSERT', () => {
  it('answers with the new ids in order, and each record with what came of it', async () => {
    const { org } = service.simulator
    const records = [
      { type: 'account', name: 'First', fields: { Website: 'https://first.example.com' } },
      { name: 'Second', fields: { Industry: 'Nope' } },
      { id: null, fields: { Name: 'Third', NumberOfEmployees: '12' } },
    ]
    const { status, body } = await post({ method: 'INSERT', type: 'Account', records, storedProcedure: null })
    expect(status).toBe(200)
    const idOf = (name: string) => org.find('Account', 'Name', name)[0]!['Id']
    const code = 'INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST'
    expect(body).toEqual({
      success: false,
      message: '1 of the 3 records failed.',
      errors: [expect.stringMatching(new RegExp(`^/records/1 ${code}: .*Nope`)) as string],
      method: 'INSERT',
      type: 'Account',
      storedProcedure: null,
      records: [
        { ...records[0], id: idOf('First'), success: true, message: null },
        {
          ...records[1],
          success: false,
          message: expect.stringMatching(/Nope/) as string,
          errors: [{ code, message: anyText, fields: ['Industry'] }],
        },
        { ...records[2], id: idOf('Third'), success: true, message: null },
      ],
      operationId: anyText,
    })
    expect(org.find('Account', 'Name', 'Third')[0]).toMatchObject({ NumberOfEmployees: 12 })
  })

  it('is a 200 that failed when no record was written, of one record too', async () => {
    const { status, body } = await post({ method: 'INSERT', type: 'Account', records: [{ fields: {} }] })
    expect(status).toBe(200)
    expect(body).toMatchObject({
      success: false,
      message: 'The record was not written.',
      records: [{ success: false, message: anyText, errors: [{ code: 'REQUIRED_FIELD_MISSING' }] }],
    })
  })

  it('takes variables and a reference', async () => {
    const { body } = await post({
      method: 'INSERT',
      type: 'Account',
      records: [{ name: '{{company}}', fields: { NumberOfEmployees: '{{size}}' } }],
      variables: { company: 'Varied', size: 7 },
      reference: 'room-7',
    })
    expect(body.success).toBe(true)
    const { org } = service.simulator
    expect(org.find('Account', 'Name', 'Varied')[0]).toMatchObject({ NumberOfEmployees: 7 })
    expect((await service.tenant.operation(body.operationId!, 0)).metadata.reference).toBe('room-7')
  })

  it('writes more records than one group holds, each with its own answer', async () => {
    const { org } = service.simulator
    for (const size of [150, 250]) {
      const records = Array.from({ length: size }, (_, index) => ({
        name: `Many ${size} ${index}`,
        fields: index === size - 2 ? { Industry: 'Nope' } : {},
      }))
      const { status, body } = await post({ method: 'INSERT', type: 'Account', records })
      expect([status, body.success, body.records.length]).toEqual([200, false, size])
      expect(body.records.filter((one) => !one.success).map((one) => one.name)).toEqual([
        `Many ${size} ${size - 2}`,
      ])
      for (const [index, { id }] of body.records.entries())
        if (index !== size - 2)
          expect(org.record(id as string)).toMatchObject({ Name: `Many ${size} ${index}` })
    }
    const records = Array.from({ length: 250 }, (_, index) => ({ name: `Queued ${index}` }))
    const insert = { method: 'INSERT', type: 'Account', records, mode: 'asynchronous' }
    const queued = await post<{ operationId: string }>(insert)
    const { metadata } = await service.tenant.operation(queued.body.operationId)
    expect(metadata).toMatchObject({ state: 'succeeded' })
    expect(metadata.successfulRecordIds.map((id) => org.record(id)?.['Name'])).toEqual(
      records.map(({ name }) => name),
    )
  })
})

describe('an UPSERT', () => {
  const upsert = (records: unknown[], externalField = 'External_Id__c') =>
    post({ method: 'UPSERT', type: 'Account', externalField, records })

  it('is keyed by the external field, and answers with the record’s id', async () => {
    const { org } = service.simulator
    const record = { name: 'Made', fields: { External_Id__c: 'rec-1' } }
    const made = await upsert([record])
    expect(made.body).toMatchObject({ success: true, records: [{ ...record, success: true, message: null }] })
    expect(org.record(made.body.records[0]!.id as string)).toMatchObject({ Name: 'Made' })
    const again = await upsert([{ fields: { external_id__c: 'rec-1', Name: 'Again' } }])
    expect(again.body.records[0]!.id).toBe(made.body.records[0]!.id)
    expect(org.record(again.body.records[0]!.id as string)).toMatchObject({ Name: 'Again' })
  })

  it('takes an id that can be no record’s for the key, and leaves one that can be aside', async () => {
    const { org } = service.simulator
    const made = await upsert([{ id: 'rec-2', fields: { Name: 'By id' } }])
    const id = made.body.records[0]!.id as string
    expect(org.record(id)).toMatchObject({ External_Id__c: 'rec-2', Name: 'By id' })
    const other = org.create('Account', { Name: 'Other' })
    const fields = { External_Id__c: 'rec-2', Name: 'Found' }
    const right = await upsert([{ id: id.slice(0, 15), fields }])
    expect(right.body.records).toMatchObject([{ id, success: true, message: null }])
    const wrong = await upsert([{ id: other, fields }])
    expect(wrong.body.records).toMatchObject([
      { id, success: true, message: `was written to the record that its key names, which is not ${other}` },
    ])
    expect(org.record(other)).toMatchObject({ Name: 'Other' })
  })

  it('by Id is an update', async () => {
    const { org } = service.simulator
    const id = org.create('Account', { Name: 'Before' })
    const { body } = await upsert([{ id, name: 'not written', fields: { Name: 'After' } }], 'Id')
    expect(body).toMatchObject({ success: true, method: 'UPSERT', records: [{ id, success: true }] })
    expect(org.record(id)).toMatchObject({ Name: 'After' })
    const none = await upsert([{ fields: { Name: 'x' } }], 'Id')
    expect([none.status, none.body.errors]).toEqual([
      400,
      [expect.stringMatching(/^\/records\/0\/id is required/)],
    ])
  })
})

describe('a call that is asynchronous, keyed or without an outcome', () => {
  /** Calls with a key of the project that may not write. */
  async function createReader(): Promise<Call> {
    const { app, tenant } = service
    const keys = `/v1/projects/${tenant.projectId}/api-keys`
    const made = await caller(app.url)<{ key: string }>('POST', keys, { label: 'reads', scopes: ['read'] })
    return caller(app.url, made.body.key)
  }
  const insert = (LastName: string, more: object = {}) => ({
    method: 'INSERT',
    type: 'Contact',
    records: [{ fields: { LastName } }],
    ...more,
  })

  it('answers with an operation to follow', async () => {
    const { body } = await post<{ operationId: string }>(insert('Queued', { mode: 'asynchronous' }))
    expect(body).toEqual({ operationId: anyText })
    const operation = await service.tenant.operation(body.operationId)
    expect(operation).toMatchObject({
      status: 'success',
      metadata: { records: [{ index: 0, success: true }] },
    })
  })

  it('is made once under a key, and answered the same envelope again', async () => {
    const { org } = service.simulator
    const headers = { 'idempotency-key': 'records-1' }
    const body = insert('Once', { records: [{ fields: { LastName: 'Once' } }, { fields: {} }] })
    const first = await post(body, headers)
    expect([first.status, first.body.success]).toEqual([200, false])
    const again = await post(body, headers)
    expect(again.body).toEqual(first.body)
    expect(again.status).toBe(200)
    expect(again.headers.get('idempotency-replayed')).toBe('true')
    expect(org.find('Contact', 'LastName', 'Once')).toHaveLength(1)
    const other = await post(insert('Other'), headers)
    expect([other.status, other.body]).toMatchObject([
      422,
      { success: false, message: anyText, code: 'IDEMPOTENCY_KEY_REUSED', method: 'INSERT' },
    ])
    const refused = { 'idempotency-key': 'records-2' }
    expect((await post(insert('Free', { type: 'Lead' }), refused)).status).toBe(403)
    expect((await post(insert('Free'), refused)).body.success).toBe(true)
  })

  it.each([[{}], [{ 'idempotency-key': 'records-doubt' }]])(
    'keeps its status and tells its operation: %j',
    async (headers: Record<string, string>) => {
      const { simulator, tenant } = service
      simulator.org.faults.add({ match: { object: 'Contact' }, action: { type: 'dropAfter' } })
      const { status, body, headers: sent } = await post(insert('Doubtful', { origin: 'o' }), headers)
      expect(status).toBe(502)
      expect(sent.get('content-type')).toMatch(/^application\/json/)
      expect(body).toMatchObject({
        success: false,
        message: anyText,
        errors: [anyText],
        origin: 'o',
        code: 'OUTCOME_UNKNOWN',
        operationId: anyText,
        records: [{ fields: { LastName: 'Doubtful' }, success: false, message: body.message }],
      })
      expect((await tenant.operation(body.operationId!, 0)).metadata.state).toBe('in_doubt')
      if (Object.keys(headers).length > 0)
        expect((await post(insert('Doubtful', { origin: 'o' }), headers)).body).toEqual(body)
    },
  )

  it('comes back as an envelope for a group that is not there, and one without a connection', async () => {
    const { app, simulator, database } = service
    const nobody = await post(insert('x', { groupRef: 'nobody', storedProcedure: 'Any' }))
    expect([nobody.status, nobody.body.code, nobody.body.success]).toEqual([404, 'NOT_FOUND', false])
    const broken = await createTenant(app.url, simulator.url)
    await database.sql`
      update connection set status = 'broken', status_reason = 'revoked' where id = ${broken.connectionId}`
    const base = `/v1/projects/${broken.projectId}/integrations/${broken.integrationId}`
    const answer = await broken.call<RecordsAnswer>('POST', `${base}/records`, {
      groupRef: broken.groupRef,
      ...insert('x'),
    })
    expect([answer.status, answer.body.code, answer.body.success]).toEqual([
      424,
      'NO_WORKING_CONNECTION',
      false,
    ])
  })

  it('is refused with a problem before its body is read, which a script takes for no success', async () => {
    const { app, path, tenant } = service
    const reader = await createReader()
    const answers = await Promise.all([
      caller(app.url, 'wrong')('POST', path, insert('x')),
      reader('POST', path, insert('x')),
      tenant.call('POST', path.replace(tenant.integrationId, 'nowhere'), insert('x')),
      tenant.call('POST', path, JSON.stringify('x'.repeat(7_000_000))),
      post(insert('x'), { 'content-type': 'text/plain' }),
    ])
    expect(answers.map(({ status }) => status)).toEqual([401, 403, 404, 413, 415])
    for (const { headers, body } of answers) {
      expect(headers.get('content-type')).toMatch(/^application\/problem\+json/)
      const { detail, remedy } = body as { detail: string; remedy: string }
      expect(body).toMatchObject({
        ...{ requestId: anyText, code: anyText },
        ...{ success: false, message: detail, errors: [`${detail} ${remedy}`], records: [] },
      })
    }
  })
})
