import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { ScriptPage, ScriptRefusal } from '../../src/contract/script-query.ts'
import {
  ADMIN_KEY,
  caller,
  createTenant,
  startService,
  type Answer,
  type Service,
} from '../support/service.ts'

let service: Service
/** Where the calls go: the query of the tenant. */
let path: string
beforeAll(async () => {
  service = await startService()
  const { projectId, integrationId } = service.tenant
  path = `/v1/projects/${projectId}/integrations/${integrationId}/query`
})
afterEach(() => {
  expect(service.simulator.org.faults.list()).toEqual([])
})
afterAll(() => service.stop())

const anyText = expect.any(String) as string
const ask = <T = ScriptPage>(body: object, headers?: Record<string, string>): Promise<Answer<T>> =>
  service.tenant.call<T>('POST', path, { groupRef: service.tenant.groupRef, ...body }, headers)
const refused = (body: object, headers?: Record<string, string>): Promise<Answer<ScriptRefusal>> =>
  ask<ScriptRefusal>(body, headers)
const query = 'SELECT Id FROM Contact LIMIT 1'

describe('the query of a script', () => {
  it('repeats where it comes from, takes variables, and goes on by page, by either place of the group', async () => {
    const { simulator, tenant } = service
    for (let row = 0; row < 2_001; row += 1)
      simulator.org.create('Lead', { LastName: `Row ${row}`, Company: 'Rows' })
    const room = { orgId: '00DRM000000abcd', roomId: 'a0BRM0000001234', origin: null }
    const variables = { company: 'Rows' }
    const first = await ask({
      ...room,
      query: "SELECT LastName FROM Lead WHERE Company = '{{ company }}'",
      variables,
    })
    expect(first.status).toBe(200)
    expect(first.headers.get('content-type')).toBe('application/json; charset=utf-8')
    const { records, ...rest } = first.body
    expect(rest).toEqual({
      ...{ success: true, message: null, errors: [], ...room },
      ...{ totalSize: 2_001, done: false, nextRecordsUrl: anyText },
    })
    expect(records).toHaveLength(2_000)
    const { nextRecordsUrl } = first.body
    const inQuery = `${path}?groupRef=${tenant.groupRef}`
    const second = await tenant.call<ScriptPage>('POST', inQuery, { nextRecordsUrl })
    expect(second.body).toMatchObject({ success: true, totalSize: 2_001, done: true })
    expect(second.body.records.map((one) => one['LastName'])).toEqual(['Row 2000'])
  })

  it('has the numbers of the rows as the provider wrote them', async () => {
    const { app, simulator, tenant } = service
    const page = '{"totalSize":1,"done":true,"records":[{"Long__c":12345678901234567890.50}]}'
    simulator.org.faults.add({
      match: { operation: 'query' },
      action: {
        type: 'status',
        status: 200,
        body: `\n${page}`,
        headers: { 'Content-Type': 'application/json' },
      },
    })
    const answer = await fetch(app.url + path, {
      method: 'POST',
      headers: { 'x-api-key': ADMIN_KEY, 'content-type': 'application/json' },
      body: JSON.stringify({ groupRef: tenant.groupRef, roomId: 'r', query }),
    })
    expect(await answer.text()).toBe(
      `{"success":true,"message":null,"errors":[],"roomId":"r",${page.slice(1)}`,
    )
  })

  it('names all that is wrong with it, at the places of its own body, and sends nothing', async () => {
    const { org } = service.simulator
    const used = org.apiUsed
    const one = async (body: object, headers?: Record<string, string>): Promise<unknown> => {
      const { status, body: told } = await refused({ roomId: 'r', ...body }, headers)
      expect([status, told]).toMatchObject([
        400,
        { success: false, message: anyText, roomId: 'r', records: [], code: 'INVALID_REQUEST' },
      ])
      return told.errors.toSorted()
    }
    expect(await one({ query: 'DELETE FROM Contact' })).toEqual([
      '/query must begin with SELECT: only queries are run',
    ])
    const unknown = { query: "SELECT Id FROM Contact WHERE Name = '{{ who }}'", variables: {} }
    expect(await one(unknown)).toEqual([expect.stringMatching(/^\/query .*who/)])
    expect(await one({ groupRef: undefined })).toEqual([
      '/groupRef is required, here or in the query',
      '/query is required, or nextRecordsUrl',
    ])
    const nextRecordsUrl = 'https://elsewhere.example.com/services/data/v67.0/query/01g-1'
    const all = { query, nextRecordsUrl, soql: query, origin: 5, variables: 3 }
    expect(await one(all, { 'request-timeout': 'soon' })).toEqual([
      expect.stringMatching(/^\/headers\/request-timeout /),
      '/nextRecordsUrl must be the nextRecordsUrl of a page, as it was given',
      '/nextRecordsUrl must not be given together with query',
      '/origin must be text or null',
      '/soql is not a known field',
      expect.stringMatching(/^\/variables /),
    ])
    const twice = await service.tenant.call<ScriptRefusal>('POST', `${path}?groupRef=another`, {
      groupRef: service.tenant.groupRef,
      query,
    })
    expect([twice.status, twice.body.errors]).toEqual([
      400,
      ['/query/groupRef is not the same as groupRef in the body'],
    ])
    expect(org.apiUsed).toBe(used)
  })

  it('that the provider refuses is a 400 with its words at the query', async () => {
    const { status, body } = await refused({ query: 'SELECT Nope__c FROM Contact', origin: 'o' })
    expect([status, body]).toEqual([
      400,
      {
        ...{ success: false, message: expect.stringContaining('INVALID_FIELD') as string },
        errors: [expect.stringMatching(/^\/query is refused by the provider: INVALID_FIELD: .*Nope__c/)],
        ...{ origin: 'o', records: [], code: 'INVALID_REQUEST' },
      },
    ])
  })

  it('keeps the status of what else went wrong', async () => {
    const { app, simulator, database } = service
    const { faults } = simulator.org
    const envelope = (code: string) => ({
      success: false,
      message: anyText,
      errors: [anyText],
      records: [],
      code,
    })
    const told = ({ status, headers, body }: Answer): unknown => {
      expect(headers.get('content-type')).toMatch(/^application\/json/)
      return [status, body]
    }
    expect(told(await refused({ query, groupRef: 'nobody' }))).toEqual([404, envelope('NOT_FOUND')])
    faults.add({ match: { operation: 'query' }, action: { type: 'cutAnswer' } })
    expect(told(await refused({ query }))).toEqual([502, envelope('PROVIDER_UNREACHABLE')])
    const broken = await createTenant(app.url, simulator.url)
    await database.sql`
      update connection set status = 'broken', status_reason = 'revoked' where id = ${broken.connectionId}`
    const of = `/v1/projects/${broken.projectId}/integrations/${broken.integrationId}/query`
    const answer = await broken.call('POST', of, { groupRef: broken.groupRef, query })
    expect(told(answer)).toEqual([424, envelope('NO_WORKING_CONNECTION')])
  })

  it('is refused with a problem before its body is read, which a script takes for no success', async () => {
    const { app, tenant } = service
    const keys = `/v1/projects/${tenant.projectId}/api-keys`
    const label = { label: 'writes', scopes: ['write'] }
    const writer = (await caller(app.url)<{ key: string }>('POST', keys, label)).body.key
    const body = { groupRef: tenant.groupRef, query }
    const answers = await Promise.all([
      caller(app.url, 'wrong')('POST', path, body),
      caller(app.url, writer)('POST', path, body),
      tenant.call('POST', path.replace(tenant.integrationId, 'nowhere'), body),
      ask(body, { 'content-type': 'text/plain' }),
    ])
    expect(answers.map(({ status }) => status)).toEqual([401, 403, 404, 415])
    for (const { headers, body: told } of answers) {
      expect(headers.get('content-type')).toMatch(/^application\/problem\+json/)
      const { detail, remedy } = told as unknown as { detail: string; remedy: string }
      const shown = { success: false, message: detail, errors: [`${detail} ${remedy}`], records: [] }
      expect(told).toMatchObject({ code: anyText, ...shown })
    }
  })
})
