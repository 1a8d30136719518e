import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { caller, startService, type Answer, type Service } from '../support/service.ts'

interface Problem {
  title: string
  status: number
  detail: string
  code: string
  remedy?: string
  retryable: boolean
  requestId: string
  issues?: { path: string; message: string }[]
}

let service: Service
let before: unknown

/** What the database holds that a refused call must not touch. */
const stored = async (): Promise<unknown> => {
  const [row] = await service.database.sql`
    select (select count(*) from write)::int as writes, (select count(*) from lane)::int as lanes,
      (select count(*) from operation)::int as operations`
  return row
}

beforeAll(async () => {
  service = await startService(
    {},
    {},
    { Contact: { objectName: 'Contact' }, Account: { objectName: 'Account' } },
  )
})
beforeEach(async () => {
  before = await stored()
})
afterAll(() => service.stop())

const good = { type: 'create', mode: 'asynchronous', record: { LastName: 'Fine' } }

const post = (body: unknown, object = 'Contact'): Promise<Answer<Problem>> =>
  service.tenant.call<Problem>(
    'POST',
    `/v1/projects/${service.tenant.projectId}/integrations/${service.tenant.integrationId}/objects/${object}`,
    typeof body === 'string' || body === undefined
      ? body
      : { groupRef: service.tenant.groupRef, ...(body as object) },
  )

const issuesOf = (answer: Answer<Problem>): Record<string, string> =>
  Object.fromEntries((answer.body.issues ?? []).map((issue) => [issue.path, issue.message]))

async function expectRefused(answer: Answer<Problem>, status: number): Promise<void> {
  expect(answer.status).toBe(status)
  expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/)
  expect(answer.body).toMatchObject({
    status,
    requestId: expect.any(String) as string,
    detail: expect.any(String) as string,
  })
  expect(await stored()).toEqual(before)
  expect((await fetch(`${service.app.url}/healthz`)).status).toBe(200)
}

