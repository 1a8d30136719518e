import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Operation } from '../../src/contract/operation.ts'
import type { Problem } from '../../src/contract/problem.ts'
import {
  ADMIN_KEY,
  caller,
  createTenant,
  startService,
  type Service,
  type Tenant,
} from '../support/service.ts'

interface List {
  results: Operation[]
  pagination: { done: boolean; nextPageToken?: string }
}

let service: Service
/** By name: written, refused, waiting, a batch of which one record is refused, in the order of acceptance. */
let made: Record<'written' | 'refused' | 'waiting' | 'batch' | 'lead', string>

const list = <T = List>(
  query = '',
  tenant: Tenant = service.tenant,
  installationId = tenant.installationId,
) =>
  tenant.call<T>(
    'GET',
    `/v1/projects/${tenant.projectId}/integrations/${tenant.integrationId}/installations/${installationId}/operations${query}`,
  )
const ids = async (query: string): Promise<string[]> => {
  const { status, body } = await list(query)
  expect([status, body]).toMatchObject([200, { pagination: { done: true } }])
  return body.results.map(({ id }) => id)
}
const batchGet = <T = { operations: Operation[]; missing: string[] }>(
  body: unknown,
  tenant = service.tenant,
) => tenant.call<T>('POST', `/v1/projects/${tenant.projectId}/operations:batchGet`, body)

beforeAll(async () => {
  // Nothing that waits rides along with what is sent.
  service = await startService({}, {}, undefined, { packing: 'ready' })
  const { tenant } = service
  const create = (record: unknown, more: object = {}) => ({ type: 'create', record, ...more })
  const later = { autoBatchPolicy: { maxDelayMinutes: 60, allOrNone: true } }
  made = {
    written: await tenant.write('Contact', create({ LastName: 'A' }, { reference: 'row-1' })),
    refused: await tenant.write('Contact', create({ FirstName: 'x' }, { reference: 'row-2' })),
    waiting: await tenant.write('Contact', create({ LastName: 'B' }, { reference: 'row-1', ...later })),
    batch: await tenant.write('Contact', {
      type: 'create',
      batch: [{ record: { LastName: 'C' } }, { record: { FirstName: 'x' } }],
      reference: 'row-1',
    }),
    lead: await tenant.write('Lead', create({ LastName: 'D', Company: 'Tide' })),
  }
  for (const id of [made.written, made.refused, made.batch, made.lead]) await tenant.operation(id)
})
afterAll(() => service.stop())

