import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { expectLanesTrue, refuseIllegalMoves } from '../support/queue-fixture.ts'
import { startService, type Service } from '../support/service.ts'

let service: Service
beforeAll(async () => {
  service = await startService()
  await refuseIllegalMoves(service.database.sql)
})
afterEach(() => expectLanesTrue(service.database.sql))
afterAll(() => service.stop())

interface Said {
  operationId: string
  result: { success: boolean; recordId: string; data: Record<string, unknown> }
  results: { success: boolean; recordId?: string }[]
  issues: { path: string; message: string }[]
  detail: string
}

const anyText = expect.any(String) as string
const org = () => service.simulator.org

const act = (action: string, body: Record<string, unknown>, headers?: Record<string, string>) => {
  const { tenant } = service
  const path = `/v1/projects/${tenant.projectId}/integrations/${tenant.integrationId}/actions/${action}`
  return tenant.call<Said>('POST', path, { groupRef: tenant.groupRef, ...body }, headers)
}

const seenCalls = () => org().requests.list(({ operation }) => operation !== 'token').length

/** What is refused, and that nothing left for it. */
async function refusalOf(action: string, body: Record<string, unknown>) {
  const before = seenCalls()
  const answer = await act(action, body)
  expect([answer.status, answer.headers.get('content-type')]).toEqual([
    400,
    expect.stringContaining('application/problem+json'),
  ])
  expect(seenCalls()).toBe(before)
  return answer.body.issues.map(({ path, message }) => `${path} ${message}`)
}

/** The samples of the document as printed. */
const samples = {
  create: `{
  "LastName": "{{ lastName }}",
  "FirstName": "{{ firstName }}",
  "Email": "{{ email }}",
  "AccountId": "001XXXXXXXXXXXX"
}`,
  update: `{
  "Name": "{{ accountName }}",
  "Website": "{{ website }}"
}`,
  upsert: `{
  "External_Id__c": "{{ leadExternalId }}",
  "Company": "{{ company }}",
  "LastName": "{{ lastName }}",
  "Email": "{{ email }}"
}`,
}
const person = { lastName: 'Ngata', firstName: 'Ana', email: 'ana@example.com' }

describe('the samples of the document', () => {
  it('Create Object', async () => {
    const AccountId = org().create('Account', { Name: 'Acme' })
    const data: unknown = JSON.parse(samples.create.replace('001XXXXXXXXXXXX', AccountId))
    const answer = await act('create-object', { object: 'Contact', data, variables: person })
    expect(answer.status).toBe(200)
    const [record] = org().find('Contact', 'Email', 'ana@example.com')
    expect(record).toMatchObject({ LastName: 'Ngata', FirstName: 'Ana', AccountId })
    expect(answer.body).toEqual({
      operationId: anyText,
      result: {
        success: true,
        recordId: record!['Id'],
        data: { id: record!['Id'], success: true, errors: [] },
      },
    })
  })

  it('Update Object', async () => {
    const id = org().create('Account', { Name: 'Old' })
    const variables = { accountName: 'New', website: 'https://new.example' }
    const data: unknown = JSON.parse(samples.update)
    const answer = await act('update-object', { object: 'Account', id, data, variables })
    expect(answer.body).toMatchObject({ result: { success: true, recordId: id } })
    expect(org().record(id)).toMatchObject({ Name: 'New', Website: 'https://new.example' })
  })

  it('Upsert, which creates and then updates', async () => {
    const upsert = (company: string) =>
      act('upsert', {
        object: 'Lead',
        externalIdField: 'External_Id__c',
        // As the text that its field holds.
        data: samples.upsert,
        variables: { ...person, leadExternalId: 'lead-1', company },
      })
    const [made, again] = [await upsert('Acme'), await upsert('Acme Ltd')]
    expect([made.body.result.data['created'], again.body.result.data['created']]).toEqual([true, false])
    expect(org().find('Lead', 'External_Id__c', 'lead-1')).toMatchObject([{ Company: 'Acme Ltd' }])
  })

  it('Bulk create and update of an array of records', async () => {
    const records = ['One', 'Two'].map((LastName) => ({ LastName, Email: '{{ email }}' }))
    const made = await act('bulk-create', {
      object: 'Contact',
      records,
      variables: { email: 'b@example.com' },
    })
    expect(made.body).toMatchObject({ successCount: 2, failureCount: 0 })
    const ids = made.body.results.map(({ recordId }) => recordId!)
    const update = await act('bulk-update', {
      object: 'Contact',
      records: ids.map((Id, index) => ({ Id, Title: `T${index}` })),
    })
    expect(update.body.results.map(({ recordId }) => recordId)).toEqual(ids)
    expect(ids.map((id) => org().record(id)!['Title'])).toEqual(['T0', 'T1'])
  })
})

