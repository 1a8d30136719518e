import { createServer, type AddressInfo, type Server } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Problem } from '../../src/contract/problem.ts'
import {
  caller,
  createTenant,
  startService,
  type Answer,
  type Service,
  type Tenant,
} from '../support/service.ts'

interface Page {
  totalSize: number
  done: boolean
  records: Record<string, unknown>[]
  nextRecordsUrl?: string
}
interface Passed {
  status: number
  headers: Record<string, string>
  body: unknown
}

let service: Service
/** The token of the session that was opened last. */
let token = ''
beforeAll(async () => {
  service = await startService()
  const { sessions } = service.simulator.org
  const mint = sessions.mint.bind(sessions)
  sessions.mint = (...args) => {
    const session = mint(...args)
    token = session.accessToken
    return session
  }
})
afterEach(() => {
  expect(service.simulator.org.faults.list()).toEqual([])
})
afterAll(() => service.stop())

const pathOf = ({ projectId, integrationId }: Tenant, action: string): string =>
  `/v1/projects/${projectId}/integrations/${integrationId}/actions/${action}`

const query = <T = Page>(
  body: object,
  headers?: Record<string, string>,
  tenant = service.tenant,
): Promise<Answer<T>> =>
  tenant.call<T>('POST', pathOf(tenant, 'query'), { groupRef: tenant.groupRef, ...body }, headers)

const callApi = <T = Passed>(
  body: object,
  headers?: Record<string, string>,
  tenant = service.tenant,
): Promise<Answer<T>> =>
  tenant.call<T>('POST', pathOf(tenant, 'custom-api-call'), { groupRef: tenant.groupRef, ...body }, headers)

const requestsSince = (seq: number) =>
  service.simulator.org.requests.list((entry) => entry.seq > seq && entry.operation !== 'token')
const lastSeq = (): number => service.simulator.org.requests.list().at(-1)?.seq ?? 0

/** A tenant with a connection of its own. */
const freshTenant = (): Promise<Tenant> => createTenant(service.app.url, service.simulator.url)

/** Another project's tenant, with an installation that lists objects. */
const listingTenant = (): Promise<Tenant> =>
  createTenant(service.app.url, service.simulator.url, {
    Contact: { objectName: 'Contact', deletionSettings: { enabled: true } },
    Account: { objectName: 'Account', mapToName: 'company' },
  })

