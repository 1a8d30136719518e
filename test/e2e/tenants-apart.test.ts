import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { interaction } from '../support/engagement.ts'
import { readDocument, routesOf } from '../hostile/openapi-document.ts'
import {
  caller,
  createTenant,
  startService,
  type Answer,
  type Service,
  type Tenant,
} from '../support/service.ts'
import { oneStory } from '../support/one-story.ts'

const scopes = ['write', 'read', 'admin'] as const
type Scope = (typeof scopes)[number]

/** Everything of a tenant that a call can name. */
interface Estate {
  tenant: Tenant
  projectName: string
  ids: Record<
    'project' | 'integration' | 'installation' | 'connection' | 'apiKey' | 'batch' | 'lane' | 'destination',
    string
  >
  /** Accepted long ago, queued, written, failed, a batch. */
  operations: string[]
  /** By scope, and one with all of them. */
  keys: Record<Scope | 'all', string>
  /** The id of the key that has them all. */
  keyIds: Record<Scope | 'all', string>
}

/** A call of the document: who may make it, and with what. */
interface Row {
  /** Any of them is enough; null for the operator alone, `anybody` without a key. */
  scopes: readonly Scope[] | null | 'anybody'
  /** What stands for `{id}`. */
  id?: 'connection' | 'apiKey' | 'destination'
  body?: (estate: Estate) => Record<string, unknown>
  /** Makes what a call takes away that may be made: places for one call. */
  spare?: (estate: Estate) => Promise<Record<string, string>>
}

const credentials = { type: 'access-token', accessToken: 'x', instanceUrl: 'https://acme.my.salesforce.com' }
const action = ({ groupRef }: { groupRef: string }, part: object) => ({
  ...{ groupRef, object: 'Contact', mode: 'asynchronous' },
  ...part,
})
let names = 0
const name = (): string => `made ${(names += 1)}`

const setUp = async (estate: Estate, path: string, body: unknown): Promise<string> => {
  const admin = caller(service.app.url)
  return (await admin<{ id: string }>('POST', `/v1/projects/${estate.ids.project}/${path}`, body)).body.id
}
const spareKey = async (estate: Estate) => ({
  id: await setUp(estate, 'api-keys', { label: name(), scopes: ['read'] }),
})
/** Where nothing listens. */
const hook = { type: 'webhook', metadata: { url: 'http://127.0.0.1:1/hook' } }
const spareDestination = async (estate: Estate) => ({
  id: await setUp(estate, 'destinations', { name: name(), ...hook }),
})
const spareInstallation = async (estate: Estate) => {
  const groupRef = name()
  await setUp(estate, 'connections', { groupRef, provider: 'salesforce', credentials })
  const body = { groupRef, config: { content: { provider: 'salesforce', write: {} } } }
  const path = `integrations/${estate.ids.integration}/installations`
  return { installationId: await setUp(estate, path, body) }
}