describe('data and variables', () => {
  it('may come as the text of JSON, as a form field sends them', async () => {
    const data = '{ "LastName": "{{ lastName }}", "Score__c": "{{ score }}" }'
    const answer = await act('create-object', {
      object: 'Contact',
      data,
      variables: { lastName: 'Text', score: 7 },
    })
    expect(answer.status).toBe(200)
    expect(org().find('Contact', 'LastName', 'Text')).toMatchObject([{ Score__c: 7 }])
    const records = JSON.stringify([{ LastName: 'Text 1' }, { LastName: 'Text 2' }])
    expect((await act('bulk-create', { object: 'Contact', records })).body).toMatchObject({ successCount: 2 })
  })

  it('give their fields typed values, in every field', async () => {
    const id = org().create('Contact', { LastName: 'Typed' })
    const answer = await act('update-object', {
      object: '{{ object }}',
      id: '{{ id }}',
      data: { DoNotCall: '{{ no }}', Score__c: '{{ score }}', Title: 'Score {{ score }}' },
      variables: { object: 'Contact', id, no: true, score: 4.5 },
    })
    expect(answer.status).toBe(200)
    expect(org().record(id)).toMatchObject({ DoNotCall: true, Score__c: 4.5, Title: 'Score 4.5' })
    const whole = await act('create-object', {
      object: 'Contact',
      data: '{{ payload }}',
      variables: { payload: { LastName: 'Payload' } },
    })
    expect(whole.status).toBe(200)
    expect(org().find('Contact', 'LastName', 'Payload')).toHaveLength(1)
  })

  it('an update takes the id of its record once more within data, in either length', async () => {
    const id = org().create('Contact', { LastName: 'Twice' })
    const data = { Id: id.slice(0, 15), Title: 'CEO' }
    expect((await act('update-object', { object: 'Contact', id, data })).status).toBe(200)
    expect(org().record(id)).toMatchObject({ Title: 'CEO' })
  })
})

describe('an action through the queue', () => {
  it('answers with its operation, and travels with others of its kind', async () => {
    const before = seenCalls()
    const send = (name: string) =>
      act('create-object', {
        object: 'Contact',
        data: { LastName: name },
        mode: 'asynchronous',
        reference: `ref-${name}`,
        autoBatchPolicy: { maxDelayMinutes: 60, maxRecords: 3 },
      })
    const answers = [await send('Q1'), await send('Q2'), await send('Q3')]
    expect(answers.map(({ body }) => Object.keys(body))).toEqual(Array(3).fill(['operationId']))
    const operations = await Promise.all(
      answers.map(({ body }) => service.tenant.operation(body.operationId)),
    )
    expect(operations.map(({ status, metadata }) => [status, metadata.reference])).toEqual(
      ['Q1', 'Q2', 'Q3'].map((name) => ['success', `ref-${name}`]),
    )
    expect(new Set(operations.map(({ metadata }) => metadata.batchId)).size).toBe(1)
    expect(seenCalls() - before).toBe(1)
  })

  it('is made once for its key, and refuses the key to another request', async () => {
    const body = { object: 'Contact', data: { LastName: 'Keyed' }, mode: 'asynchronous' }
    const key = { 'idempotency-key': 'callers-1' }
    const [first, again] = [await act('create-object', body, key), await act('create-object', body, key)]
    expect(again.body).toEqual(first.body)
    expect(again.headers.get('idempotency-replayed')).toBe('true')
    expect((await act('upsert', { ...body, externalIdField: 'External_Id__c' }, key)).status).toBe(400)
    expect((await act('create-object', { ...body, data: { LastName: 'Other' } }, key)).status).toBe(422)
    await service.tenant.operation(first.body.operationId)
    expect(org().find('Contact', 'LastName', 'Keyed')).toHaveLength(1)
  })
})