describe('a query', () => {
  it('answers as the example of the document asks', async () => {
    const { org } = service.simulator
    const id = org.create('Contact', { LastName: 'Ngata', FirstName: 'Ada', Email: 'ada@example.com' })
    org.create('Contact', { LastName: 'Other', Email: 'other@example.com' })
    const answer = await query({
      soql: "SELECT Id, FirstName, LastName, Email FROM Contact WHERE Email = '{{ email }}'",
      variables: { email: 'ada@example.com' },
    })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8')
    expect(answer.body).toEqual({
      totalSize: 1,
      done: true,
      records: [
        {
          attributes: { type: 'Contact', url: `/services/data/v67.0/sobjects/Contact/${id}` },
          Id: id,
          FirstName: 'Ada',
          LastName: 'Ngata',
          Email: 'ada@example.com',
        },
      ],
    })
  })

  it('goes through 5,000 rows page by page, each row once', async () => {
    const { org } = service.simulator
    for (let row = 0; row < 5_000; row += 1) org.create('Lead', { LastName: `Row ${row}`, Company: 'Rows' })
    const seq = lastSeq()
    const names: unknown[] = []
    let asked: object = { soql: "SELECT LastName FROM Lead WHERE Company = 'Rows'" }
    for (let isDone = false; !isDone;) {
      const { status, body } = await query(asked)
      expect(status).toBe(200)
      expect(body.totalSize).toBe(5_000)
      expect(body.done).toBe(body.nextRecordsUrl === undefined)
      names.push(...body.records.map((record) => record['LastName']))
      asked = { nextRecordsUrl: body.nextRecordsUrl }
      isDone = body.done
    }
    expect(new Set(names).size).toBe(5_000)
    expect(names).toHaveLength(5_000)
    expect(requestsSince(seq).map(({ operation }) => operation)).toEqual(['query', 'query', 'query'])
  })

  it('is changed by no variable', async () => {
    const { org } = service.simulator
    const evil = "x' OR Name != '"
    org.create('Account', { Name: evil, Description: 'the evil one' })
    org.create('Account', { Name: 'Innocent' })
    const of = async (soql: string, variables: object) => {
      const { status, body } = await query({ soql, variables })
      expect(status).toBe(200)
      return body.records.map((record) => record['Name'])
    }
    for (const where of ["Name = '{{ name }}'", 'Name = {{ name }}', "Name IN ('{{ name }}')"])
      expect(await of(`SELECT Name FROM Account WHERE ${where}`, { name: evil })).toEqual([evil])
    const back = "\\' OR Name != '"
    expect(await of("SELECT Name FROM Account WHERE Name = '{{ name }}'", { name: back })).toEqual([])
    expect(await of('SELECT Name FROM Account WHERE Name = {{ name }}', { name: null })).toEqual([])
  })

  it('takes typed values outside of quotes', async () => {
    const { org } = service.simulator
    org.create('Contact', { LastName: 'Typed', Score__c: 7.5, DoNotCall: true })
    const { body } = await query({
      soql: 'SELECT LastName FROM Contact WHERE Score__c = {{ score }} AND DoNotCall = {{ no }} AND CreatedDate < {{ then }}',
      variables: { score: 7.5, no: true, then: '2199-01-01T00:00:00Z' },
    })
    expect(body.records.map((record) => record['LastName'])).toEqual(['Typed'])
  })

  it.each([
    ['INSERT INTO Contact', 'must begin with SELECT: only queries are run'],
    ['FIND {x} RETURNING Contact', 'must begin with SELECT: only queries are run'],
    ['SELECT Id FROM Contact FOR UPDATE', 'must not have FOR UPDATE: only reading is allowed'],
    ['SELECT Id FROM Contact; SELECT Id FROM Lead', 'must be one statement, without a semicolon'],
  ])('%s is refused by name, and nothing is sent', async (soql, message) => {
    const seq = lastSeq()
    const { status, body } = await query<Problem>({ soql })
    expect(status).toBe(400)
    expect(body).toMatchObject({ code: 'INVALID_REQUEST', issues: [{ path: '/soql', message }] })
    expect(requestsSince(seq)).toEqual([])
  })

  it('names all that is wrong with its body at once', async () => {
    const { status, body } = await query<Problem>(
      {
        soql: 'x',
        nextRecordsUrl: 'https://evil.example.com/services/data/v67.0/query/01g-1',
        nonsense: 1,
        variables: 3,
      },
      { 'request-timeout': 'soon' },
    )
    expect(status).toBe(400)
    expect(body.issues?.map(({ path }) => path).sort()).toEqual([
      '/headers/request-timeout',
      '/nextRecordsUrl',
      '/nextRecordsUrl',
      '/nonsense',
      '/variables',
    ])
  })

  it('that the provider refuses tells its code and words, and nothing else', async () => {
    const { status, body } = await query<Problem>({ soql: 'SELECT Nope__c FROM Contact' })
    expect(status).toBe(400)
    expect(body.code).toBe('INVALID_REQUEST')
    expect(body.issues).toEqual([
      {
        path: '/soql',
        message: expect.stringContaining("INVALID_FIELD: No such column 'Nope__c'") as string,
      },
    ])
    expect(JSON.stringify(body)).not.toContain(service.simulator.url)
    const malformed = await query<Problem>({ soql: 'SELECT FROM Contact' })
    expect(malformed.body.detail).toContain('MALFORMED_QUERY')
  })

  it('of a page that is not there is a 400', async () => {
    const { status, body } = await query<Problem>({
      nextRecordsUrl: '/services/data/v67.0/query/01g000000000000AAA-2000',
    })
    expect(status).toBe(400)
    expect(body.issues?.[0]?.path).toBe('/nextRecordsUrl')
  })

  it('goes on with a new session when the old one has expired, once', async () => {
    const { org } = service.simulator
    // Sessions that are refused again and again break their connection: it is theirs alone.
    const [once, twice] = [await freshTenant(), await freshTenant()]
    const soql = { soql: 'SELECT Id FROM Contact LIMIT 1' }
    org.faults.add({ match: { operation: 'query' }, action: { type: 'expireSessions' } })
    const seq = lastSeq()
    expect((await query(soql, {}, once)).status).toBe(200)
    expect(requestsSince(seq).map(({ status }) => status)).toEqual([401, 200])
    org.faults.add({ match: { operation: 'query' }, action: { type: 'expireSessions' }, times: 2 })
    const again = lastSeq()
    const refused = await query<Problem>(soql, {}, twice)
    expect(refused).toMatchObject({ status: 502, body: { code: 'INVALID_SESSION_ID' } })
    expect(refused.body.detail).toContain('INVALID_SESSION_ID')
    expect(requestsSince(again)).toHaveLength(2)
  })

  it('without an answer in time is a 504, with a cut one a 502', async () => {
    const { org } = service.simulator
    org.faults.add({ match: { operation: 'query' }, action: { type: 'hang' } })
    const late = await query<Problem>({ soql: 'SELECT Id FROM Contact' }, { 'request-timeout': '1' })
    expect(late).toMatchObject({ status: 504, body: { code: 'PROVIDER_TIMEOUT' } })
    org.faults.add({ match: { operation: 'query' }, action: { type: 'cutAnswer' } })
    const cut = await query<Problem>({ soql: 'SELECT Id FROM Contact' })
    expect(cut).toMatchObject({ status: 502, body: { code: 'PROVIDER_UNREACHABLE' } })
    org.faults.add({ match: { operation: 'query' }, action: { type: 'wrongShape' } })
    expect(await query<Problem>({ soql: 'SELECT Id FROM Contact' })).toMatchObject({ status: 502 })
  })

  it('with a broken connection is a 424', async () => {
    const { app, simulator } = service
    const tenant = await freshTenant()
    const connection = `/v1/projects/${tenant.projectId}/connections/${tenant.connectionId}`
    await caller(app.url)('PATCH', connection, {
      credentials: {
        type: 'oauth2-client-credentials',
        clientId: 'writeback-demo',
        clientSecret: 'wrong',
        loginUrl: simulator.url,
      },
    })
    const answer = await query<Problem>({ soql: 'SELECT Id FROM Contact' }, {}, tenant)
    expect(answer).toMatchObject({ status: 424, body: { code: 'NO_WORKING_CONNECTION' } })
  })

  it('tells what it read of the org’s calls', async () => {
    const { simulator, database } = service
    const tenant = await freshTenant()
    simulator.org.apiUsed = 4_321
    expect((await query({ soql: 'SELECT Id FROM Contact LIMIT 1' }, {}, tenant)).status).toBe(200)
    const rows = await database.sql<{ used: number }[]>`
      select u.api_used as used from pacing p join org_usage u using (org)
      where p.installation_id = ${tenant.installationId}`
    expect(rows).toEqual([{ used: 4_322 }])
    simulator.org.apiUsed = 0
  })

  it('needs a key that may read', async () => {
    const { tenant, app } = service
    const { body } = await caller(app.url)<{ key: string }>(
      'POST',
      `/v1/projects/${tenant.projectId}/api-keys`,
      {
        label: 'writes',
        scopes: ['write'],
      },
    )
    const answer = await caller(app.url, body.key)('POST', pathOf(tenant, 'query'), {
      groupRef: tenant.groupRef,
      soql: 'SELECT Id FROM Contact',
    })
    expect(answer.status).toBe(403)
  })
})