/** Who may make each call of the document: one that is not here fails the tests. */
const table: Record<string, Row> = {
  'POST /v1/projects': { scopes: null, body: () => ({ name: name() }) },
  'GET /v1/projects': { scopes: null },
  'GET /v1/projects/{project}': { scopes: ['read', 'admin'] },
  'PATCH /v1/projects/{project}': {
    scopes: ['admin'],
    body: ({ projectName }) => ({ name: projectName }),
  },
  // Refused for all that is installed, as that of the integration and the connection.
  'DELETE /v1/projects/{project}': { scopes: ['admin'] },
  'POST /v1/projects/{project}/api-keys': {
    scopes: ['admin'],
    body: () => ({ label: name(), scopes: ['read'] }),
  },
  'GET /v1/projects/{project}/api-keys': { scopes: ['read', 'admin'] },
  'GET /v1/projects/{project}/api-keys/{id}': { scopes: ['read', 'admin'], id: 'apiKey' },
  'PATCH /v1/projects/{project}/api-keys/{id}': {
    scopes: ['admin'],
    id: 'apiKey',
    body: () => ({ label: name() }),
  },
  'DELETE /v1/projects/{project}/api-keys/{id}': { scopes: ['admin'], id: 'apiKey', spare: spareKey },
  'POST /v1/projects/{project}/integrations': {
    scopes: ['admin'],
    body: () => ({ name: name(), provider: 'salesforce' }),
  },
  'GET /v1/projects/{project}/integrations': { scopes: ['read', 'admin'] },
  'GET /v1/projects/{project}/integrations/{integration}': { scopes: ['read', 'admin'] },
  'PATCH /v1/projects/{project}/integrations/{integration}': {
    scopes: ['admin'],
    body: () => ({ name: 'crm' }),
  },
  'DELETE /v1/projects/{project}/integrations/{integration}': { scopes: ['admin'] },
  // They call the org, so they come before its connection gets other credentials.
  'POST /v1/projects/{project}/integrations/{integration}/actions/query': {
    scopes: ['read'],
    body: ({ tenant }) => ({ groupRef: tenant.groupRef, soql: 'SELECT Id FROM Contact LIMIT 1' }),
  },
  'POST /v1/projects/{project}/integrations/{integration}/query': {
    scopes: ['read'],
    body: ({ tenant }) => ({ groupRef: tenant.groupRef, query: 'SELECT Id FROM Contact LIMIT 1' }),
  },
  'POST /v1/projects/{project}/integrations/{integration}/actions/custom-api-call': {
    scopes: ['read'],
    body: ({ tenant }) => ({ groupRef: tenant.groupRef, method: 'GET', endpoint: '/limits' }),
  },
  'POST /v1/projects/{project}/integrations/{integration}/options/salesforce_object': {
    scopes: ['read'],
    body: ({ tenant }) => ({ groupRef: tenant.groupRef }),
  },
  'POST /v1/projects/{project}/integrations/{integration}/options/salesforce_external_id_field': {
    scopes: ['read'],
    body: ({ tenant }) => ({ groupRef: tenant.groupRef, context: { salesforce_object: 'Contact' } }),
  },
  'POST /v1/projects/{project}/integrations/{integration}/options/add_fields_and_their_values': {
    scopes: ['read'],
    body: ({ tenant }) => ({ groupRef: tenant.groupRef, context: { salesforce_object: 'Contact' } }),
  },
  'POST /v1/projects/{project}/connections': {
    scopes: ['admin'],
    body: () => ({ groupRef: name(), provider: 'salesforce', credentials }),
  },
  'POST /v1/projects/{project}/connections:connect': {
    scopes: ['admin'],
    body: ({ tenant }) => ({ groupRef: tenant.groupRef, provider: 'salesforce', clientId: 'an-app' }),
  },
  'GET /v1/projects/{project}/connections': { scopes: ['read', 'admin'] },
  'GET /v1/projects/{project}/connections/{id}': { scopes: ['read', 'admin'], id: 'connection' },
  'PATCH /v1/projects/{project}/connections/{id}': {
    scopes: ['admin'],
    id: 'connection',
    body: () => ({ credentials }),
  },
  'DELETE /v1/projects/{project}/connections/{id}': { scopes: ['admin'], id: 'connection' },
  'POST /v1/projects/{project}/integrations/{integration}/installations': {
    scopes: ['admin'],
    body: ({ ids, tenant }) => ({
      groupRef: tenant.groupRef,
      connectionId: ids.connection,
      config: { content: { provider: 'salesforce', write: {} } },
    }),
  },
  'GET /v1/projects/{project}/integrations/{integration}/installations': { scopes: ['read', 'admin'] },
  'GET /v1/projects/{project}/integrations/{integration}/installations/{installationId}': {
    scopes: ['read', 'admin'],
  },
  'PATCH /v1/projects/{project}/integrations/{integration}/installations/{installationId}': {
    scopes: ['admin'],
    body: ({ ids }) => ({ connectionId: ids.connection }),
  },
  'DELETE /v1/projects/{project}/integrations/{integration}/installations/{installationId}': {
    scopes: ['admin'],
    spare: spareInstallation,
  },
  'POST /v1/projects/{project}/integrations/{integration}/objects/{object}': {
    scopes: ['write'],
    body: ({ tenant }) => ({
      groupRef: tenant.groupRef,
      type: 'create',
      mode: 'asynchronous',
      record: { LastName: 'Apart' },
    }),
  },
  'POST /v1/projects/{project}/integrations/{integration}/writes': {
    scopes: ['write'],
    body: ({ tenant }) => ({
      writes: [
        {
          groupRef: tenant.groupRef,
          objectName: 'Contact',
          type: 'create',
          record: { LastName: 'Apart' },
          idempotencyKey: `apart-${tenant.groupRef}`,
        },
      ],
    }),
  },
  'POST /v1/projects/{project}/integrations/{integration}/connect/service-excellence/engagement-interactions':
    {
      scopes: ['write'],
      body: ({ tenant }) => ({
        groupRef: tenant.groupRef,
        mode: 'asynchronous',
        engagementInteraction: interaction(),
      }),
    },
  'POST /v1/projects/{project}/integrations/{integration}/actions/create-object': {
    scopes: ['write'],
    body: ({ tenant }) => action(tenant, { data: { LastName: 'Apart' } }),
  },
  'POST /v1/projects/{project}/integrations/{integration}/actions/update-object': {
    scopes: ['write'],
    body: ({ tenant }) => action(tenant, { id: '003RM000006EncrYAC', data: { LastName: 'Apart' } }),
  },
  'POST /v1/projects/{project}/integrations/{integration}/actions/upsert': {
    scopes: ['write'],
    body: ({ tenant }) =>
      action(tenant, {
        externalIdField: 'External_Id__c',
        data: { External_Id__c: 'apart', LastName: 'Apart' },
      }),
  },
  'POST /v1/projects/{project}/integrations/{integration}/actions/bulk-create': {
    scopes: ['write'],
    body: ({ tenant }) => action(tenant, { records: [{ LastName: 'Apart' }] }),
  },
  'POST /v1/projects/{project}/integrations/{integration}/actions/bulk-update': {
    scopes: ['write'],
    body: ({ tenant }) => action(tenant, { records: [{ id: '003RM000006EncrYAC', LastName: 'Apart' }] }),
  },
  'POST /v1/projects/{project}/integrations/{integration}/records': {
    scopes: ['write'],
    body: ({ tenant }) => ({
      groupRef: tenant.groupRef,
      method: 'INSERT',
      type: 'Contact',
      mode: 'asynchronous',
      records: [{ fields: { LastName: 'Apart' } }],
    }),
  },
  'POST /v1/projects/{project}/integrations/{integration}/actions/salesforce_upsert_record': {
    scopes: ['write'],
    body: ({ tenant }) => ({
      groupRef: tenant.groupRef,
      inputs: {
        salesforce_object: 'Contact',
        salesforce_external_id_field: 'External_Id__c',
        add_fields_and_their_values: [
          { name: 'External_Id__c', value: 'apart' },
          { name: 'LastName', value: 'Apart' },
        ],
      },
      mode: 'asynchronous',
    }),
  },
  'GET /v1/projects/{project}/operations/{operation}': { scopes: ['read'] },
  'GET /v1/projects/{project}/operations/{operation}/logs': { scopes: ['read'] },
  'GET /v1/projects/{project}/integrations/{integration}/installations/{installationId}/operations': {
    scopes: ['read'],
  },
  'POST /v1/projects/{project}/operations:batchGet': {
    scopes: ['read'],
    body: ({ operations }) => ({ ids: operations }),
  },
  'GET /v1/projects/{project}/batches/{batch}': { scopes: ['read'] },
  'GET /v1/projects/{project}/integrations/{integration}/installations/{installationId}/batches': {
    scopes: ['read'],
  },
  'GET /v1/projects/{project}/integrations/{integration}/installations/{installationId}/lanes': {
    scopes: ['read'],
  },
  'POST /v1/projects/{project}/lanes/{lane}:flush': { scopes: ['write'] },
  'POST /v1/projects/{project}/operations/{operation}:cancel': { scopes: ['write'] },
  'POST /v1/projects/{project}/operations/{operation}:retry': { scopes: ['write'] },
  'POST /v1/projects/{project}/operations/{operation}:promote': { scopes: ['write'] },
  'POST /v1/projects/{project}/operations/{operation}:resolve': {
    scopes: ['write'],
    body: () => ({ success: true }),
  },
  'POST /v1/projects/{project}/destinations': {
    scopes: ['admin'],
    body: () => ({ name: name(), ...hook }),
  },
  'GET /v1/projects/{project}/destinations': { scopes: ['read', 'admin'] },
  'GET /v1/projects/{project}/destinations/{id}': { scopes: ['read', 'admin'], id: 'destination' },
  'PATCH /v1/projects/{project}/destinations/{id}': {
    scopes: ['admin'],
    id: 'destination',
    body: () => ({ name: name() }),
  },
  'DELETE /v1/projects/{project}/destinations/{id}': {
    scopes: ['admin'],
    id: 'destination',
    spare: spareDestination,
  },
  'POST /v1/projects/{project}/destinations/{id}:rotate-secret': { scopes: ['admin'], id: 'destination' },
  'POST /v1/projects/{project}/destinations/{id}:test': { scopes: ['admin'], id: 'destination' },
  'GET /v1/projects/{project}/destinations/{id}/deliveries': {
    scopes: ['read', 'admin'],
    id: 'destination',
  },
  'GET /healthz': { scopes: 'anybody' },
  'GET /readyz': { scopes: 'anybody' },
  'GET /metrics': { scopes: 'anybody' },
}