describe('an action that is refused', () => {
  it('by the org answers with its errors', async () => {
    const answer = await act('create-object', { object: 'Contact', data: { FirstName: 'x' } })
    expect([answer.status, answer.body]).toMatchObject([
      422,
      { errors: [{ code: 'REQUIRED_FIELD_MISSING' }], result: { success: false } },
    ])
  })

  it('names every issue at once, by the places of its own body', async () => {
    expect(
      await refusalOf('update-object', {
        groupRef: '',
        object: 'Contact',
        id: 'nope',
        data: { Id: '003RM000006EncrYAC', Title: '{{ title }}' },
        variables: {},
        batchPolicy: {},
        retryPolicy: { deadlineHours: 2 },
        mode: 'synchronous',
      }),
    ).toEqual([
      '/batchPolicy is not a known field',
      '/groupRef must not be empty',
      '/data/Title names the variable "title", which variables does not hold',
      '/data/Id names another record than id',
      '/retryPolicy is for an asynchronous write only',
      '/id is no record id: 15 or 18 letters and digits, the last three of 18 a checksum',
    ])
    expect(await refusalOf('upsert', { object: 'Lead', externalIdField: 'no field', data: [] })).toEqual([
      '/data must be an object or text',
      '/externalIdField must be a field name: letters, digits and underscores, a letter first',
    ])
    const unkeyed = { object: 'Lead', externalIdField: '{{ f }}', data: { LastName: 'x' } }
    expect(await refusalOf('upsert', unkeyed)).toContain(
      '/externalIdField must be a field name: letters, digits and underscores, a letter first',
    )
    expect(await refusalOf('create-object', {})).toEqual(['/object is required', '/data is required'])
  })

  it('names the record of a bulk and its field', async () => {
    const id = org().create('Contact', { LastName: 'Known' })
    const records = [{ Id: id }, { Title: 'x' }, 5, { id: id.slice(0, 15), 'a/b': '{{ none }}' }]
    expect(await refusalOf('bulk-update', { object: 'Contact', records, variables: {} })).toEqual([
      '/records/2 must be an object',
      '/records/3/a~1b names the variable "none", which variables does not hold',
      '/records/1/id is required: an update names its record by id or Id',
      '/records/3/id names the same record as /records/0: a batch writes a record once',
    ])
    const text = (value: unknown) =>
      refusalOf('bulk-create', { object: 'Contact', records: JSON.stringify(value) })
    expect(await text([])).toEqual(['/records must not be empty'])
    expect(await text({})).toEqual(['/records must be a list, or the JSON text of one'])
    expect(await text([{}, 'x'])).toEqual(['/records/1 must be an object'])
    const tooMany = Array(2_001).fill({ LastName: 'x' })
    const tooManySaid = ['/records must have at most 2000 entries']
    expect(await text(tooMany)).toEqual(tooManySaid)
    expect(await refusalOf('bulk-create', { object: 'Contact', records: tooMany })).toEqual(tooManySaid)
  })

  it.each([
    ['{"LastName": "x"', /^\/data is not valid JSON \(line 1 column \d+\)$/],
    ['', /^\/data must be JSON$/],
    ['[1]', /^\/data must be an object, or the JSON text of one$/],
    ['{{ none }}', /^\/data names the variable "none", which variables does not hold$/],
    ['{"Score__c": 12345678901234567890}', /^\/data\/Score__c is a number with more digits than can be kept/],
    ['{"LastName": "x", "LastName": "y"}', /^\/data\/LastName is given twice$/],
  ])('for a text of data that is %j', async (data, said) => {
    expect(await refusalOf('create-object', { object: 'Contact', data, variables: {} })).toEqual([
      expect.stringMatching(said) as string,
    ])
  })

  it('for an object that is no name, or that the installation does not have', async () => {
    expect(await refusalOf('create-object', { object: 'no name', data: {} })).toEqual([
      '/object must be an object name: letters, digits and underscores, a letter first',
    ])
    expect(await refusalOf('create-object', { object: '{{ n }}', data: {}, variables: { n: 5 } })).toEqual([
      '/object must be text',
    ])
    const { tenant } = service
    const missing = await act('create-object', { groupRef: 'nobody', object: 'Contact', data: {} })
    expect(missing.status).toBe(404)
    const path = `/v1/projects/${tenant.projectId}/integrations/${tenant.integrationId}/actions/create-object`
    const unkeyed = await fetch(service.app.url + path, { method: 'POST' })
    expect(unkeyed.status).toBe(401)
  })

  it('for headers that it cannot have, with the body’s own issues', async () => {
    const answer = await act(
      'create-object',
      { object: 'Contact' },
      { 'request-timeout': '0', 'idempotency-key': 'a b' },
    )
    expect(answer.body.issues.map(({ path }) => path)).toEqual([
      '/data',
      '/headers/request-timeout',
      '/headers/idempotency-key',
    ])
  })
})