describe('bad input', () => {
  it('malformed JSON', async () => {
    const answer = await post('{"groupRef": ')
    await expectRefused(answer, 400)
    expect(answer.body.issues).toHaveLength(1)
  })

  it('names every issue at once: unknown fields, wrong types, values out of range, both delays, a missing key', async () => {
    const answer = await post({
      type: 'upsert',
      mode: 'asynchronous',
      record: { Id: '001RM000003oLru' },
      colour: 'red',
      reference: 7,
      retryPolicy: { deadlineHours: 49, patience: true },
      autoBatchPolicy: { maxDelayMinutes: 0, maxDelaySeconds: 2, maxRecords: 101, onRollback: 'shrug' },
    })
    await expectRefused(answer, 400)
    const issues = issuesOf(answer)
    expect(Object.keys(issues).sort()).toEqual([
      '/autoBatchPolicy',
      '/autoBatchPolicy/maxDelayMinutes',
      '/autoBatchPolicy/maxRecords',
      '/autoBatchPolicy/onRollback',
      '/colour',
      '/externalIdField',
      '/record/Id',
      '/reference',
      '/retryPolicy/deadlineHours',
      '/retryPolicy/patience',
    ])
    expect(issues['/autoBatchPolicy']).toContain('not both')
    expect(issues['/colour']).toBe('is not a known field')
  })

  it('wrong kinds of everything', async () => {
    const answer = await post({
      groupRef: 5,
      type: 'make',
      mode: 1,
      record: [],
      autoBatchPolicy: 'soon',
      externalIdField: {},
    })
    await expectRefused(answer, 400)
    expect(Object.keys(issuesOf(answer)).sort()).toEqual([
      '/autoBatchPolicy',
      '/externalIdField',
      '/groupRef',
      '/mode',
      '/record',
      '/type',
    ])
  })

  it('neither a record nor a batch, and no delay in a policy', async () => {
    const answer = await post({ type: 'create', mode: 'asynchronous', autoBatchPolicy: {} })
    await expectRefused(answer, 400)
    expect(Object.keys(issuesOf(answer)).sort()).toEqual(['/autoBatchPolicy', '/record'])
  })

  it.each([0, 101])('a batch of %i records', async (count) => {
    const batch = Array.from({ length: count }, () => ({ record: { LastName: 'x' } }))
    const answer = await post({ type: 'create', mode: 'asynchronous', batch })
    await expectRefused(answer, 400)
    expect(answer.body.code).toBe('INVALID_REQUEST')
    expect(issuesOf(answer)['/batch']).toBe(
      count === 0 ? 'must not be empty' : 'must have at most 100 entries',
    )
  })

  const id = '001RM000003oLru'
  const batch = [{ record: { LastName: 'x' } }]
  const collision = { options: { forceUpdateOnCollision: true } }
  const policy = { maxDelaySeconds: 1 }
  it.each([
    ['a batch beside a record', { ...good, batch }, ['/batch']],
    ['batchPolicy without a batch', { ...good, batchPolicy: { allOrNone: true } }, ['/batchPolicy']],
    [
      'an unknown part of batchPolicy',
      { type: 'create', batch, batchPolicy: { allOrNon: true } },
      ['/batchPolicy/allOrNon'],
    ],
    [
      'autoBatchPolicy on a synchronous write',
      { ...good, mode: 'synchronous', autoBatchPolicy: policy },
      ['/autoBatchPolicy'],
    ],
    [
      'autoBatchPolicy where the mode is left at its default',
      { type: 'create', record: { LastName: 'x' }, autoBatchPolicy: policy },
      ['/autoBatchPolicy'],
    ],
    [
      'autoBatchPolicy with a batch',
      { type: 'create', mode: 'asynchronous', batch, autoBatchPolicy: policy },
      ['/autoBatchPolicy'],
    ],
    [
      'retryPolicy on a synchronous write',
      { ...good, mode: 'synchronous', retryPolicy: { deadlineHours: 2 } },
      ['/retryPolicy'],
    ],
    [
      'merge on a create',
      { ...good, autoBatchPolicy: { ...policy, merge: true } },
      ['/autoBatchPolicy/merge'],
    ],
    [
      'merge on a delete',
      { ...good, type: 'delete', record: { id }, autoBatchPolicy: { ...policy, merge: true } },
      ['/autoBatchPolicy/merge'],
    ],
    [
      'forceUpdateOnCollision on an update',
      { ...good, type: 'update', record: { id }, ...collision },
      ['/options/forceUpdateOnCollision'],
    ],
    [
      'forceUpdateOnCollision with allOrNone of a batch',
      { type: 'create', batch, batchPolicy: { allOrNone: true }, ...collision },
      ['/options/forceUpdateOnCollision'],
    ],
    [
      'forceUpdateOnCollision with allOrNone of a group',
      { ...good, autoBatchPolicy: { ...policy, allOrNone: true }, ...collision },
      ['/options/forceUpdateOnCollision'],
    ],
    [
      'forceUpdateOnCollision with allowDuplicates',
      { ...good, options: { forceUpdateOnCollision: true, allowDuplicates: true } },
      ['/options/forceUpdateOnCollision'],
    ],
    [
      'associations in a batch',
      { type: 'create', batch: [...batch, { ...batch[0], associations: [] }] },
      ['/batch/1/associations'],
    ],
    [
      'every bad record of a batch at once',
      {
        type: 'update',
        batch: [
          { record: { id } },
          { record: { LastName: 'x' } },
          { record: 7 },
          {},
          { record: { Id: 'x' } },
        ],
      },
      ['/batch/1/record/id', '/batch/2/record', '/batch/3/record', '/batch/4/record/Id'],
    ],
    [
      'a record named twice in a batch, by its short and its long id',
      { type: 'update', batch: [{ record: { id } }, { record: { Id: '001RM000003oLruYAE' } }] },
      ['/batch/1/record/Id'],
    ],
    [
      'a record named twice in a batch, by its external id in another case',
      {
        type: 'upsert',
        externalIdField: 'Ext__c',
        batch: [
          { record: { ext__c: 'Key 1' } },
          { record: { Ext__c: 'x' } },
          { record: { Ext__C: 'KEY 1' } },
        ],
      },
      ['/batch/2/record/Ext__C'],
    ],
    [
      'an unknown variable in a batch',
      { type: 'create', variables: {}, batch: [...batch, { record: { LastName: '{{nobody}}' } }] },
      ['/batch/1/record/LastName'],
    ],
  ])('%s', async (_, body, paths) => {
    const answer = await post(body)
    await expectRefused(answer, 400)
    expect(answer.body.code).toBe('INVALID_REQUEST')
    expect(Object.keys(issuesOf(answer)).sort()).toEqual(paths)
  })

  it('names both places of a record that a batch names twice', async () => {
    const answer = await post({ type: 'update', batch: [{ record: { id } }, { record: { Id: id } }] })
    expect(issuesOf(answer)['/batch/1/record/Id']).toContain('/batch/0/record')
  })

  it.each(['0', '0.5', '601', 'soon', '', '1e2', '-5'])('a Request-Timeout of %j', async (time) => {
    const { tenant } = service
    const path = `/v1/projects/${tenant.projectId}/integrations/${tenant.integrationId}/objects/Contact`
    const body = { groupRef: tenant.groupRef, type: 'create', record: { LastName: 'x', Id: 'x' } }
    const answer = await tenant.call<Problem>('POST', path, body, { 'request-timeout': time })
    await expectRefused(answer, 400)
    expect(Object.keys(issuesOf(answer)).sort()).toEqual(['/headers/request-timeout', '/record/Id'])
  })

  it.each(['', 'a b', 'k\u00e9', 'a\tb', 'x'.repeat(256)])('an Idempotency-Key of %j', async (key) => {
    const { tenant } = service
    const path = `/v1/projects/${tenant.projectId}/integrations/${tenant.integrationId}/objects/Contact`
    const body = { groupRef: tenant.groupRef, type: 'create', record: { LastName: 'x', Id: 'x' } }
    const answer = await tenant.call<Problem>('POST', path, body, { 'idempotency-key': key })
    await expectRefused(answer, 400)
    expect(Object.keys(issuesOf(answer)).sort()).toEqual(['/headers/idempotency-key', '/record/Id'])
  })

  it('associations, which this provider has none of', async () => {
    const answer = await post({ ...good, associations: [] })
    await expectRefused(answer, 400)
    expect(answer.body.code).toBe('INVALID_REQUEST')
  })

  it('a delete that the installation does not allow, and one with fields beside the id', async () => {
    const body = { type: 'delete', mode: 'asynchronous', record: { id: '001RM000003oLru' } }
    await expectRefused(await post(body), 403)
    const answer = await post({ ...body, record: { id: '001RM000003oLru', LastName: 'x' } })
    await expectRefused(answer, 400)
    expect(Object.keys(issuesOf(answer))).toEqual(['/record/LastName'])
  })

  it('headers, options and variables that are no good, with everything else', async () => {
    const answer = await post({
      ...good,
      record: { LastName: '{{nobody}}' },
      headers: [
        { key: 'X-Evil', value: 'x' },
        { key: 'Sforce-Auto-Assign', value: 'FALSE\r\nX: y' },
      ],
      options: { ignoreEmptyValues: 'yes', frobnicate: true },
      variables: { somebody: 'x' },
    })
    await expectRefused(answer, 400)
    const paths = Object.keys(issuesOf(answer))
    expect(paths).toEqual(
      expect.arrayContaining(['/record/LastName', '/options/ignoreEmptyValues', '/options/frobnicate']),
    )
    expect(paths.filter((path) => path.startsWith('/headers/0'))).toHaveLength(1)
    expect(paths.filter((path) => path.startsWith('/headers/1'))).toHaveLength(1)
    expect(JSON.stringify(answer.body.issues)).toContain('X-Evil')
  })

  it('an object that the installation does not list', async () => {
    await expectRefused(await post(good, 'Spaceship__c'), 403)
    await expectRefused(await post(good, 'not%20an%20object'), 403)
  })

  it('an unknown project, integration, group and operation', async () => {
    const { tenant } = service
    const body = { groupRef: tenant.groupRef, ...good }
    const admin = caller(service.app.url)
    await expectRefused(
      await admin('POST', `/v1/projects/nowhere/integrations/${tenant.integrationId}/objects/Contact`, body),
      404,
    )
    await expectRefused(
      await tenant.call(
        'POST',
        `/v1/projects/${tenant.projectId}/integrations/nothing/objects/Contact`,
        body,
      ),
      404,
    )
    await expectRefused(await post({ ...good, groupRef: 'nobody' }), 404)
    await expectRefused(
      await tenant.call('GET', `/v1/projects/${tenant.projectId}/operations/${tenant.projectId}`),
      404,
    )
    await expectRefused(await tenant.call('GET', `/v1/projects/${tenant.projectId}/operations/nonsense`), 404)
  })

  it('no key, a wrong key, a key without the scope', async () => {
    const { tenant, app } = service
    const path = `/v1/projects/${tenant.projectId}/integrations/${tenant.integrationId}/objects/Contact`
    const body = { groupRef: tenant.groupRef, ...good }
    await expectRefused(await caller(app.url, '')('POST', path, body), 401)
    await expectRefused(await caller(app.url, 'wrong')('POST', path, body), 401)
    const { body: made } = await caller(app.url)<{ key: string }>(
      'POST',
      `/v1/projects/${tenant.projectId}/api-keys`,
      { label: 'r', scopes: ['read'] },
    )
    await expectRefused(await caller(app.url, made.key)('POST', path, body), 403)
  })

  it('a body of 30 MB, and one that is no JSON', async () => {
    const huge = JSON.stringify({
      groupRef: service.tenant.groupRef,
      ...good,
      record: { LastName: 'x'.repeat(30_000_000) },
    })
    await expectRefused(await post(huge), 413)
    const { tenant } = service
    const path = `/v1/projects/${tenant.projectId}/integrations/${tenant.integrationId}/objects/Contact`
    await expectRefused(
      await tenant.call('POST', path, 'LastName=x', { 'content-type': 'application/x-www-form-urlencoded' }),
      415,
    )
  })

  it('text that cannot be stored', async () => {
    const answer = await post({
      ...good,
      record: { LastName: 'a\u0000b', FirstName: '\ud800' },
      reference: 'x\u0000',
    })
    await expectRefused(answer, 400)
    expect(answer.body.issues!.length).toBeGreaterThanOrEqual(2)
  })

  it('takes names from the object prototype as data', async () => {
    const body = `{"groupRef":${JSON.stringify(service.tenant.groupRef)},"type":"create","mode":"asynchronous","record":{"LastName":"P","__proto__":{"x":1},"constructor":"y"}}`
    const answer = await service.tenant.call<{ operationId: string }>(
      'POST',
      `/v1/projects/${service.tenant.projectId}/integrations/${service.tenant.integrationId}/objects/Contact`,
      body,
    )
    expect(answer.status).toBe(200)
    const operation = await service.tenant.operation(answer.body.operationId)
    expect(operation.metadata.records[0]!.errors[0]).toMatchObject({ code: 'INVALID_FIELD' })
    expect({}).not.toHaveProperty('x')
  })
})
