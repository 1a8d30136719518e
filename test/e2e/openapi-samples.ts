import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { interaction } from '../support/engagement.ts'
import { ADMIN_KEY, caller, type Call, type Service, type Tenant } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'

/** A request that a route of the document takes, and how it is answered. */
export interface Sample {
  /** The path with everything filled in, and the query. */
  path: string
  /** Sent as JSON, unless it is text. */
  body?: unknown
  headers?: Record<string, string>
  status: number
}

/** What samples are made from: a tenant with something of every kind in it. */
export interface World {
  service: Service
  tenant: Tenant
  admin: Call
  /** `/v1/projects/{project}` of the tenant, and its installation's path. */
  base: string
  integration: string
  installation: string
  /** A server that takes every notification. */
  receiverUrl: string
  stop: () => Promise<void>
}

export async function createWorld(service: Service): Promise<World> {
  const { tenant } = service
  const receiver: Server = createServer((request, response) => {
    request.resume()
    response.writeHead(204).end()
  })
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
  const base = `/v1/projects/${tenant.projectId}`
  const integration = `${base}/integrations/${tenant.integrationId}`
  return {
    service,
    tenant,
    admin: caller(service.app.url, ADMIN_KEY),
    base,
    integration,
    installation: `${integration}/installations/${tenant.installationId}`,
    receiverUrl: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`,
    stop: () => new Promise((resolve) => receiver.close(() => resolve())),
  }
}

let made = 0
const fresh = (what: string): string => {
  made += 1
  return `${what}-${process.pid}-${made}`
}

/** Makes something by a call; its id, with the path that names it. */
async function create({ admin }: World, path: string, body: unknown): Promise<{ id: string; path: string }> {
  const answer = await admin<{ id: string }>('POST', path, body)
  if (answer.status !== 201) throw new Error(`POST ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
  return { id: answer.body.id, path: `${path}/${answer.body.id}` }
}

const project = (world: World) => create(world, '/v1/projects', { name: fresh('project') })
const apiKey = (world: World) =>
  create(world, `${world.base}/api-keys`, { label: 'sample', scopes: ['read'] })
const integration = (world: World) =>
  create(world, `${world.base}/integrations`, { name: fresh('integration'), provider: 'salesforce' })

const credentials = ({ service }: World) => ({
  type: 'oauth2-client-credentials',
  clientId: 'writeback-demo',
  clientSecret: 'demo-secret',
  loginUrl: service.simulator.url,
})
const connection = (world: World) =>
  create(world, `${world.base}/connections`, {
    groupRef: fresh('group'),
    provider: 'salesforce',
    credentials: credentials(world),
  })

const content = { content: { provider: 'salesforce', write: {} } }
async function installation(world: World) {
  const groupRef = fresh('group')
  const connections = `${world.base}/connections`
  await create(world, connections, { groupRef, provider: 'salesforce', credentials: credentials(world) })
  return create(world, `${world.integration}/installations`, { groupRef, config: content })
}

const newDestination = ({ receiverUrl }: World) => ({
  name: fresh('destination'),
  type: 'webhook',
  metadata: { url: receiverUrl },
})
const destination = (world: World) => create(world, `${world.base}/destinations`, newDestination(world))

const contact = { type: 'create', record: { LastName: 'Sample' } }
const hour = { autoBatchPolicy: { maxDelayMinutes: 60 } }
const operationPath = (world: World, id: string) => `${world.base}/operations/${id}`
const queued = async (world: World) =>
  operationPath(world, await world.tenant.write('Contact', { ...contact, ...hour }))

async function ended(world: World, body: Record<string, unknown> = contact): Promise<string> {
  const id = await world.tenant.write('Contact', body)
  await world.tenant.operation(id)
  return operationPath(world, id)
}

async function doubtful(world: World): Promise<string> {
  world.service.simulator.org.faults.add({
    match: { operation: 'collections.create', object: 'Contact' },
    action: { type: 'dropAfter' },
  })
  return ended(world)
}

async function lane(world: World): Promise<string> {
  await queued(world)
  const { body } = await world.admin<{ results: { id: string }[] }>('GET', `${world.installation}/lanes`)
  return body.results[0]!.id
}

async function batch(world: World): Promise<string> {
  const { body } = await world.admin<{ metadata: { batchId: string } }>('GET', await ended(world))
  return body.metadata.batchId
}

const failed = { type: 'create', record: { FirstName: 'No last name' } }

/** A destination that has been told of something. */
async function toldDestination(world: World): Promise<string> {
  const { path } = await destination(world)
  await ended(world)
  const isTold = async (): Promise<boolean> => {
    const { body } = await world.admin<{ results: unknown[] }>('GET', `${path}/deliveries`)
    return body.results.length > 0
  }
  await waitUntil(isTold, { timeoutMs: 10_000, what: 'a delivery' })
  return path
}

type Make = (world: World) => Promise<Sample[]> | Sample[]

const listed =
  (path: (world: World) => string, make: (world: World) => Promise<unknown>): Make =>
  async (world) => {
    await make(world)
    await make(world)
    return [
      { path: path(world), status: 200 },
      { path: `${path(world)}?pageSize=1`, status: 200 },
      { path: `${path(world)}?pageSize=0`, status: 400 },
    ]
  }
const one =
  (make: (world: World) => Promise<{ path: string }>, status = 200, more: Partial<Sample> = {}): Make =>
  async (world) => [{ path: (await make(world)).path, status, ...more }]

const writePath = (world: World) => `${world.integration}/objects/Contact`

/** An action that is made, in either mode, one that the org refuses, and one that is refused for its body. */
function actions({ integration: base, tenant }: World, name: string, good: object, bad: object): Sample[] {
  const path = `${base}/actions/${name}`
  const of = (part: object) => ({ groupRef: tenant.groupRef, object: 'Contact', ...part })
  return [
    { path, body: of(good), status: 200 },
    { path, body: of({ ...good, mode: 'asynchronous' }), status: 200 },
    { path, body: of(bad), status: 422 },
    { path, body: of({ colour: 'red' }), status: 400 },
  ]
}
const bulkLine = ({ tenant }: World, more: object = {}) => ({
  groupRef: tenant.groupRef,
  objectName: 'Contact',
  ...contact,
  ...more,
})

function fieldOptions({ integration: base, tenant }: World, list: string): Sample[] {
  const path = `${base}/options/${list}`
  const of = (name: string) => ({ groupRef: tenant.groupRef, context: { salesforce_object: name } })
  return [
    { path, body: of('Account'), status: 200 },
    { path, body: of('Nope__c'), status: 400 },
  ]
}

/**
 * Samples by route as the document names it. A route without one fails the walk by its name: add it here, with
 * every kind of answer that it has.
 */
export const samples: Record<string, Make> = {
  'GET /healthz': () => [{ path: '/healthz', status: 200 }],
  'GET /readyz': () => [{ path: '/readyz', status: 200 }],
  'GET /metrics': () => [{ path: '/metrics', status: 200 }],

  'POST /v1/projects': () => {
    const name = fresh('project')
    return [
      { path: '/v1/projects', body: { name }, status: 201 },
      { path: '/v1/projects', body: { name }, status: 409 },
    ]
  },
  'GET /v1/projects': listed(() => '/v1/projects', project),
  'GET /v1/projects/{project}': one(project),
  'PATCH /v1/projects/{project}': one(project, 200, { body: { name: fresh('renamed') } }),
  'DELETE /v1/projects/{project}': async (world) => [
    { path: world.base, status: 409 },
    { path: (await project(world)).path, status: 204 },
  ],

  'POST /v1/projects/{project}/api-keys': ({ base }) => [
    { path: `${base}/api-keys`, body: { label: 'sample', scopes: ['write'] }, status: 201 },
  ],
  'GET /v1/projects/{project}/api-keys': listed(({ base }) => `${base}/api-keys`, apiKey),
  'GET /v1/projects/{project}/api-keys/{id}': one(apiKey),
  'PATCH /v1/projects/{project}/api-keys/{id}': one(apiKey, 200, { body: { label: 'renamed' } }),
  'DELETE /v1/projects/{project}/api-keys/{id}': one(apiKey, 204),

  'POST /v1/projects/{project}/integrations': ({ base }) => {
    const body = { name: fresh('integration'), provider: 'salesforce' }
    const path = `${base}/integrations`
    return [
      { path, body, status: 201 },
      { path, body, status: 409 },
    ]
  },
  'GET /v1/projects/{project}/integrations': listed(({ base }) => `${base}/integrations`, integration),
  'GET /v1/projects/{project}/integrations/{integration}': one(integration),
  'PATCH /v1/projects/{project}/integrations/{integration}': async (world) => [
    { path: (await integration(world)).path, body: { name: fresh('renamed') }, status: 200 },
  ],
  'DELETE /v1/projects/{project}/integrations/{integration}': async (world) => [
    { path: world.integration, status: 409 },
    { path: (await integration(world)).path, status: 204 },
  ],

  'POST /v1/projects/{project}/connections': (world) => [
    {
      path: `${world.base}/connections`,
      body: { groupRef: fresh('group'), provider: 'salesforce', credentials: credentials(world) },
      status: 201,
    },
  ],
  'POST /v1/projects/{project}/connections:connect': ({ base, tenant, service }) => {
    const path = `${base}/connections:connect`
    const body = { groupRef: tenant.groupRef, provider: 'salesforce', clientId: 'an-app' }
    const returnUrl = 'https://app.example.com/settings'
    return [
      { path, body, status: 201 },
      { path, body: { ...body, loginUrl: service.simulator.url, clientSecret: 'x', returnUrl }, status: 201 },
      { path, body: { ...body, loginUrl: 'https://example.com' }, status: 400 },
      { path, body: { ...body, returnUrl: 'javascript:alert(1)' }, status: 400 },
    ]
  },
  'GET /v1/projects/{project}/connections': listed(({ base }) => `${base}/connections`, connection),
  'GET /v1/projects/{project}/connections/{id}': one(connection),
  'PATCH /v1/projects/{project}/connections/{id}': async (world) => [
    { path: (await connection(world)).path, body: { credentials: credentials(world) }, status: 200 },
  ],
  'DELETE /v1/projects/{project}/connections/{id}': async (world) => [
    { path: `${world.base}/connections/${world.tenant.connectionId}`, status: 409 },
    { path: (await connection(world)).path, status: 204 },
  ],

  'POST /v1/projects/{project}/integrations/{integration}/installations': async (world) => {
    const groupRef = fresh('group')
    const path = `${world.integration}/installations`
    const body = { groupRef, connectionId: (await connection(world)).id, config: content }
    await create(world, `${world.base}/connections`, {
      groupRef,
      provider: 'salesforce',
      credentials: credentials(world),
    })
    const without = { groupRef, config: content }
    return [
      { path, body: without, status: 201 },
      { path, body: without, status: 409 },
      { path, body, status: 400 },
    ]
  },
  'GET /v1/projects/{project}/integrations/{integration}/installations': listed(
    (world) => `${world.integration}/installations`,
    installation,
  ),
  'GET /v1/projects/{project}/integrations/{integration}/installations/{installationId}': one(installation),
  'PATCH /v1/projects/{project}/integrations/{integration}/installations/{installationId}': one(
    installation,
    200,
    {
      body: {
        config: { content: { provider: 'salesforce', write: { objects: { Lead: { objectName: 'Lead' } } } } },
      },
    },
  ),
  'DELETE /v1/projects/{project}/integrations/{integration}/installations/{installationId}': one(
    installation,
    204,
  ),

  'POST /v1/projects/{project}/integrations/{integration}/objects/{object}': (world) => {
    const { groupRef } = world.tenant
    const path = writePath(world)
    const batchOf = (...records: object[]) => ({
      groupRef,
      type: 'create',
      batch: records.map((record) => ({ record })),
    })
    const headers = { 'idempotency-key': fresh('key') }
    const keyed = { groupRef, ...contact, mode: 'asynchronous' }
    return [
      { path, body: { groupRef, ...contact }, status: 200 },
      { path, body: { groupRef, ...contact, mode: 'asynchronous' }, status: 200 },
      { path, body: { groupRef, ...failed }, status: 422 },
      { path, body: batchOf({ LastName: 'A' }, { FirstName: 'B' }), status: 200 },
      { path, body: batchOf({ FirstName: 'B' }), status: 422 },
      { path, body: keyed, headers, status: 200 },
      { path, body: keyed, headers, status: 200 },
      { path, body: { ...keyed, record: { LastName: 'Another' } }, headers, status: 422 },
      {
        path,
        body: { groupRef, ...contact, type: 'delete', record: { id: '003RM000006EncrYAC' } },
        status: 403,
      },
      { path, body: { groupRef: 'nobody', ...contact }, status: 404 },
      { path, body: { groupRef, ...contact, nonsense: 1 }, status: 400 },
    ]
  },
  'POST /v1/projects/{project}/integrations/{integration}/writes': (world) => {
    const path = `${world.integration}/writes`
    const writes = [bulkLine(world), bulkLine(world, { type: 'nonsense' })]
    const lines = writes.map((write) => JSON.stringify(write)).join('\n')
    return [
      { path, body: { writes }, status: 200 },
      { path, body: lines, headers: { 'content-type': 'application/x-ndjson' }, status: 200 },
      { path, body: { nonsense: [] }, status: 400 },
    ]
  },
  'POST /v1/projects/{project}/integrations/{integration}/connect/service-excellence/engagement-interactions':
    (world) => {
      const { groupRef } = world.tenant
      const path = `${world.integration}/connect/service-excellence/engagement-interactions`
      const of = (part: Record<string, unknown> = {}) => ({
        groupRef,
        engagementInteraction: interaction(part),
      })
      return [
        { path, body: of({ engagementTopics: [{ name: 'fee reversal' }] }), status: 200 },
        { path, body: { ...of(), mode: 'asynchronous' }, status: 200 },
        { path, body: of({ ownerId: 'nobody' }), status: 422 },
        { path, body: of({ colour: 'red' }), status: 400 },
      ]
    },
  'POST /v1/projects/{project}/integrations/{integration}/actions/create-object': (world) =>
    actions(world, 'create-object', { data: { LastName: 'Acts' } }, { data: { FirstName: 'x' } }),
  'POST /v1/projects/{project}/integrations/{integration}/actions/update-object': async (world) => {
    const { body } = await world.tenant.post<{ result: { recordId: string } }>('Contact', contact)
    const id = body.result.recordId
    return actions(world, 'update-object', { id, data: { Title: 'CTO' } }, { id, data: { Nope__c: 1 } })
  },
  'POST /v1/projects/{project}/integrations/{integration}/actions/upsert': (world) => {
    const keyed = (LastName: string | null) => ({
      externalIdField: 'External_Id__c',
      data: { External_Id__c: fresh('key'), LastName },
    })
    return actions(world, 'upsert', keyed('Acts'), keyed(null))
  },
  'POST /v1/projects/{project}/integrations/{integration}/actions/bulk-create': (world) =>
    actions(world, 'bulk-create', { records: [{ LastName: 'A' }, {}] }, { records: [{}] }),
  'POST /v1/projects/{project}/integrations/{integration}/actions/bulk-update': async (world) => {
    const { body } = await world.tenant.post<{ result: { recordId: string } }>('Contact', contact)
    const id = body.result.recordId
    const unknown = [{ id: '003RM000006EncrYAC', Title: 'x' }]
    return actions(world, 'bulk-update', { records: [{ id, Title: 'CTO' }] }, { records: unknown })
  },
  'POST /v1/projects/{project}/integrations/{integration}/records': (world) => {
    const { groupRef } = world.tenant
    const path = `${world.integration}/records`
    const own = { method: 'INSERT', type: 'Contact' }
    const insert = { groupRef, ...own }
    const records = [{ fields: { LastName: 'Sample' } }, { fields: { FirstName: 'No last name' } }]
    const headers = { 'idempotency-key': fresh('key') }
    return [
      { path, body: { ...insert, records }, status: 200 },
      { path: `${path}?groupRef=${groupRef}`, body: { ...own, records }, status: 200 },
      { path, body: { ...insert, records, mode: 'asynchronous' }, status: 200 },
      { path, body: { ...insert, records }, headers, status: 200 },
      { path, body: { ...insert, records }, headers, status: 200 },
      { path, body: { ...insert, records: records.slice(0, 1) }, headers, status: 422 },
      { path, body: { ...insert, groupRef: 'nobody', records }, status: 404 },
      { path, body: { ...insert, records: [{ id: 5, nonsense: 1 }, 'x'], orgId: 1 }, status: 400 },
      { path, body: { ...insert, records, storedProcedure: 'Nobody' }, status: 400 },
      { path, body: '{', status: 400 },
    ]
  },
  'POST /v1/projects/{project}/integrations/{integration}/actions/salesforce_upsert_record': (world) => {
    const { groupRef } = world.tenant
    const path = `${world.integration}/actions/salesforce_upsert_record`
    const bodyOf = (...fields: [name: string, value: string][]) => ({
      groupRef,
      inputs: {
        salesforce_object: 'Contact',
        salesforce_external_id_field: 'External_Id__c',
        add_fields_and_their_values: fields.map(([name, value]) => ({ name, value })),
      },
    })
    const key: [string, string] = ['External_Id__c', fresh('key')]
    const body = bodyOf(key, ['LastName', 'Sample'])
    return [
      { path, body, status: 200 },
      { path, body: { ...body, mode: 'asynchronous' }, status: 200 },
      { path, body: bodyOf(['External_Id__c', fresh('key')]), status: 422 },
      { path, body: bodyOf(['LastName', 'Sample']), status: 400 },
      { path, body: { ...body, groupRef: 'nobody' }, status: 404 },
    ]
  },

  'POST /v1/projects/{project}/integrations/{integration}/actions/query': (world) => {
    const { groupRef } = world.tenant
    const path = `${world.integration}/actions/query`
    const soql = "SELECT Id, LastName FROM Contact WHERE LastName = '{{ name }}'"
    return [
      { path, body: { groupRef, soql, variables: { name: 'Sample' } }, status: 200 },
      { path, body: { groupRef, soql: 'SELECT Nope__c FROM Contact' }, status: 400 },
      { path, body: { groupRef, soql: 'DELETE FROM Contact' }, status: 400 },
      { path, body: { groupRef: 'nobody', soql }, status: 404 },
    ]
  },
  'POST /v1/projects/{project}/integrations/{integration}/query': (world) => {
    const { groupRef } = world.tenant
    const path = `${world.integration}/query`
    const query = "SELECT Id, LastName FROM Contact WHERE LastName = '{{ name }}'"
    const room = { orgId: null, roomId: 'room' }
    return [
      { path, body: { groupRef, ...room, query, variables: { name: 'Sample' } }, status: 200 },
      { path: `${path}?groupRef=${groupRef}`, body: { query: 'SELECT Id FROM Contact' }, status: 200 },
      { path, body: { groupRef, ...room, query: 'SELECT Nope__c FROM Contact' }, status: 400 },
      { path, body: { groupRef, orgId: 1, query: 'DELETE FROM Contact', nonsense: 1 }, status: 400 },
      { path, body: { groupRef: 'nobody', query }, status: 404 },
      { path, body: '{', status: 400 },
    ]
  },
  'POST /v1/projects/{project}/integrations/{integration}/actions/custom-api-call': (world) => {
    const { groupRef } = world.tenant
    const path = `${world.integration}/actions/custom-api-call`
    const call = (method: string, endpoint: string, more = {}) => ({ groupRef, method, endpoint, ...more })
    return [
      { path, body: call('GET', '/limits'), status: 200 },
      { path, body: call('POST', '/sobjects/Account', { body: { Name: 'Sample' } }), status: 200 },
      { path, body: call('GET', '/sobjects/Nope__c'), status: 200 },
      { path, body: call('DELETE', '/sobjects/Account/001RM000003oLruYAE'), status: 403 },
      { path, body: call('GET', '//elsewhere.example.com/'), status: 400 },
    ]
  },
  'POST /v1/projects/{project}/integrations/{integration}/options/salesforce_object': (world) => [
    {
      path: `${world.integration}/options/salesforce_object`,
      body: { groupRef: world.tenant.groupRef },
      status: 200,
    },
  ],
  'POST /v1/projects/{project}/integrations/{integration}/options/salesforce_external_id_field': (world) =>
    fieldOptions(world, 'salesforce_external_id_field'),
  'POST /v1/projects/{project}/integrations/{integration}/options/add_fields_and_their_values': (world) =>
    fieldOptions(world, 'add_fields_and_their_values'),

  'GET /v1/projects/{project}/operations/{operation}': async (world) => [
    { path: await ended(world), status: 200 },
    { path: await ended(world, failed), status: 200 },
    { path: await doubtful(world), status: 200 },
    { path: `${await queued(world)}?wait=0.1`, status: 200 },
    { path: `${await queued(world)}?wait=61`, status: 400 },
  ],
  'GET /v1/projects/{project}/operations/{operation}/logs': async (world) => [
    { path: `${await ended(world)}/logs`, status: 200 },
    { path: `${await ended(world, failed)}/logs`, status: 200 },
  ],
  'GET /v1/projects/{project}/integrations/{integration}/installations/{installationId}/operations': listed(
    (world) => `${world.installation}/operations`,
    (world) => ended(world),
  ),
  'POST /v1/projects/{project}/operations:batchGet': async (world) => {
    const id = (await ended(world)).split('/').at(-1)
    return [{ path: `${world.base}/operations:batchGet`, body: { ids: [id, 'nothing'] }, status: 200 }]
  },
  'POST /v1/projects/{project}/operations/{operation}:cancel': async (world) => {
    const path = `${await queued(world)}:cancel`
    return [
      { path, status: 200 },
      { path, status: 409 },
    ]
  },
  'POST /v1/projects/{project}/operations/{operation}:retry': async (world) => [
    { path: `${await ended(world, failed)}:retry`, status: 200 },
    { path: `${await ended(world)}:retry`, status: 409 },
  ],
  'POST /v1/projects/{project}/operations/{operation}:resolve': async (world) => {
    const path = `${await doubtful(world)}:resolve`
    return [
      { path, body: { success: false }, status: 200 },
      { path, body: { success: false }, status: 409 },
    ]
  },
  'POST /v1/projects/{project}/operations/{operation}:promote': async (world) => {
    const path = `${await queued(world)}:promote`
    const bad = operationPath(world, await world.tenant.write('Contact', { ...failed, ...hour }))
    return [
      { path, status: 200 },
      { path, status: 409 },
      { path: `${bad}:promote`, status: 422 },
      { path: `${await queued(world)}:promote`, headers: { 'request-timeout': 'soon' }, status: 400 },
    ]
  },

  'GET /v1/projects/{project}/batches/{batch}': async (world) => [
    { path: `${world.base}/batches/${await batch(world)}`, status: 200 },
  ],
  'GET /v1/projects/{project}/integrations/{integration}/installations/{installationId}/batches': listed(
    (world) => `${world.installation}/batches`,
    batch,
  ),
  'GET /v1/projects/{project}/integrations/{integration}/installations/{installationId}/lanes': listed(
    (world) => `${world.installation}/lanes`,
    lane,
  ),
  'POST /v1/projects/{project}/lanes/{lane}:flush': async (world) => [
    { path: `${world.base}/lanes/${await lane(world)}:flush`, status: 200 },
  ],

  'POST /v1/projects/{project}/destinations': (world) => {
    const path = `${world.base}/destinations`
    const body = newDestination(world)
    return [
      { path, body, status: 201 },
      { path, body, status: 409 },
    ]
  },
  'GET /v1/projects/{project}/destinations': listed(({ base }) => `${base}/destinations`, destination),
  'GET /v1/projects/{project}/destinations/{id}': one(destination),
  'PATCH /v1/projects/{project}/destinations/{id}': one(destination, 200, { body: { enabled: false } }),
  'DELETE /v1/projects/{project}/destinations/{id}': one(destination, 204),
  'GET /v1/projects/{project}/destinations/{id}/deliveries': async (world) => [
    { path: `${await toldDestination(world)}/deliveries`, status: 200 },
  ],
  'POST /v1/projects/{project}/destinations/{id}:rotate-secret': async (world) => [
    { path: `${(await destination(world)).path}:rotate-secret`, status: 200 },
  ],
  'POST /v1/projects/{project}/destinations/{id}:test': async (world) => [
    { path: `${(await destination(world)).path}:test`, status: 200 },
  ],
}