describe('GET …/installations/{id}/operations', () => {
  it('lists every operation once, newest first, each in the shape in which it is found by its id', async () => {
    const { body } = await list()
    const newestFirst = Object.values(made).reverse()
    expect(body.results.map(({ id }) => id)).toEqual(newestFirst)
    expect(body.pagination).toEqual({ done: true })
    for (const operation of body.results)
      expect(operation).toEqual(await service.tenant.operation(operation.id, 0))
    const { body: got } = await batchGet({ ids: newestFirst })
    expect(got).toEqual({ operations: body.results, missing: [] })
  })

  it('filters by status, object and reference, each and together', async () => {
    expect(await ids('?status=in_progress')).toEqual([made.waiting])
    expect(await ids('?status=success')).toEqual([made.lead, made.batch, made.written])
    expect(await ids('?status=failure')).toEqual([made.refused])
    expect(await ids('?objectName=Lead')).toEqual([made.lead])
    expect(await ids('?reference=row-1')).toEqual([made.batch, made.waiting, made.written])
    expect(await ids('?reference=row-1&status=success&objectName=Contact')).toEqual([
      made.batch,
      made.written,
    ])
    expect(await ids('?reference=nobody')).toEqual([])
    expect(await ids('?status=failure&objectName=Lead')).toEqual([])
  })

  it('goes on page by page from the token, what was added meanwhile left out', async () => {
    const { tenant } = service
    const newestFirst = Object.values(made).reverse()
    const seen: string[] = []
    let query = '?pageSize=2'
    for (let page = 0; page < 3; page += 1) {
      const { body } = await list(query)
      seen.push(...body.results.map(({ id }) => id))
      expect(body.results.length).toBe(page < 2 ? 2 : 1)
      expect(body.pagination.done).toBe(page === 2)
      query = `?pageSize=2&pageToken=${body.pagination.nextPageToken}`
      if (page === 0) {
        const added = await tenant.write('Account', { type: 'create', record: { Name: 'Added' } })
        await tenant.operation(added)
      }
    }
    expect(seen).toEqual(newestFirst)
  })

  it('finds what was moved by hand after a time, in its own order and pages', async () => {
    const tenant = await createTenant(service.app.url, service.simulator.url)
    const time = async (): Promise<string> => {
      const [row] = await service.database.sql<{ at: Date }[]>`select clock_timestamp() as at`
      return row!.at.toISOString()
    }
    const create = (record: object, more: object = {}) =>
      tenant.write('Contact', { type: 'create', record, ...more })
    const by = async (id: string, move: string, body?: object): Promise<void> => {
      const { status } = await tenant.call(
        'POST',
        `/v1/projects/${tenant.projectId}/operations/${id}:${move}`,
        body,
      )
      expect(status).toBe(200)
    }
    const start = await time()
    const refused = await create({ FirstName: 'x' })
    await tenant.operation(refused)
    service.simulator.org.faults.add({ match: { object: 'Contact' }, action: { type: 'dropAfter' } })
    const doubted = await create({ LastName: 'Doubted' })
    expect((await tenant.operation(doubted)).metadata.state).toBe('in_doubt')
    const batch = await tenant.write('Contact', { type: 'create', batch: [{ record: { FirstName: 'x' } }] })
    await tenant.operation(batch)
    await tenant.operation(await create({ LastName: 'Left alone' }))
    const waiting = await create({ LastName: 'B' }, { autoBatchPolicy: { maxDelayMinutes: 60 } })
    const found = async (query: string, of = tenant): Promise<string[]> =>
      (await list(`?${query}`, of)).body.results.map(({ id }) => id)
    expect(await found(`movedAfter=${start}`)).toEqual([])

    await by(waiting, 'cancel')
    const between = await time()
    await by(batch, 'retry')
    await by(refused, 'retry')
    await tenant.operation(batch)
    await tenant.operation(refused)
    await by(refused, 'retry')
    await by(doubted, 'resolve', { success: false })
    expect(await found(`movedAfter=${start}`)).toEqual([waiting, batch, doubted, refused])
    expect(await found(`movedAfter=${between.replace('Z', '%2B00:00')}`)).toEqual([batch, doubted, refused])
    expect(await found(`movedAfter=${await time()}`)).toEqual([])
    expect(await found(`movedAfter=${start}`, service.tenant)).toEqual([])

    const first = await list(`?movedAfter=${start}&pageSize=3`, tenant)
    expect(first.body.results.map(({ id }) => id)).toEqual([waiting, batch, doubted])
    const next = await list(
      `?movedAfter=${start}&pageSize=3&pageToken=${first.body.pagination.nextPageToken}`,
      tenant,
    )
    expect(next.body).toMatchObject({ results: [{ id: refused }], pagination: { done: true } })
  })

  it.each(['yesterday', '2026-02-30T00:00:00Z', '2026-01-01T00:00:00', ''])(
    'takes no %j for a time',
    async (value) => {
      const { status, body } = await list<Problem>(`?movedAfter=${value}`)
      const message = 'must be an ISO 8601 date and time with its zone'
      expect([status, body.issues]).toEqual([400, [{ path: '/query/movedAfter', message }]])
    },
  )

  it('takes every time that there is, and refuses by name what cannot go with it', async () => {
    for (const time of ['0000-01-01T00:00:00%2B14:00', '9999-12-31T23:59-14:00'])
      expect(await list(`?movedAfter=${time}`)).toMatchObject({ status: 200 })
    const query = '?movedAfter=2026-01-01T00:00:00Z&status=failure&reference=row-1'
    const { status, body } = await list<Problem>(query)
    const message = 'cannot be combined with status, reference'
    expect([status, body.issues]).toEqual([400, [{ path: '/query/movedAfter', message }]])
    const other = await createTenant(service.app.url, service.simulator.url)
    const theirs = await list<Problem>(
      '?movedAfter=2026-01-01T00:00:00Z',
      service.tenant,
      other.installationId,
    )
    expect([theirs.status, theirs.body.code]).toEqual([404, 'NOT_FOUND'])
  })

  it('knows nothing of other installations, and says what is wrong with a query', async () => {
    const other = await createTenant(service.app.url, service.simulator.url)
    expect((await list('', other)).body).toEqual({ results: [], pagination: { done: true } })
    for (const installationId of [other.installationId, 'x', made.written]) {
      const answer = await list<Problem>('', service.tenant, installationId)
      expect([answer.status, answer.body.code]).toEqual([404, 'NOT_FOUND'])
      expect(answer.body.detail).toBe(`There is no installation "${installationId}".`)
    }
    const wrong = await list<Problem>(
      '?status=done&objectName=a%00b&reference=%00&pageSize=0&pageToken=x&colour=red',
    )
    expect(wrong.status).toBe(400)
    expect(wrong.body.issues!.map(({ path }) => path).sort()).toEqual([
      '/query/colour',
      '/query/objectName',
      '/query/pageSize',
      '/query/reference',
      '/query/status',
    ])
    const token = await list<Problem>('?pageToken=x')
    expect([token.status, token.body.issues]).toMatchObject([400, [{ path: '/query/pageToken' }]])
  })
})

