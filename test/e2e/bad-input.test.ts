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
    select (select count(*) from write)::int as writes, (select count(*) from lane)::int as lanes`
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

  it.each([
    ['a synchronous write', { ...good, mode: 'synchronous' }, '/mode'],
    ['a write without a mode', { type: 'create', record: { LastName: 'x' } }, '/mode'],
    ['a batch', { type: 'create', mode: 'asynchronous', batch: [{ record: { LastName: 'x' } }] }, '/batch'],
    [
      'forceUpdateOnCollision',
      { ...good, options: { forceUpdateOnCollision: true } },
      '/options/forceUpdateOnCollision',
    ],
    ['batchPolicy', { ...good, batchPolicy: { allOrNone: true } }, '/batchPolicy'],
    ['merge', { ...good, autoBatchPolicy: { maxDelaySeconds: 1, merge: true } }, '/autoBatchPolicy/merge'],
  ])('says that %s is not supported yet, never ignores it', async (_, body, path) => {
    const answer = await post(body)
    await expectRefused(answer, 400)
    expect(answer.body.code).toBe('NOT_SUPPORTED_YET')
    expect(answer.body.remedy).toContain('not supported yet')
    expect(Object.keys(issuesOf(answer))).toEqual([path])
  })

  it('an idempotency key, which this version could not keep', async () => {
    const { tenant } = service
    const path = `/v1/projects/${tenant.projectId}/integrations/${tenant.integrationId}/objects/Contact`
    const answer = await tenant.call<Problem>(
      'POST',
      path,
      { groupRef: tenant.groupRef, ...good },
      { 'idempotency-key': 'k-1' },
    )
    await expectRefused(answer, 400)
    expect(answer.body.code).toBe('NOT_SUPPORTED_YET')
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
