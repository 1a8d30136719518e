import fc from 'fast-check'
import { interaction } from '../support/engagement.ts'
import { ADMIN_KEY, caller, createTenant, type Service, type Tenant } from '../support/service.ts'
import type { Known } from './from-schema.ts'
import { oddText } from './json-text.ts'
import type { Pools } from './requests.ts'

const id = '003RM000006EncrYAC'
const value = fc.oneof(
  fc.string({ maxLength: 10 }),
  fc.integer(),
  fc.boolean(),
  fc.constantFrom(null, '{{a}}', id),
)
const field = fc.constantFrom('LastName', 'FirstName', 'Email', 'External_Id__c', 'Score__c', 'Nope__c')

/** Records, of which most are taken and some of those written. */
const someRecord = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Record<string, unknown>>({ LastName: 'Ngata' }) },
  { weight: 3, arbitrary: fc.dictionary<unknown>(field, value, { maxKeys: 4 }) },
  {
    weight: 1,
    arbitrary: fc.dictionary<unknown>(fc.string(), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 4 }),
  },
)
const key = fc.constantFrom('k-1', 'k-2', 'K-1', 3)

/** What each kind of write has to have besides its record. */
const kinds = fc.oneof(
  someRecord.map((record) => ({ type: 'create', record })),
  someRecord.map((record) => ({ type: 'update', record: { ...record, id } })),
  fc.constant({ type: 'delete', record: { Id: id } }),
  fc.tuple(someRecord, key).map(([record, External_Id__c]) => ({
    type: 'upsert',
    externalIdField: 'External_Id__c',
    record: { ...record, External_Id__c },
  })),
  fc.array(someRecord, { minLength: 1, maxLength: 4 }).map((records) => ({
    type: 'create',
    batch: records.map((record) => ({ record })),
  })),
)

const modes = fc.oneof(
  fc.constantFrom<object[]>({}, { mode: 'synchronous' }, { mode: 'asynchronous' }),
  fc.constant({ mode: 'asynchronous', retryPolicy: { deadlineHours: 2 } }),
)

const extras = fc.oneof(
  { weight: 4, arbitrary: fc.constant<object>({}) },
  {
    weight: 3,
    arbitrary: fc.constantFrom<object[]>(
      { headers: [{ key: 'Sforce-Auto-Assign', value: 'FALSE' }] },
      { headers: [{ key: 'Sforce-Auto-Assign', value: 'TRUE\r\nX: y' }] },
      { headers: [{ key: 'X\r\n', value: '' }] },
      { options: { ignoreEmptyValues: true } },
      { options: { allowDuplicates: true } },
      { variables: { a: 'x' } },
      { variables: { a: { b: [1] } } },
      { reference: '\u202eref' },
    ),
  },
)

/** Bodies of the write call that are mostly in order: of what its schema takes, nearly nothing is. */
const writes = (groupRefs: fc.Arbitrary<string>): fc.Arbitrary<unknown> =>
  fc
    .tuple(groupRefs, kinds, modes, extras)
    .map(([groupRef, kind, mode, extra]) => ({ groupRef, ...kind, ...mode, ...extra }))

/** Writes of a bulk call that are mostly in order: what a single call takes, and its object. */
const bulkWrites = (groupRefs: fc.Arbitrary<string>): fc.Arbitrary<unknown> =>
  fc
    .tuple(groupRefs, kinds, extras, fc.constantFrom('Contact', 'Account', 'Nope__c', 'bad name', ''))
    .chain(([groupRef, kind, extra, objectName]) =>
      fc
        .option(fc.constantFrom('bulk-1', 'bulk-2', 'two words'), { nil: undefined })
        .map((idempotencyKey) => ({ groupRef, objectName, ...kind, ...extra, idempotencyKey })),
    )

const methods = fc.oneof(
  fc.constant({ method: 'INSERT' }),
  fc.constant({ method: 'UPSERT', externalField: 'External_Id__c' }),
  fc.constantFrom<object[]>({ method: 'UPDATE' }, { method: 'UPSERT', externalField: 'Id' }, {}),
)
const scriptRecord = fc
  .tuple(someRecord, fc.constantFrom(id, 'k-1', null), fc.boolean())
  .map(([fields, given, isNamed]) => ({
    fields,
    ...(isNamed && { id: given, type: 'contact', name: 'Somebody' }),
  }))