let service: Service
let documented: string[]
/** Whose key is used, and whose things are named. */
let ours: Estate
let theirs: Estate

async function createEstate(): Promise<Estate> {
  const { app, simulator } = service
  const tenant = await createTenant(app.url, simulator.url)
  const admin = caller(app.url)
  const base = `/v1/projects/${tenant.projectId}`
  const made = new Map<string, { id: string; key: string }>()
  for (const scope of [...scopes, 'all'] as const) {
    const body = { label: `${scope} key of ${tenant.groupRef}`, scopes: scope === 'all' ? scopes : [scope] }
    made.set(scope, (await admin<{ id: string; key: string }>('POST', `${base}/api-keys`, body)).body)
  }
  const of = <T>(pick: (one: { id: string; key: string }) => T) =>
    Object.fromEntries([...made].map(([scope, one]) => [scope, pick(one)])) as Record<Scope | 'all', T>
  // Waits for company, so that its log holds still.
  const metadata = { url: hook.metadata.url, digest: { maxRecords: 100, maxDelaySeconds: 3_600 } }
  const destination = await admin<{ id: string }>('POST', `${base}/destinations`, {
    name: name(),
    type: 'webhook',
    metadata,
  })
  const record = { LastName: `Secret of ${tenant.groupRef}` }
  const type = 'create'
  const reference = `reference of ${tenant.groupRef}`
  const ended = await Promise.all([
    tenant.write('Contact', { type, record, reference }),
    tenant.write('Contact', { type, record: { FirstName: 'x' }, reference }),
    tenant.write('Contact', { type, reference, batch: [{ record }, { record: {} }] }),
  ])
  const [first] = await Promise.all(ended.map((id) => tenant.operation(id)))
  const waiting = { type, record, reference, autoBatchPolicy: { maxDelayMinutes: 600 } }
  const operations = [...ended, await tenant.write('Contact', waiting)]
  const lanes = `${base}/integrations/${tenant.integrationId}/installations/${tenant.installationId}/lanes`
  const listed = await admin<{ results: { id: string }[] }>('GET', lanes)
  const project = await admin<{ name: string }>('GET', base)
  return {
    tenant,
    projectName: project.body.name,
    ids: {
      project: tenant.projectId,
      integration: tenant.integrationId,
      installation: tenant.installationId,
      connection: tenant.connectionId,
      apiKey: made.get('read')!.id,
      batch: first!.metadata.batchId!,
      lane: listed.body.results[0]!.id,
      destination: destination.body.id,
    },
    operations,
    keys: of(({ key }) => key),
    keyIds: of(({ id }) => id),
  }
}