describe('a custom API call', () => {
  it('writes as the example of the document asks, variables in place', async () => {
    const { org } = service.simulator
    const id = org.create('Account', { Name: 'Before' })
    const answer = await callApi({
      method: 'PATCH',
      endpoint: '/sobjects/Account/{{ accountId }}',
      body: JSON.parse(`{
  "Name": "{{ accountName }}",
  "Website": "{{ website }}"
}`) as unknown,
      variables: { accountId: id, accountName: 'Acme', website: 'https://acme.example.com' },
    })
    expect(answer.status).toBe(200)
    expect(answer.body).toEqual({
      status: 204,
      headers: expect.objectContaining({ 'sforce-limit-info': expect.any(String) as string }) as object,
      body: null,
    })
    expect(org.record(id)).toMatchObject({ Name: 'Acme', Website: 'https://acme.example.com' })
    const read = await callApi({ method: 'GET', endpoint: `/services/data/v60.0/sobjects/Account/${id}` })
    expect(read.body).toMatchObject({ status: 200, body: { Id: id, Name: 'Acme' } })
    const text = await callApi({
      method: 'PATCH',
      endpoint: `/sobjects/Account/${id}`,
      body: '{"Name": "{{ accountName }}"}',
      variables: { accountName: 'As text' },
    })
    expect(text.body.status).toBe(204)
    expect(org.record(id)).toMatchObject({ Name: 'As text' })
  })

  it('answers with the provider’s own status and body, whatever they are', async () => {
    const missing = await callApi({ method: 'GET', endpoint: '/sobjects/Account/001000000000000AAA' })
    expect(missing.status).toBe(200)
    expect(missing.body).toMatchObject({ status: 404, body: [{ errorCode: 'NOT_FOUND' }] })
    const bad = await callApi({ method: 'POST', endpoint: '/sobjects/Account', body: {} })
    expect(bad.body).toMatchObject({ status: 400, body: [{ errorCode: 'REQUIRED_FIELD_MISSING' }] })
    const apex = await callApi({ method: 'GET', endpoint: '/services/apexrest/Nothing' })
    expect(apex.body.status).toBe(404)
  })

  it('hands numbers on as they came, text as text, and no cookie', async () => {
    const { org } = service.simulator
    const answers = [
      ['{"long":12345678901234567890.5}', { 'Content-Type': 'application/json', 'Set-Cookie': 'sid=1' }],
      ['plain 1', { 'Content-Type': 'text/plain', 'X-Odd': 'y', ETag: '"e"' }],
    ] as const
    const texts: string[] = []
    for (const [body, headers] of answers) {
      org.faults.add({
        match: { operation: 'limits' },
        action: { type: 'status', status: 200, body, headers },
      })
      const response = await fetch(service.app.url + pathOf(service.tenant, 'custom-api-call'), {
        method: 'POST',
        headers: { 'x-api-key': 'test-admin-key', 'content-type': 'application/json' },
        body: JSON.stringify({ groupRef: service.tenant.groupRef, method: 'GET', endpoint: '/limits' }),
      })
      texts.push(await response.text())
    }
    expect(texts[0]).toBe(
      '{"status":200,"headers":{"content-type":"application/json"},"body":{"long":12345678901234567890.5}}',
    )
    expect(JSON.parse(texts[1]!)).toEqual({
      status: 200,
      headers: { 'content-type': 'text/plain', etag: '"e"' },
      body: 'plain 1',
    })
  })

  it('never shows the session, though the provider writes it back', async () => {
    const { org } = service.simulator
    const seen: string[] = []
    const tenant = await freshTenant()
    await callApi({ method: 'GET', endpoint: '/limits' }, {}, tenant)
    for (const status of [200, 400]) {
      const body = JSON.stringify([{ errorCode: 'X', message: `token ${token}` }])
      const headers = { Location: `https://x.example.com/?t=${token}` }
      org.faults.add({ match: { operation: 'limits' }, action: { type: 'status', status, body, headers } })
      seen.push(JSON.stringify((await callApi({ method: 'GET', endpoint: '/limits' }, {}, tenant)).body))
    }
    const secret = token.replace(/^00D[^!]*!/, '')
    expect(secret.length).toBeGreaterThan(12)
    for (const text of seen) {
      expect(text).toContain('[removed]')
      expect(text).not.toContain(secret)
    }
  })

  it('follows no redirect', async () => {
    const other = await listening()
    service.simulator.org.faults.add({
      match: { operation: 'limits' },
      action: { type: 'redirect', location: `${other.url}/services/data/v67.0/limits` },
    })
    const answer = await callApi({ method: 'GET', endpoint: '/limits' })
    expect(answer.body).toMatchObject({
      status: 302,
      headers: { location: expect.stringContaining(other.url) as string },
    })
    expect(other.connections()).toBe(0)
    await other.close()
  })

  it('reaches no other host, however it is written', async () => {
    const other = await listening()
    const { url: instance } = service.simulator
    const host = new URL(other.url).host
    const endpoints = [
      other.url,
      `${other.url}/services/data/v67.0/limits`,
      `//${host}/services/data/v67.0/limits`,
      `/\\${host}/limits`,
      `\\\\${host}\\limits`,
      `/services/data/v67.0/..//${host}/`,
      `@${host}/limits`,
      `.${host}/limits`,
      `:80@${host}/limits`,
      `${instance}@${host}/services/data/v67.0/limits`,
      `${instance}.${host}/services/data/v67.0/limits`,
      `${instance.replace('://', `://${host}@`)}/services/data/v67.0/limits`,
      `http:${host}/limits`,
      `http:///${host}/services/data/v67.0/limits`,
      `${instance}\t@${host}/services/data/v67.0/limits`,
      `/%2f%2f${host}/limits`,
      `/services/data/v67.0/%2e%2e/%2e%2e/%2e%2e//${host}/`,
      `/services/oauth2/userinfo`,
      `/services/data/v67.0/../../oauth2/userinfo`,
      `/services/data/../oauth2/userinfo`,
      `/services/data/v67.0/%252e%252e/x`,
      `/services%2foauth2/userinfo`,
      '/id/00D/005',
      `${instance}/id/00D/005`,
      `ftp://${host}/limits`,
      `file:///etc/passwd`,
      `/limits#@${host}`,
      `/limits\r\nHost: ${host}`,
    ]
    const seq = lastSeq()
    for (const endpoint of endpoints) {
      const answer = await callApi<Problem & Passed>({ method: 'GET', endpoint })
      // One of them is a path of the REST API below its version, and is called there.
      if (endpoint === '/id/00D/005') expect(answer.body.status).toBe(404)
      else
        expect([endpoint, answer.status, answer.body.issues?.[0]?.path]).toEqual([endpoint, 400, '/endpoint'])
    }
    expect(other.connections()).toBe(0)
    expect(requestsSince(seq).map(({ path }) => path)).toEqual(['/services/data/v67.0/id/00D/005'])
    const own = await callApi({ method: 'GET', endpoint: `${instance}/services/data/v67.0/limits` })
    expect(own.body.status).toBe(200)
    await other.close()
  })

  it('percent-encodes what a variable puts into the path, so that it stays one part of it', async () => {
    const seq = lastSeq()
    const get = (value: unknown) =>
      callApi<Problem & Passed>({
        method: 'GET',
        endpoint: '/sobjects/Account/External_Id__c/{{ key }}',
        variables: { key: value },
      })
    expect((await get('a b?c=d&e')).body.status).toBe(404)
    expect((await get(7)).body.status).toBe(404)
    expect(requestsSince(seq).map(({ path, keys }) => [path, ...keys])).toEqual([
      ['/services/data/v67.0/sobjects/Account/External_Id__c/a%20b%3Fc%3Dd%26e', 'a b?c=d&e'],
      ['/services/data/v67.0/sobjects/Account/External_Id__c/7', '7'],
    ])
    for (const value of ['..', 'a/b', '../../Contact', 'a\\b', '', null, ['x']])
      expect((await get(value)).body.issues?.[0]?.path).toBe('/endpoint')
  })

  it('sends no header that stands for another caller', async () => {
    const headers = {
      Authorization: 'Bearer x',
      Host: 'x',
      Cookie: 'x',
      'Content-Length': '1',
      'Transfer-Encoding': 'chunked',
      Connection: 'close',
      'X-Forwarded-For': '1.2.3.4',
      'X-HTTP-Method-Override': 'DELETE',
      'Sforce-Auto-Assign': 'a\r\nb: c',
      'Sforce-Mru': 3,
    }
    const { status, body } = await callApi<Problem>({ method: 'GET', endpoint: '/limits', headers })
    expect(status).toBe(400)
    expect(body.issues?.map(({ path }) => path)).toEqual(
      Object.keys(headers).map((name) => `/headers/${name}`),
    )
  })

  it('of an expired session is made again with a new one; refused twice it is a 502', async () => {
    const { org } = service.simulator
    const [once, twice] = [await freshTenant(), await freshTenant()]
    const create = { method: 'POST', endpoint: '/sobjects/Account', body: { Name: 'Once' } }
    org.faults.add({ match: { operation: 'single.create' }, action: { type: 'expireSessions' } })
    expect((await callApi(create, {}, once)).body.status).toBe(201)
    expect(org.find('Account', 'Name', 'Once')).toHaveLength(1)
    org.faults.add({ match: { operation: 'single.create' }, action: { type: 'expireSessions' }, times: 2 })
    const refused = await callApi<Problem>(create, {}, twice)
    expect(refused).toMatchObject({ status: 502, body: { code: 'INVALID_SESSION_ID' } })
    expect(org.find('Account', 'Name', 'Once')).toHaveLength(1)
  })

  it('that may have been carried out says so when its answer is lost', async () => {
    const { org } = service.simulator
    const tenant = await freshTenant()
    const create = { method: 'POST', endpoint: '/sobjects/Account', body: { Name: 'Maybe' } }
    await callApi({ method: 'GET', endpoint: '/limits' }, {}, tenant)
    org.faults.add({ match: { operation: 'single.create' }, action: { type: 'dropAfter' } })
    const lost = await callApi<Problem>(create, {}, tenant)
    expect(lost).toMatchObject({ status: 502, body: { code: 'OUTCOME_UNKNOWN', retryable: false } })
    org.faults.add({ match: { operation: 'single.create' }, action: { type: 'hang', when: 'after' } })
    const late = await callApi<Problem>(create, { 'request-timeout': '1' }, tenant)
    expect(late).toMatchObject({ status: 504, body: { code: 'OUTCOME_UNKNOWN' } })
    expect(org.find('Account', 'Name', 'Maybe')).toHaveLength(2)
    org.faults.add({ match: { operation: 'limits' }, action: { type: 'dropAfter' } })
    const read = await callApi<Problem>({ method: 'GET', endpoint: '/limits' }, {}, tenant)
    expect(read).toMatchObject({ status: 502, body: { code: 'PROVIDER_UNREACHABLE' } })
  })

  it('takes no idempotency key for what it could not keep', async () => {
    const headers = { 'idempotency-key': 'k' }
    const { status, body } = await callApi<Problem>(
      { method: 'POST', endpoint: '/sobjects/Account', body: { Name: 'Keyed' } },
      headers,
    )
    expect([status, body.issues?.[0]?.path]).toEqual([400, '/headers/idempotency-key'])
    expect((await callApi({ method: 'GET', endpoint: '/limits' }, headers)).status).toBe(200)
  })

  it('needs a key that may read, and that may write too for anything but reading', async () => {
    const { tenant, app } = service
    const keys = await Promise.all(
      [['read'], ['write'], ['read', 'write']].map(async (scopes) => {
        const path = `/v1/projects/${tenant.projectId}/api-keys`
        const body = { label: scopes.join(' and '), scopes }
        return (await caller(app.url)<{ key: string }>('POST', path, body)).body.key
      }),
    )
    const statuses = await Promise.all(
      keys.flatMap((key) =>
        [
          { method: 'GET', endpoint: '/limits' },
          { method: 'POST', endpoint: '/sobjects/Account', body: { Name: 'Scoped' } },
        ].map(async (body) => {
          const path = pathOf(tenant, 'custom-api-call')
          return (await caller(app.url, key)('POST', path, { groupRef: tenant.groupRef, ...body })).status
        }),
      ),
    )
    expect(statuses).toEqual([200, 403, 403, 403, 200, 200])
    expect(service.simulator.org.find('Account', 'Name', 'Scoped')).toHaveLength(1)
  })
})

