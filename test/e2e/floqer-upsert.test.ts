import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { FloqerUpserted } from '../../src/contract/floqer.ts'
import { expectLanesTrue, refuseIllegalMoves } from '../support/queue-fixture.ts'
import { createTenant, startService, type Answer, type Service, type Tenant } from '../support/service.ts'

let service: Service

beforeAll(async () => {
  service = await startService()
  await refuseIllegalMoves(service.database.sql)
  const { org } = service.simulator
  const text = (name: string) => ({ name, type: 'string' as const, length: 255 })
  org.defineObject({
    name: 'Account',
    keyPrefix: '001',
    fields: [
      { ...text('Name'), nillable: false },
      { ...text('Website'), type: 'url' },
      { ...text('Domain__c'), externalId: true, unique: true },
      { name: 'NumberOfEmployees', type: 'int', precision: 8 },
      { name: 'Active__c', type: 'boolean' },
      text('Region__c'),
    ],
  })
})
afterEach(async () => {
  expect(service.simulator.org.faults.list()).toEqual([])
  await expectLanesTrue(service.database.sql)
})
afterAll(() => service.stop())

const anyText = expect.any(String) as string

const post = <T = FloqerUpserted>(
  body: Record<string, unknown>,
  headers: Record<string, string> = {},
  { projectId, integrationId, groupRef, call }: Tenant = service.tenant,
): Promise<Answer<T>> =>
  call<T>(
    'POST',
    `/v1/projects/${projectId}/integrations/${integrationId}/actions/salesforce_upsert_record`,
    { groupRef, ...body },
    headers,
  )

type Values = Record<string, unknown>
const inputsOf = (values: Values, more: object = {}) => ({
  salesforce_object: 'Account',
  salesforce_external_id_field: 'Domain__c',
  add_fields_and_their_values: Object.entries(values).map(([name, value]) => ({ name, value })),
  ...more,
})
const upsert = (values: Values, more: object = {}, rest: object = {}) =>
  post({ inputs: inputsOf(values, more), ...rest })

const accounts = (domain: string) => service.simulator.org.find('Account', 'Domain__c', domain)
const lastWrite = () =>
  service.simulator.org.requests
    .list((entry) => /upsert/.test(entry.operation) || entry.recordCount > 0)
    .at(-1)!

async function traces(): Promise<unknown> {
  const { simulator, database } = service
  const [rows] = await database.sql`
    select (select count(*) from write) as writes, (select count(*) from idempotency_key) as keys`
  return { ...rows, counts: simulator.org.counts(), calls: simulator.org.apiUsed }
}

/** As the document prints it. */
const printed = {
  inputs: {
    salesforce_object: 'Account',
    salesforce_external_id_field: 'Domain__c',
    add_fields_and_their_values: [
      { name: 'Name', value: '{{input.company_name}}' },
      { name: 'Website', value: '{{input.domain}}' },
    ],
    force_update_on_collision: false,
    ignore_empty_values: true,
    run_salesforce_assignment_rules: true,
  },
}

describe('the example of the document', () => {
  it('inserts, then updates, and answers with exactly the three outputs', async () => {
    const { simulator, tenant } = service
    const { inputs } = printed
    const key = { name: 'Domain__c', value: '{{input.domain}}' }
    const body = {
      inputs: { ...inputs, add_fields_and_their_values: [key, ...inputs.add_fields_and_their_values] },
    }
    const variables = { input: { company_name: 'Acme', domain: 'acme.example' } }
    const made = await post({ ...body, variables })
    const [account] = accounts('acme.example')
    expect(account).toMatchObject({ Name: 'Acme', Website: 'acme.example' })
    const account_url = `${simulator.url}/${account!['Id']}`
    expect([made.status, made.body]).toEqual([
      200,
      { record_id: account!['Id'], operation_type: 'Insert', account_url },
    ])
    const operationId = made.headers.get('writeback-operation-id')!
    expect(await tenant.operation(operationId, 0)).toMatchObject({ resource: 'Account', status: 'success' })

    // A name with a dot is a name too, and comes first.
    const again = await post({ ...body, variables: { ...variables, 'input.company_name': 'Acme Ltd' } })
    expect([again.status, again.body]).toEqual([
      200,
      { record_id: account!['Id'], operation_type: 'Update', account_url },
    ])
    expect(accounts('acme.example')).toMatchObject([{ Name: 'Acme Ltd' }])
  })

  it('as it is printed has no value to find the record by, and is told so', async () => {
    const before = await traces()
    const { status, body } = await post<Record<string, unknown>>(printed)
    expect([status, body]).toMatchObject([
      400,
      {
        code: 'INVALID_REQUEST',
        issues: [
          {
            path: '/inputs/add_fields_and_their_values',
            message: 'Domain__c is required: it is the external id of the upsert',
          },
        ],
      },
    ])
    expect(await traces()).toEqual(before)
  })
})