beforeAll(async () => {
  service = await startService()
  documented = routesOf(await readDocument(service.app.url)).map(({ method, path }) => `${method} ${path}`)
  ours = await createEstate()
  theirs = await createEstate()
})
afterAll(() => service.stop())

/** Values for the path's parameters, from one estate. */
const placesIn = (estate: Estate, row: Row): Record<string, string> => ({
  project: estate.ids.project,
  integration: estate.ids.integration,
  installationId: estate.ids.installation,
  operation: estate.operations.at(-1)!,
  batch: estate.ids.batch,
  lane: estate.ids.lane,
  object: 'Contact',
  id: row.id === undefined ? '' : estate.ids[row.id],
})

const fill = (template: string, places: Record<string, string>): string =>
  template.replaceAll(/\{(\w+)\}/g, (_, parameter: string) => encodeURIComponent(places[parameter]!))

type Problem = Record<string, unknown> & { code?: string; issues?: { path: string }[] }

async function send(
  key: string,
  route: string,
  places: Record<string, string>,
  body?: unknown,
): Promise<Answer<Problem> & { sent: string }> {
  const [method, template] = route.split(' ') as [string, string]
  const path = fill(template, places)
  const answer = await caller(service.app.url, key)<Problem>(method, path, body)
  return { ...answer, sent: `${method} ${decodeURIComponent(path)} ${JSON.stringify(body)}` }
}