describe('what an installation does not allow', () => {
  it('is deleted by no custom call, in whatever form', async () => {
    const { org } = service.simulator
    const id = org.create('Account', { Name: 'Kept' })
    const tries = [
      { method: 'DELETE', endpoint: `/sobjects/Account/${id}` },
      { method: 'DELETE', endpoint: `/composite/sobjects?ids=${id}` },
      {
        method: 'POST',
        endpoint: '/composite',
        body: {
          compositeRequest: [
            { method: 'DELETE', url: `/services/data/v67.0/sobjects/Account/${id}`, referenceId: 'a' },
          ],
        },
      },
      {
        method: 'POST',
        endpoint: '/composite/batch',
        body: { batchRequests: [{ method: 'DELETE', url: `v67.0/sobjects/Account/${id}` }] },
      },
    ]
    const listing = await listingTenant()
    const seq = lastSeq()
    for (const tenant of [service.tenant, listing])
      for (const body of tries) {
        const answer = await callApi<Problem>(body, {}, tenant)
        expect(answer).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } })
      }
    expect(requestsSince(seq).map(({ operation }) => operation)).toEqual(['describeGlobal'])
    expect(org.record(id)).toBeDefined()
  })

  it('may be done where it is listed', async () => {
    const { org } = service.simulator
    const tenant = await listingTenant()
    const ids = [1, 2].map((number) => org.create('Contact', { LastName: `Goes ${number}` }))
    const gone = await callApi(
      { method: 'DELETE', endpoint: `/composite/sobjects?ids=${ids.join(',')}` },
      {},
      tenant,
    )
    expect(gone.body).toMatchObject({ status: 200, body: [{ success: true }, { success: true }] })
    expect(ids.map((id) => org.record(id))).toEqual([undefined, undefined])
    const create = (object: string) =>
      callApi<Problem & Passed>(
        { method: 'POST', endpoint: `/sobjects/${object}`, body: { Name: 'L', LastName: 'L', Company: 'L' } },
        {},
        tenant,
      )
    expect((await create('Lead')).status).toBe(403)
    expect((await create('Account')).body.status).toBe(400)
    const apex = await callApi<Problem>(
      { method: 'POST', endpoint: '/services/apexrest/Do', body: {} },
      {},
      tenant,
    )
    expect(apex).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } })
    expect((await callApi({ method: 'GET', endpoint: '/sobjects/Lead' }, {}, tenant)).status).toBe(200)
  })
})

it('a read that would outlast the stop of its process is answered before the end', async () => {
  const own = await startService()
  const { tenant, simulator, app } = own
  const gate = simulator.org.faults.hold({ operation: 'query' })
  const soql = { soql: 'SELECT Id FROM Contact' }
  const late = query<Problem>(soql, { 'request-timeout': '600' }, tenant)
  await gate.arrived
  await app.stop(1_500)
  expect(await late).toMatchObject({ status: 504, body: { code: 'PROVIDER_TIMEOUT' } })
  gate.release()
  await own.stop()
})

/** A server that counts who connects to it. */
async function listening() {
  let connections = 0
  const server: Server = createServer((socket) => {
    connections += 1
    socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections: () => connections,
    close: () => new Promise((resolve) => server.close(resolve)),
  }
}