describe('the switches', () => {
  it('leave empty values out by default, and send them when told to', async () => {
    const Domain__c = 'empty.example'
    await upsert({ Domain__c, Name: 'Empty', Region__c: 'North', Website: 'x' })
    await upsert({ Domain__c, Region__c: '', Website: null })
    expect(accounts(Domain__c)).toMatchObject([{ Region__c: 'North', Website: 'x' }])
    for (const word of [false, 'OFF', 'False']) {
      await upsert({ Domain__c, Region__c: 'North' })
      await upsert({ Domain__c, Region__c: '' }, { ignore_empty_values: word })
      expect(accounts(Domain__c)).toMatchObject([{ Region__c: null }])
    }
    await upsert({ Domain__c, Region__c: 'South' })
    await upsert({ Domain__c, Region__c: '' }, { ignore_empty_values: 'On' })
    expect(accounts(Domain__c)).toMatchObject([{ Region__c: 'South' }])
  })

  it('run assignment rules by default', async () => {
    const headerOf = async (more: object) => {
      await upsert({ Domain__c: 'rules.example', Name: 'R' }, more)
      return lastWrite().headers['sforce-auto-assign']
    }
    expect(await headerOf({})).toBe('TRUE')
    expect(await headerOf({ run_salesforce_assignment_rules: 'off' })).toBe('FALSE')
    expect(await headerOf({ run_salesforce_assignment_rules: 'TRUE' })).toBe('TRUE')
  })

  it('skip a duplicate by default, and update it when told to', async () => {
    const { org } = service.simulator
    org.defineDuplicateRule({
      object: 'Account',
      name: 'Same_Region',
      fields: ['Region__c'],
      action: 'alert',
    })
    const id = org.create('Account', { Name: 'There', Region__c: 'Unique' })
    const values = { Domain__c: 'twin.example', Name: 'Twin', Region__c: 'Unique' }
    const skipped = await post<{ errors: { code: string }[] }>({ inputs: inputsOf(values) })
    expect([skipped.status, skipped.body.errors.map(({ code }) => code)]).toEqual([
      422,
      ['DUPLICATES_DETECTED'],
    ])
    expect(accounts('twin.example')).toEqual([])
    const { status, body } = await upsert(values, { force_update_on_collision: true })
    expect([status, body]).toMatchObject([200, { record_id: id, operation_type: 'Update' }])
    expect(org.record(id)).toMatchObject({ Name: 'Twin', Domain__c: 'twin.example' })
  })
})

it('keeps the types of values and of variables', async () => {
  const variables = { size: 12, input: { active: true, deep: { er: 'found' } }, 'a.b': 'flat' }
  const values = {
    Domain__c: 'types.example',
    Name: '{{input.deep.er}} {{a.b}}',
    NumberOfEmployees: '{{size}}',
    Active__c: '{{ input.active }}',
  }
  expect((await upsert(values, {}, { variables })).status).toBe(200)
  const stored = { Name: 'found flat', NumberOfEmployees: 12, Active__c: true }
  expect(accounts('types.example')).toMatchObject([stored])
  // Without variables braces are text.
  await upsert({ Domain__c: 'text.example', Name: '{{input.x}}' })
  expect(accounts('text.example')).toMatchObject([{ Name: '{{input.x}}' }])
})

it('knows the names that the installation gives', async () => {
  const { app, simulator } = service
  const mapped = await createTenant(app.url, simulator.url, {
    Account: {
      objectName: 'Account',
      mapToName: 'company',
      fieldMappings: { site: 'Website', key: 'Domain__c' },
    },
  })
  const inputs = inputsOf(
    { key: 'mapped.example', Name: 'M', site: 'm.example' },
    { salesforce_object: 'company', salesforce_external_id_field: 'key' },
  )
  expect((await post({ inputs }, {}, mapped)).body).toMatchObject({ operation_type: 'Insert' })
  expect(accounts('mapped.example')).toMatchObject([{ Website: 'm.example' }])
  const twice = {
    ...inputs,
    add_fields_and_their_values: [...inputs.add_fields_and_their_values, { name: 'Website', value: 'n' }],
  }
  expect((await post({ inputs: twice }, {}, mapped)).body).toMatchObject({
    issues: [{ path: '/inputs/add_fields_and_their_values/3' }],
    remedy: anyText,
  })
  const other = await post(
    { inputs: inputsOf({ Domain__c: 'x' }, { salesforce_object: 'Lead' }) },
    {},
    mapped,
  )
  expect([other.status, other.body]).toMatchObject([403, { code: 'FORBIDDEN' }])
})