describe('POST …/operations:batchGet', () => {
  const unknown = '01a20139-0000-7000-8000-000000000000'

  it('answers in the order asked for, each once, and names what is not there', async () => {
    const asked = [
      made.refused,
      'no id',
      made.waiting.toUpperCase(),
      unknown,
      made.batch,
      made.refused,
      unknown,
    ]
    const { status, body } = await batchGet({ ids: asked })
    expect(status).toBe(200)
    expect(body.operations.map(({ id, metadata }) => [id, metadata.state])).toEqual([
      [made.refused, 'failed'],
      [made.waiting, 'queued'],
      [made.batch, 'partial'],
    ])
    expect(body.missing).toEqual(['no id', unknown])
    expect((await batchGet({ ids: [] })).body).toEqual({ operations: [], missing: [] })
  })

  it('finds neither the records of a batch nor what is of another project', async () => {
    const rows = await service.database.sql<{ id: string }[]>`
      select id from write where operation_id = ${made.batch}`
    expect(rows).toHaveLength(2)
    const ids = rows.map(({ id }) => id)
    expect((await batchGet({ ids })).body).toEqual({ operations: [], missing: ids })
    const other = await createTenant(service.app.url, service.simulator.url)
    const theirs = Object.values(made)
    expect((await batchGet({ ids: theirs }, other)).body).toEqual({ operations: [], missing: theirs })
    const answer = await caller(service.app.url, ADMIN_KEY)<{ operations: Operation[] }>(
      'POST',
      `/v1/projects/${service.tenant.projectId}/operations:batchGet`,
      { ids: theirs },
    )
    expect(answer.body.operations).toHaveLength(theirs.length)
  })

  it('refuses operations of more records than one answer holds', async () => {
    const { sql } = service.database
    const large = await sql<{ id: string }[]>`
      insert into operation (id, project_id, integration_id, installation_id, config_id, object_name, type, all_or_none,
                             members, accepted_at)
      select gen_random_uuid(), project_id, integration_id, gen_random_uuid(), config_id, object_name, type, all_or_none,
             array(select gen_random_uuid() from generate_series(1, 60000)), accepted_at
      from operation, generate_series(1, 2) where id = ${made.batch}
      returning id`
    const [one, other] = large.map(({ id }) => id)
    expect((await batchGet({ ids: [one, made.written] })).status).toBe(200)
    const { status, body } = await batchGet<Problem>({ ids: [one, other] })
    expect([status, body.issues]).toEqual([
      400,
      [{ path: '/ids', message: expect.stringContaining('at most 100000 records') as string }],
    ])
    await sql`delete from operation where id = any (${large.map(({ id }) => id)}::uuid[])`
  })

  it('takes 1,000 ids and no more', async () => {
    const many = Array.from({ length: 1000 }, (_, index) => `none-${index}`)
    expect((await batchGet({ ids: many })).body.missing).toEqual(many)
    const { status, body } = await batchGet<Problem>({ ids: [...many, 'x'] })
    expect([status, body.issues]).toEqual([
      400,
      [{ path: '/ids', message: 'must have at most 1000 entries' }],
    ])
    const wrong = await batchGet<Problem>({ ids: [7], id: 'x' })
    expect(wrong.body.issues!.map(({ path }) => path).sort()).toEqual(['/id', '/ids/0'])
  })
})