/** Bodies of the records call that are mostly in order. */
const scripts = (groupRefs: fc.Arbitrary<string>): fc.Arbitrary<unknown> =>
  fc
    .tuple(
      groupRefs,
      methods,
      fc.array(scriptRecord, { minLength: 1, maxLength: 4 }),
      modes.map(({ mode }: { mode?: string }) => (mode === undefined ? {} : { mode })),
      fc.constantFrom<object[]>({}, {}, {}, { storedProcedure: 'constructor' }, { variables: { a: 'x' } }),
    )
    .map(([groupRef, method, records, mode, extra]) => ({
      ...{ groupRef, type: 'Contact', records, roomId: 'room' },
      ...method,
      ...mode,
      ...extra,
    }))

/** Bodies of the actions of Callers that are mostly in order. */
function actions(groupRefs: fc.Arbitrary<string>): Known {
  const object = fc.constantFrom('Contact', 'Contact', 'Account', '{{a}}', 'bad name')
  const texts = (value: fc.Arbitrary<unknown>) =>
    fc.oneof(
      { weight: 4, arbitrary: value },
      { weight: 1, arbitrary: value.map((one) => JSON.stringify(one)) },
    )
  const data = texts(someRecord)
  const records = fc.array(someRecord, { minLength: 1, maxLength: 4 })
  const own: Record<string, fc.Arbitrary<object>> = {
    CreateObject: fc.record({ data }),
    UpdateObject: fc.record({ data, id: fc.constantFrom(id, '{{a}}') }),
    UpsertObject: fc.record({
      data: texts(
        fc.tuple(someRecord, key).map(([record, External_Id__c]) => ({ ...record, External_Id__c })),
      ),
      externalIdField: fc.constantFrom('External_Id__c', 'external_id__c', '{{a}}'),
    }),
    BulkCreate: fc.record({ records: texts(records) }),
    BulkUpdate: fc.record({ records: texts(records.map((some) => some.map((one) => ({ ...one, id })))) }),
  }
  const more = fc.constantFrom<object[]>({}, {}, { variables: { a: 'Contact' } }, { reference: '\u202eref' })
  return Object.fromEntries(
    Object.entries(own).map(([title, part]) => [
      `title ${title}`,
      fc.tuple(groupRefs, object, part, modes, more).map(([groupRef, name, body, mode, extra]) => ({
        groupRef,
        object: name,
        ...body,
        ...mode,
        ...extra,
      })),
    ]),
  )
}

/** Bodies of Floqer's upsert that are mostly in order. */
const floqerUpserts = (groupRefs: fc.Arbitrary<string>): fc.Arbitrary<unknown> =>
  fc
    .tuple(groupRefs, someRecord, key, modes, fc.constantFrom(true, 'OFF', 'on', 'maybe', undefined))
    .map(([groupRef, record, External_Id__c, mode, onOrOff]) => ({
      groupRef,
      inputs: {
        salesforce_object: 'Contact',
        salesforce_external_id_field: 'External_Id__c',
        add_fields_and_their_values: Object.entries({ ...record, External_Id__c }).map(([name, value]) => ({
          name,
          value,
        })),
        ignore_empty_values: onOrOff,
      },
      ...mode,
    }))

/** Bodies of engagement interactions that are mostly in order. */
const interactions = (groupRefs: fc.Arbitrary<string>): fc.Arbitrary<unknown> =>
  fc
    .tuple(
      groupRefs,
      fc.record(
        {
          reason: value,
          externalIdentifierId: key,
          sentiment: fc.constantFrom('Positive', 'Neutral', 'Nope'),
          endDateTime: fc.constantFrom('2030-01-01T00:00:00Z', '2001-01-01T00:00:00Z', '{{a}}'),
          customFieldsList: fc.array(fc.record({ key: oddText, value }), { maxLength: 2 }),
          engagementTopics: fc.array(fc.record({ name: oddText }), { maxLength: 2 }),
        },
        { requiredKeys: [] },
      ),
      modes,
      value,
    )
    .map(([groupRef, part, mode, a]) => ({
      groupRef,
      engagementInteraction: interaction(part),
      variables: { a },
      ...mode,
    }))

/**
 * Bodies of queries that are mostly in order.
 *
 * @param name the member that holds the statement
 */
const queries = (groupRefs: fc.Arbitrary<string>, name: 'soql' | 'query'): fc.Arbitrary<unknown> =>
  fc
    .tuple(
      groupRefs,
      fc.oneof(
        fc.constantFrom(
          "SELECT Id, LastName FROM Contact WHERE LastName = '{{a}}' LIMIT 3",
          'SELECT Id FROM Contact WHERE Score__c = {{a}} LIMIT 3',
          'SELECT Nope__c FROM Contact',
          "SELECT Id FROM Contact WHERE LastName = '",
          'SELECT Id FROM Contact FOR UPDATE',
        ),
        oddText,
      ),
      value,
    )
    .map(([groupRef, statement, a]) => ({ groupRef, [name]: statement, variables: { a } }))