const list = '/inputs/add_fields_and_their_values'

describe('a call with issues', () => {
  it.each<[string, Values, string[]]>([
    ['that is empty', {}, ['/inputs is required']],
    [
      'without inputs',
      { inputs: {} },
      [
        `${list} is required`,
        '/inputs/salesforce_external_id_field is required',
        '/inputs/salesforce_object is required',
      ],
    ],
    [
      'of every kind at once',
      {
        inputs: {
          salesforce_object: '',
          salesforce_external_id_field: 'Domain c',
          add_fields_and_their_values: [
            { name: 'Domain__c', value: 'x' },
            { name: 'domain__C', value: 'y' },
            { name: '' },
            'x',
            { name: 'Name', value: '{{nobody}}', more: 1 },
          ],
          force_update_on_collision: 'maybe',
          ignore_empty_values: null,
          run_salesforce_assignment_rules: 1,
          credits: 0,
        },
        mode: 'later',
        variables: {},
        nonsense: 1,
      },
      [
        `${list}/1/name names the same field as ${list}/0/name`,
        `${list}/2/name must not be empty`,
        `${list}/2/value is required`,
        `${list}/3 must be an object`,
        `${list}/4 names the variable "nobody", which variables does not hold`,
        `${list}/4/more is not a known field`,
        '/inputs/credits is not a known field',
        '/inputs/force_update_on_collision must be true or false, or one of the words true, false, on, off',
        '/inputs/ignore_empty_values must be true or false, or one of the words true, false, on, off',
        '/inputs/run_salesforce_assignment_rules must be true or false, or one of the words true, false, on, off',
        '/inputs/salesforce_external_id_field must be a field name: letters, digits and underscores, a letter first',
        '/inputs/salesforce_object must not be empty',
        '/mode must be one of: synchronous, asynchronous',
        '/nonsense is not a known field',
      ],
    ],
    [
      'of the wrong kinds',
      {
        inputs: { ...inputsOf({}), add_fields_and_their_values: { a: 1 }, salesforce_object: 5 },
        autoBatchPolicy: null,
        retryPolicy: 'x',
        variables: [],
        batch: 5,
        record: null,
        mode: 'asynchronous',
      },
      [
        '/autoBatchPolicy must be an object',
        '/batch is not a known field',
        `${list} must be a list`,
        '/inputs/salesforce_object must be text',
        '/record is not a known field',
        '/retryPolicy must be an object',
        '/variables must be an object',
      ],
    ],
    [
      'in its record',
      {
        inputs: inputsOf({ Domain__c: ' ', ID: '1', attributes: {}, Ref: { 'a/b': '{{x}}' } }),
        variables: {},
        retryPolicy: { deadlineHours: 2 },
      },
      [
        `${list}/0 must be a text or number that is not empty: it is the external id`,
        `${list}/1 cannot be given for a upsert: an upsert is keyed by its external id; use update`,
        `${list}/2 is the provider's own; the object comes from the path`,
        `${list}/3/value/a~1b names the variable "x", which variables does not hold`,
        '/retryPolicy is for an asynchronous write only, and synchronous is the default mode',
      ],
    ],
    [
      'in an object name',
      { inputs: inputsOf({ Domain__c: 'x' }, { salesforce_object: 'not an object' }) },
      ['/inputs/salesforce_object must be an object name: letters, digits and underscores, a letter first'],
    ],
    [
      'of a collision in a group',
      {
        inputs: inputsOf({ Domain__c: 'x' }, { force_update_on_collision: true }),
        mode: 'asynchronous',
        autoBatchPolicy: { maxDelaySeconds: 1, allOrNone: true },
      },
      ['/inputs/force_update_on_collision cannot be true together with allOrNone'],
    ],
  ])('%s is refused with each of them, and nothing is written', async (_, body, issues) => {
    const before = await traces()
    const answer = await post<{ issues: { path: string; message: string }[] }>(body)
    expect(answer.status).toBe(400)
    expect(answer.body.issues.map(({ path, message }) => `${path} ${message}`).toSorted()).toEqual(
      issues.toSorted(),
    )
    expect(await traces()).toEqual(before)
  })

  it('of which the org refuses a value is a 422 as of the write call', async () => {
    const answer = await post<Record<string, unknown>>({ inputs: inputsOf({ Domain__c: 'bad.example' }) })
    expect([answer.status, answer.body]).toMatchObject([
      422,
      {
        operationId: anyText,
        errors: [{ code: 'REQUIRED_FIELD_MISSING', fields: ['Name'] }],
        result: { success: false },
      },
    ])
  })
})