/** Calls with parameters of a project in their path. */
const projectRoutes = Object.entries(table).filter(([route]) => route.includes('{project}'))

/** Everything of theirs that an answer to us could give away. */
const theirMarks = (): string[] => [
  ...Object.values(theirs.ids),
  ...Object.values(theirs.keyIds),
  ...Object.values(theirs.keys),
  ...theirs.operations,
  theirs.projectName,
  theirs.tenant.groupRef,
  `Secret of ${theirs.tenant.groupRef}`,
]

/** What is theirs in an answer, besides what the call named. */
const leaks = (sent: string, body: unknown): string[] =>
  theirMarks().filter((mark) => !sent.includes(mark) && JSON.stringify(body).includes(mark))

/** Every row of every table in which something of theirs is named. */
async function theirRows(): Promise<Record<string, unknown>> {
  const { sql } = service.database
  const tables = await sql<{ name: string }[]>`
    select tablename as name from pg_tables where schemaname = 'public' order by 1`
  const marks = `(${[...Object.values(theirs.ids), ...theirs.operations].join('|')})`
  const rows: Record<string, unknown> = {}
  for (const { name: table } of tables) {
    const found = await sql<{ row: string }[]>`
      select t::text as row from ${sql(table)} t where t::text ~ ${marks} order by 1`
    rows[table] = found.map(({ row }) => row)
  }
  return rows
}