/** Custom calls that are mostly in order, and would reach nothing but the org. */
const customCalls = (groupRefs: fc.Arbitrary<string>): fc.Arbitrary<unknown> =>
  fc
    .tuple(
      groupRefs,
      fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'),
      fc.oneof(
        fc.constantFrom(
          '/limits',
          '/sobjects/Contact',
          `/sobjects/Contact/${id}`,
          '/composite',
          '//x/',
          '/a/../b',
        ),
        fc.constantFrom(
          '/services/apexrest/x',
          'http://127.0.0.1:1/services/data/v67.0/limits',
          '/{{a}}/{{a}}',
        ),
        oddText,
      ),
      fc.option(fc.oneof(someRecord, oddText), { nil: undefined }),
      value,
    )
    .map(([groupRef, method, endpoint, body, a]) => ({
      ...{ groupRef, method, endpoint, variables: { a } },
      ...(body !== undefined && { body }),
    }))

function bodiesFor(tenant: Tenant, other: Tenant, simulatorUrl: string): Known {
  const groupRefs = fc.oneof(
    { weight: 6, arbitrary: fc.constant(tenant.groupRef) },
    { weight: 1, arbitrary: fc.constantFrom(other.groupRef, 'somebody else') },
  )
  const entry = {
    objectName: 'Contact',
    deletionSettings: { enabled: true },
    fieldMappings: { mail: 'Email' },
  }
  return {
    'title WriteRequest': writes(groupRefs),
    'title BulkWrite': bulkWrites(groupRefs),
    'title QueryRequest': queries(groupRefs, 'soql'),
    'title ScriptQuery': queries(groupRefs, 'query'),
    'title EngagementRequest': interactions(groupRefs),
    'title CustomCallRequest': customCalls(groupRefs),
    'title ObjectOptionsRequest': groupRefs.map((groupRef) => ({ groupRef })),
    'title FieldOptionsRequest': fc
      .tuple(groupRefs, fc.constantFrom('Contact', 'contact', 'Nope__c', ''))
      .map(([groupRef, name]) => ({ groupRef, context: { salesforce_object: name } })),
    'title RecordsRequest': scripts(groupRefs),
    ...actions(groupRefs),
    'title FloqerUpsert': floqerUpserts(groupRefs),
    'title WriteSettings': fc.constantFrom({}, { packing: 'none' }, { objects: { Contact: entry } }),
    connectionId: fc.constantFrom(tenant.connectionId, other.connectionId),
    // Few enough that an installation meets a connection of its group.
    groupRef: fc.nat(20).map((number) => `customer ${number}`),
    recordId: fc.constant(id),
    // A destination's, of which the simulator knows nothing.
    url: fc.constantFrom(`${simulatorUrl}/hook`, `${simulatorUrl}/hook?a=1`, 'not a url'),
    'format login-url': fc.constant(simulatorUrl),
    'format instance-url': fc.constant(simulatorUrl),
    'format web-url': fc.constantFrom(
      'https://app.example.com/a?b=%22#c',
      'http://a.test',
      'javascript:alert(1)',
      '',
    ),
  }
}

/** Operations in every state, and one of another project. */
const makeOperations = (tenant: Tenant, other: Tenant): Promise<string[]> => {
  const type = 'create'
  const record = { LastName: 'Here' }
  const later = { type, record, autoBatchPolicy: { maxDelayMinutes: 600 } }
  return Promise.all([
    tenant.write('Contact', { type, record }),
    tenant.write('Contact', { type, record: {} }),
    tenant.write('Contact', { type, batch: [{ record }, { record: {} }] }),
    ...Array.from({ length: 6 }, () => tenant.write('Contact', later)),
    other.write('Contact', { type, record }),
  ])
}

const times = (count: number, text: string): string[] => new Array<string>(count).fill(text)

/** Of each kind, how many there are to be taken away or renamed. */
const SPARES = 4

/** Where nothing listens. */
const hook = { type: 'webhook', metadata: { url: 'http://127.0.0.1:1/hook' } }