describe('the session', () => {
  const inputs = (domain: string) => inputsOf({ Domain__c: domain, Name: 'S' })
  const own = () => createTenant(service.app.url, service.simulator.url)

  it('that is refused once is renewed, and the record written', async () => {
    const { org } = service.simulator
    org.sessions.expireAll()
    expect((await post({ inputs: inputs('expired.example') })).body).toMatchObject({
      operation_type: 'Insert',
    })
  })

  const keyed: Record<string, string> = { 'idempotency-key': 'floqer-session' }
  it('that is refused again once renewed is a 502, and a broken connection a 424', async () => {
    const { org } = service.simulator
    const action = { type: 'expireSessions' } as const
    const fault = org.faults.add({ match: { object: 'Account' }, times: 0, action })
    await Promise.all(
      [keyed, {}].map(async (headers) => {
        const tenant = await own()
        const call = { inputs: inputs('refused.example') }
        const refused = await post<Record<string, unknown>>(call, headers, tenant)
        expect(refused.headers.get('content-type')).toMatch(/^application\/problem\+json/)
        expect([refused.status, refused.body]).toMatchObject([
          502,
          { code: 'INVALID_SESSION_ID', operationId: anyText, remedy: anyText, retryable: false },
        ])
        const operation = await tenant.operation(refused.body['operationId'] as string, 0)
        expect(operation).toMatchObject({ status: 'failure', metadata: { state: 'failed' } })
        const broken = await post<Record<string, unknown>>(call, {}, tenant)
        expect([broken.status, broken.body]).toMatchObject([424, { code: 'NO_WORKING_CONNECTION' }])
        if (headers === keyed) expect((await post(call, headers, tenant)).body).toEqual(refused.body)
      }),
    )
    org.faults.remove(fault)
    expect(accounts('refused.example')).toEqual([])
  })
})

describe('a call that is asynchronous, keyed or without an outcome', () => {
  const body = (domain: string, more: object = {}) => ({
    inputs: inputsOf({ Domain__c: domain, Name: 'K' }),
    ...more,
  })

  it('answers with an operation to follow, and travels with others', async () => {
    const policy = { mode: 'asynchronous', autoBatchPolicy: { maxDelaySeconds: 30, maxRecords: 2 } }
    const answers = await Promise.all(
      ['a.example', 'b.example'].map((domain) => post<{ operationId: string }>(body(domain, policy))),
    )
    for (const answer of answers)
      expect(answer).toMatchObject({ status: 200, body: { operationId: anyText } })
    const ended = await Promise.all(answers.map((one) => service.tenant.operation(one.body.operationId)))
    expect(ended.map(({ status }) => status)).toEqual(['success', 'success'])
    expect(ended[0]!.metadata.batchId).toBe(ended[1]!.metadata.batchId)
  })

  it('is made once under a key', async () => {
    const headers = { 'idempotency-key': 'floqer-1' }
    const first = await post(body('keyed.example', { reference: 'row 5' }), headers)
    expect(first.body).toMatchObject({ operation_type: 'Insert' })
    const again = await post(body('keyed.example', { reference: 'row 5' }), headers)
    expect([again.status, again.body]).toEqual([200, first.body])
    expect(again.headers.get('idempotency-replayed')).toBe('true')
    const other = await post<Record<string, unknown>>(body('other.example'), headers)
    expect([other.status, other.body['code']]).toEqual([422, 'IDEMPOTENCY_KEY_REUSED'])
  })

  it('tells that the queue goes on with it when its time is up', async () => {
    const { simulator, tenant } = service
    simulator.org.faults.add({ match: { object: 'Account' }, action: { type: 'hang', when: 'before' } })
    const answer = await post<Record<string, unknown>>(body('late.example'), { 'request-timeout': '1' })
    expect([answer.status, answer.body]).toMatchObject([504, { code: 'STILL_TRYING', operationId: anyText }])
    const operation = await tenant.operation(answer.body['operationId'] as string)
    expect(operation.metadata.state).toBe('succeeded')
  })
})