describe('two projects', oneStory, () => {
  it('the table names every call of the document', () => {
    expect(Object.keys(table).sort()).toEqual([...documented].sort())
  })

  describe("with a key of one project, another's things", () => {
    let before: Record<string, unknown>
    beforeAll(async () => {
      before = await theirRows()
      expect(Object.values(before).flat().length).toBeGreaterThan(10)
    })

    const who = [...scopes, 'all'] as const
    it.each(projectRoutes)('%s: are not there, whatever the key may do', async (route, row) => {
      const mine = placesIn(ours, row)
      const other = placesIn(theirs, row)
      const parameters = [...route.matchAll(/\{(\w+)\}/g)]
        .map(([, parameter]) => parameter!)
        .filter((one) => one !== 'object')
      // Each alone among our own, then all of them.
      const mixtures = [
        ...parameters.map((one) => ({ ...mine, [one]: other[one]! })),
        other,
        { ...other, project: theirs.projectName },
        { ...mine, project: theirs.projectName },
      ]
      for (const places of mixtures) {
        for (const one of who) {
          const answer = await send(ours.keys[one], route, places, row.body?.(theirs))
          const lacking = places.project === mine['project'] && one !== 'all' && !row.scopes?.includes(one)
          expect([answer.sent, answer.status]).toEqual([answer.sent, lacking ? 403 : 404])
          expect(leaks(answer.sent, answer.body)).toEqual([])
        }
      }
    })

    it.each(projectRoutes)('%s: are answered like what nobody has', async (route, row) => {
      const mine = placesIn(ours, row)
      const last = [...route.matchAll(/\{(\w+)\}/g)]
        .map(([, one]) => one!)
        .findLast((one) => one !== 'object')!
      const told = async (id: string): Promise<string> => {
        const answer = await send(ours.keys.all, route, { ...mine, [last]: id }, row.body?.(ours))
        const { requestId, instance, time, ...rest } = answer.body
        expect([answer.status, typeof requestId, typeof instance, typeof time]).toEqual([
          404,
          'string',
          'string',
          'string',
        ])
        return JSON.stringify(rest).replaceAll(id, 'ID')
      }
      const nobodys = await told('01a20139-0000-7000-8000-000000000000')
      expect(await told(placesIn(theirs, row)[last]!)).toBe(nobodys)
    })

    it('ids next to known ones lead nowhere', async () => {
      const next = (id: string, step: number): string => {
        const tail = (BigInt(`0x${id.slice(-12)}`) + BigInt(step) + (1n << 48n)) % (1n << 48n)
        return id.slice(0, -12) + tail.toString(16).padStart(12, '0')
      }
      const known = new Set([...Object.values(ours.ids), ...ours.operations])
      for (const [route, row] of projectRoutes.filter(([route]) => route.startsWith('GET '))) {
        const last = /\{(\w+)\}[^{]*$/.exec(route)![1]!
        for (const from of [placesIn(ours, row)[last]!, placesIn(theirs, row)[last]!]) {
          for (const step of [-1, 1]) {
            const id = next(from, step)
            if (known.has(id)) continue
            const answer = await send(ours.keys.all, route, { ...placesIn(ours, row), [last]: id })
            expect([answer.sent, answer.status]).toEqual([answer.sent, 404])
          }
        }
      }
    })

    it('cannot be named in a body: a connection, a group', async () => {
      const install = 'POST /v1/projects/{project}/integrations/{integration}/installations'
      const write = 'POST /v1/projects/{project}/integrations/{integration}/objects/{object}'
      const content = { provider: 'salesforce', write: {} }
      const places = placesIn(ours, table[install]!)
      for (const groupRef of [theirs.tenant.groupRef, ours.tenant.groupRef, 'a group of our own']) {
        const body = { groupRef, connectionId: theirs.ids.connection, config: { content } }
        const answer = await send(ours.keys.all, install, places, body)
        const unknown = await send(ours.keys.all, install, places, {
          ...body,
          connectionId: theirs.ids.project,
        })
        expect([400, 404, 409]).toContain(answer.status)
        expect([answer.status, answer.body.code]).toEqual([unknown.status, unknown.body.code])
        expect(leaks(answer.sent, answer.body)).toEqual([])
      }
      // Without an id, their group's connection is not found by the group's name.
      const byGroup = await send(ours.keys.all, install, places, {
        groupRef: theirs.tenant.groupRef,
        config: { content },
      })
      expect(byGroup.status).toBeGreaterThanOrEqual(400)
      for (const mode of ['synchronous', 'asynchronous']) {
        const body = { groupRef: theirs.tenant.groupRef, type: 'create', mode, record: { LastName: 'x' } }
        const answer = await send(ours.keys.all, write, places, body)
        expect([answer.status, leaks(answer.sent, answer.body)]).toEqual([404, []])
      }
      const bulk = 'POST /v1/projects/{project}/integrations/{integration}/writes'
      const many = await send(ours.keys.all, bulk, places, table[bulk]!.body!(theirs))
      expect(many.body).toMatchObject({ results: [{ problem: { status: 404, code: 'NOT_FOUND' } }] })
      expect(leaks(many.sent, many.body)).toEqual([])
      for (const way of ['records', 'query', 'actions/salesforce_upsert_record']) {
        const route = `POST /v1/projects/{project}/integrations/{integration}/${way}`
        const answer = await send(ours.keys.all, route, places, table[route]!.body!(theirs))
        expect([answer.status, leaks(answer.sent, answer.body)]).toEqual([404, []])
      }
      const byId = 'POST /v1/projects/{project}/operations:batchGet'
      const got = await send(ours.keys.all, byId, places, table[byId]!.body!(theirs))
      expect(got.body).toEqual({ operations: [], missing: theirs.operations })
    })

    it('are in no list', async () => {
      const lists = documented.filter(
        (route) => route.startsWith('GET ') && /\/[a-z-]+s$/.test(route) && route.includes('{project}/'),
      )
      expect(lists.length).toBeGreaterThan(3)
      for (const route of lists) {
        if (route.endsWith('/logs')) continue
        const answer = await send(ours.keys.all, route, placesIn(ours, table[route]!))
        expect([answer.sent, answer.status]).toEqual([answer.sent, 200])
        expect((answer.body['results'] as unknown[]).length).toBeGreaterThan(0)
        expect(leaks(answer.sent, answer.body)).toEqual([])
      }
    })

    afterAll(async () => {
      expect(await theirRows()).toEqual(before)
    })
  })

  it('one idempotency key in two projects is two', async () => {
    const made: string[] = []
    for (const mode of ['synchronous', 'asynchronous']) {
      for (const { tenant } of [theirs, ours]) {
        const body = { type: 'create', mode, record: { LastName: 'Same' } }
        const headers = { 'idempotency-key': `the-same-${mode}` }
        const answer = await tenant.post<{ operationId: string }>('Contact', body, headers)
        expect([answer.status, answer.headers.get('idempotency-replayed')]).toEqual([200, null])
        made.push(answer.body.operationId)
      }
    }
    expect(new Set(made).size).toBe(4)
  })

  describe('keys', () => {
    it.each(Object.entries(table))('%s: only with the scope, or the operator', async (route, row) => {
      const places = { ...placesIn(ours, row), ...(await row.spare?.(ours)) }
      const statusWith = async (key: string): Promise<number> => {
        const [method, template] = route.split(' ') as [string, string]
        const body = row.body?.(ours)
        const answer = await fetch(service.app.url + fill(template, places), {
          method,
          headers: {
            ...(key === '' ? {} : { 'x-api-key': key }),
            ...(body && { 'content-type': 'application/json' }),
          },
          ...(body && { body: JSON.stringify(body) }),
        })
        await answer.arrayBuffer()
        return answer.status
      }
      const open = row.scopes === 'anybody'
      for (const one of scopes) {
        const status = await statusWith(ours.keys[one])
        const may = open || (row.scopes !== null && row.scopes.includes(one))
        if (may) expect([200, 201, 204, 409], `${one}: ${status}`).toContain(status)
        else expect([one, status]).toEqual([one, 403])
      }
      for (const key of [
        '',
        'wb_',
        `wb_${'A'.repeat(43)}`,
        ours.keys.all.slice(0, -1),
        `${ours.keys.all}A`,
        ours.keys.all.toUpperCase(),
      ])
        expect([key, await statusWith(key)]).toEqual([key, open ? 200 : 401])
    })

    it('one that is revoked opens nothing any more, in every process at once', async () => {
      const admin = caller(service.app.url)
      const base = `/v1/projects/${ours.ids.project}`
      const { body } = await admin<{ id: string; key: string }>('POST', `${base}/api-keys`, {
        label: 'gone',
        scopes: ['read'],
      })
      const get = async (): Promise<number> => (await caller(service.app.url, body.key)('GET', base)).status
      expect([await get(), await get()]).toEqual([200, 200])
      const revoked = await admin('DELETE', `${base}/api-keys/${body.id}`)
      expect([revoked.status, await get()]).toEqual([204, 401])
      expect((await caller(service.app.url, ours.keys.read)('GET', base)).status).toBe(200)
    })
  })
})