/** What calls may take away or rename without the others missing it. */
async function makeSpares(tenant: Tenant, make: (path: string, body: unknown) => Promise<string>) {
  const base = `/v1/projects/${tenant.projectId}`
  const installations = `${base}/integrations/${tenant.integrationId}/installations`
  const credentials = {
    type: 'access-token',
    accessToken: 'x',
    instanceUrl: 'https://spare.my.salesforce.com',
  }
  const several = async (makeOne: (name: string) => Promise<string>): Promise<string[]> => {
    const ids: string[] = []
    for (let number = 1; number <= SPARES; number += 1) ids.push(await makeOne(`spare ${number}`))
    return ids
  }
  const connect = (groupRef: string) =>
    make(`${base}/connections`, { groupRef, provider: 'salesforce', credentials })
  const install = async (groupRef: string) => {
    const connectionId = await connect(groupRef)
    const config = { content: { provider: 'salesforce', write: {} } }
    return make(installations, { groupRef, connectionId, config })
  }
  const project = [tenant.projectId]
  const integration = [tenant.integrationId]
  // Each call has its own: what one took away would be missed by the other.
  const installed = async (use: string) => ({
    project,
    integration,
    installationId: await several((name) => install(`${use} ${name}`)),
  })
  const integrated = async (use: string) => ({
    project,
    integration: await several((name) =>
      make(`${base}/integrations`, { name: `${use} ${name}`, provider: 'salesforce' }),
    ),
  })
  const keys = async () => ({
    project,
    id: await several((label) => make(`${base}/api-keys`, { label, scopes: ['read'] })),
  })
  const destinations = async (use: string) => ({
    project,
    id: await several((name) => make(`${base}/destinations`, { name: `${use} ${name}`, ...hook })),
  })
  const template = '/v1/projects/{project}'
  const ofIntegration = `${template}/integrations/{integration}`
  return {
    [`PATCH ${ofIntegration}`]: await integrated('renamed'),
    [`DELETE ${ofIntegration}`]: await integrated('deleted'),
    [`PATCH ${ofIntegration}/installations/{installationId}`]: await installed('changed'),
    [`DELETE ${ofIntegration}/installations/{installationId}`]: await installed('deleted'),
    [`PATCH ${template}/api-keys/{id}`]: await keys(),
    [`DELETE ${template}/api-keys/{id}`]: await keys(),
    [`DELETE ${template}/connections/{id}`]: { project, id: await several(connect) },
    [`PATCH ${template}/destinations/{id}`]: await destinations('changed'),
    [`DELETE ${template}/destinations/{id}`]: await destinations('deleted'),
  }
}

/** What requests to a service are made of, set up in it: a tenant, another, keys of every kind, operations. */
export async function preparePools({ tenant, app, simulator, database }: Service): Promise<Pools> {
  const other = await createTenant(app.url, simulator.url)
  const admin = caller(app.url)
  const base = `/v1/projects/${tenant.projectId}`
  const made = async (path: string, body: unknown): Promise<Record<string, string>> =>
    (await admin<Record<string, string>>('POST', path, body)).body
  const keys: string[] = []
  for (const scopes of [['write'], ['read'], ['admin'], ['write', 'read', 'admin']])
    keys.push((await made(`${base}/api-keys`, { label: 'fuzz', scopes }))['key']!)
  const [listed] = (await admin<{ results: { id: string }[] }>('GET', `${base}/api-keys`)).body.results
  const operations = await makeOperations(tenant, other)
  const written = await tenant.operation(operations[0]!)
  // all of them, since only those in which something waits are listed
  const lanes = await database.sql<{ id: string }[]>`
    select id from lane where installation_id = ${tenant.installationId}`
  const spare = await made(`${base}/connections`, {
    groupRef: 'spare',
    provider: 'salesforce',
    credentials: { type: 'access-token', accessToken: 'x', instanceUrl: simulator.url },
  })
  const destination = await made(`${base}/destinations`, { name: 'told', ...hook })
  return {
    keys: [ADMIN_KEY, ...keys, '', 'wrong', `wb_${'A'.repeat(43)}`],
    places: {
      project: [...times(9, tenant.projectId), other.projectId],
      integration: [...times(5, tenant.integrationId), ...times(5, 'crm'), other.integrationId],
      installationId: [tenant.installationId, tenant.installationId, other.installationId],
      operation: operations,
      batch: [written.metadata.batchId!, tenant.projectId],
      lane: [...lanes.map((lane) => lane.id), tenant.projectId],
      object: [...times(6, 'Contact'), 'Account', 'Lead', 'Nope__c', 'bad name'],
      id: [spare['id']!, listed!.id, other.connectionId, destination['id']!],
    },
    spares: await makeSpares(tenant, async (path, body) => (await made(path, body))['id']!),
    bodies: bodiesFor(tenant, other, simulator.url),
  }
}
