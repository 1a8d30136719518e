import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { announce } from '../../src/connections/announce.ts'
import type { Problem } from '../../src/contract/problem.ts'
import { ADMIN_KEY, startService, type Service } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'

interface Result {
  operationId?: string
  problem?: Problem
}

let service: Service
beforeAll(async () => {
  const objects = {
    Contact: { objectName: 'Contact', mapToName: 'person', fieldMappings: { surname: 'LastName' } },
    Account: { objectName: 'Account', idempotencyField: 'Write_Id__c' },
  }
  service = await startService({}, {}, objects)
})
afterAll(() => service.stop())

const path = (): string => {
  const { projectId, integrationId } = service.tenant
  return `${service.app.url}/v1/projects/${projectId}/integrations/${integrationId}/writes`
}

const send = (body: string | Buffer, type = 'application/x-ndjson', headers: Record<string, string> = {}) =>
  fetch(path(), {
    method: 'POST',
    headers: { 'x-api-key': ADMIN_KEY, ...(type !== '' && { 'content-type': type }), ...headers },
    body,
  })

const write = (part: Record<string, unknown> = {}): Record<string, unknown> => ({
  groupRef: service.tenant.groupRef,
  objectName: 'Contact',
  type: 'create',
  record: { LastName: 'Bulk' },
  ...part,
})

/** Makes the call as NDJSON. */
async function postLines(writes: unknown[]): Promise<Result[]> {
  const answer = await send(writes.map((one) => JSON.stringify(one)).join('\n'))
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/x-ndjson'])
  return (await answer.text())
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Result)
}

/** The same as JSON. */
async function postJson(writes: unknown[]): Promise<Result[]> {
  const answer = await send(JSON.stringify({ writes }), 'application/json')
  expect(answer.status).toBe(200)
  return ((await answer.json()) as { results: Result[] }).results
}

const forms = [
  ['NDJSON', postLines],
  ['JSON', postJson],
] as const

const committed = async (results: Result[]): Promise<number> => {
  const ids = results.flatMap(({ operationId }) => operationId ?? [])
  const [row] = await service.database.sql<{ count: number }[]>`
    select count(*)::int as count from write where id = any (${ids}::uuid[])`
  return row!.count
}

describe.each(forms)('a bulk call as %s', (form, post) => {
  it('writes what is in order and names what is not, each by itself and in its place', async () => {
    const name = `Whole ${form}`
    const results = await post([
      write({ record: { LastName: name }, reference: `${form}-1` }),
      write({ nope: 1, record: { Id: 'x' }, autoBatchPolicy: {} }),
      write({ objectName: 'person', record: { surname: name } }),
      'no write',
      write({ objectName: 'Lead' }),
      write({ groupRef: 'nobody' }),
      write({ mode: 'synchronous' }),
      write({ record: { FirstName: 'nameless' } }),
    ])
    expect(results.map(({ problem }) => problem?.code)).toEqual([
      undefined,
      'INVALID_REQUEST',
      undefined,
      'INVALID_REQUEST',
      'FORBIDDEN',
      'NOT_FOUND',
      'INVALID_REQUEST',
      undefined,
    ])
    expect(results[1]!.problem!.issues!.map((issue) => issue.path).sort()).toEqual([
      '/autoBatchPolicy',
      '/nope',
      '/record/Id',
    ])
    expect(results[3]!.problem!.issues).toEqual([{ path: '', message: 'must be an object' }])
    const taken = results.flatMap(({ operationId }) => operationId ?? [])
    const operations = await Promise.all(taken.map((id) => service.tenant.operation(id)))
    expect(operations.map(({ metadata }) => metadata.state)).toEqual(['succeeded', 'succeeded', 'failed'])
    expect(operations[0]!.metadata.reference).toBe(`${form}-1`)
    const there = service.simulator.org.records('Contact').filter((record) => record['LastName'] === name)
    expect(there).toHaveLength(2)
  })

  it('has every write committed by the time of its answer, few commits for many', async () => {
    const later = { autoBatchPolicy: { maxDelayMinutes: 60 } }
    const results = await post(
      Array.from({ length: 1_000 }, (_, i) => write({ reference: `${form} ${i}`, ...later })),
    )
    expect(await committed(results)).toBe(1_000)
    const rows = await service.database.sql<{ id: string; reference: string; at: Date }[]>`
      select id, reference, accepted_at as at from write where reference like ${`${form} %`}`
    const byId = new Map(rows.map((row) => [row.id, row.reference]))
    expect(results.map(({ operationId }) => byId.get(operationId!))).toEqual(
      results.map((_, i) => `${form} ${i}`),
    )
    expect(new Set(rows.map((row) => row.at.getTime())).size).toBeLessThan(50)
  })

  it('keeps the order of writes to one record', async () => {
    const upsert = (i: number) =>
      write({
        type: 'upsert',
        externalIdField: 'External_Id__c',
        record: { External_Id__c: `order-${form}`, LastName: `Step ${i}` },
      })
    const results = await post(Array.from({ length: 5 }, (_, i) => upsert(i)))
    for (const { operationId } of results) await service.tenant.operation(operationId!)
    const [record] = service.simulator.org
      .records('Contact')
      .filter((one) => one['External_Id__c'] === `order-${form}`)
    expect(record!['LastName']).toBe('Step 4')
  })

  it('makes a write with an idempotency key once: in a call, in two, and beside a single call', async () => {
    const key = `bulk-${form}`
    const keyed = (part: Record<string, unknown> = {}) => write({ idempotencyKey: key, ...part })
    const first = await post([keyed(), keyed({ mode: 'asynchronous' }), keyed({ reference: 'other' })])
    expect(first[1]!.operationId).toBe(first[0]!.operationId)
    expect(first[2]!.problem).toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED', status: 422 })
    expect((await post([keyed()]))[0]!.operationId).toBe(first[0]!.operationId)
    const { objectName, groupRef, ...body } = write()
    const single = await service.tenant.post(
      String(objectName),
      { groupRef, mode: 'asynchronous', ...body },
      { 'idempotency-key': key },
    )
    expect(single.headers.get('idempotency-replayed')).toBe('true')
    expect(single.body['operationId']).toBe(first[0]!.operationId)
  })

  it('refuses exactly what a single call refuses, with the same issues', async () => {
    const bodies: Record<string, unknown>[] = [
      { groupRef: '', type: 'merge' },
      { record: [] },
      { type: 'update', record: { LastName: 'x' } },
      { type: 'upsert', record: { LastName: 'x' } },
      { type: 'delete', record: { Id: '003RM000006EncrYAC' } },
      { record: { LastName: '{{name}}' }, variables: {} },
      { headers: [{ key: 'X-Other', value: '1' }] },
      { options: { allowDuplicates: 1, nope: true } },
      { associations: [] },
      { autoBatchPolicy: { maxDelayMinutes: 1, maxDelaySeconds: 1, merge: true } },
      { retryPolicy: { deadlineHours: 0 } },
      { reference: 'x'.repeat(256), variables: 'x' },
      { record: { LastName: 'a', attributes: {} } },
      { objectName: 'person', record: { surname: 'a', LastName: 'b' } },
      { objectName: 'Account', record: { Name: 'x', Write_Id__c: 'mine' } },
      { objectName: 'Nope' },
    ]
    const results = await post(bodies.map(write))
    for (const [index, part] of bodies.entries()) {
      const { objectName, ...body } = write(part)
      const single = await service.tenant.post<Problem>(String(objectName), { mode: 'asynchronous', ...body })
      const { code, status, detail, issues } = results[index]!.problem ?? ({} as Problem)
      const { body: problem } = single
      expect([part, code, status, detail, issues]).toEqual([
        part,
        problem.code,
        single.status,
        problem.detail,
        problem.issues,
      ])
    }
  })
})

describe('a bulk call', () => {
  it('takes more bytes than a single call', async () => {
    const writes = Array.from({ length: 100 }, () =>
      write({ record: { LastName: 'Big', Description: 'x'.repeat(80_000) } }),
    )
    for (const [, post] of forms) {
      const results = await post(writes)
      expect(await committed(results)).toBe(100)
    }
  })

  it('without writes has no results', async () => {
    expect(await (await send('')).text()).toBe('')
    expect(await (await send('\n\r\n')).text()).toBe('')
    expect(await postJson([])).toEqual([])
  })

  it('of more than 1,000 writes: as JSON refused, as NDJSON the writes beyond', async () => {
    const later = { autoBatchPolicy: { maxDelayMinutes: 60 } }
    const writes = Array.from({ length: 1_002 }, () => write(later))
    const refused = await send(JSON.stringify({ writes }), 'application/json')
    expect([refused.status, await refused.json()]).toMatchObject([
      400,
      { issues: [{ path: '/writes', message: 'must have at most 1000 entries' }] },
    ])
    const results = await postLines(writes)
    expect(results.slice(0, 1_000).every(({ operationId }) => operationId !== undefined)).toBe(true)
    expect(results.slice(1_000).map(({ problem }) => problem?.detail)).toEqual([
      'Line 1001 is beyond the 1000 writes of one call.',
      'Line 1002 is beyond the 1000 writes of one call.',
    ])
  })

  it.each([
    ['text', 'text/plain', {}],
    ['no type', '', {}],
    ['a compressed body', 'application/x-ndjson', { 'content-encoding': 'gzip' }],
    ['compressed JSON', 'application/json', { 'content-encoding': 'gzip' }],
    ['another character set', 'application/x-ndjson; charset=latin1', {}],
  ])('of %s is refused with 415', async (_, type, headers) => {
    const answer = await send(gzipSync(JSON.stringify(write())), type, headers)
    expect(answer.status).toBe(415)
    expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/)
    expect(await answer.json()).toMatchObject({
      code: 'UNSUPPORTED_MEDIA_TYPE',
      remedy: expect.stringContaining('application/x-ndjson') as string,
    })
  })

  it.each([
    ['no JSON', '{"writes":[', 'The body is not valid JSON.'],
    ['no list', '{"writes":{}}', 'The body is invalid: /writes must be a list.'],
    ['something else', '{"writes":[],"more":1}', 'The body is invalid: /more is not a known field.'],
    ['a member given twice', '{"writes":[],"writes":[]}', 'The body holds what cannot be kept as it is.'],
  ])('of JSON with %s is refused as a whole', async (_, body, detail) => {
    const answer = await send(body, 'application/json')
    expect([answer.status, ((await answer.json()) as Problem).detail]).toEqual([400, detail])
  })

  it('refuses only the writes that hold what cannot be kept', async () => {
    const odd = JSON.stringify(write()).replace('"Bulk"', '12345678901234567890')
    const twice = JSON.stringify(write()).replace('"LastName":', '"LastName":"a","LastName":')
    const nul = JSON.stringify(write({ record: { LastName: 'a\0' } }))
    const all = [odd, JSON.stringify(write()), twice, nul]
    const asLines = (await (await send(all.join('\n'))).text()).split('\n').slice(0, -1)
    const asJson = (await (await send(`{"writes":[${all.join(',')}]}`, 'application/json')).json()) as {
      results: Result[]
    }
    for (const results of [asLines.map((line) => JSON.parse(line) as Result), asJson.results])
      expect(results.map(({ problem }) => problem?.issues?.map(({ path }) => path))).toEqual([
        ['/record/LastName'],
        undefined,
        ['/record/LastName'],
        ['/record/LastName'],
      ])
  })

  it('refuses an idempotency key for the whole of it', async () => {
    const answer = await send(JSON.stringify(write()), 'application/x-ndjson', { 'idempotency-key': 'k' })
    expect([answer.status, await answer.json()]).toMatchObject([
      400,
      { issues: [{ path: '/headers/idempotency-key' }] },
    ])
  })

  it('needs the scope before a byte of it is read', async () => {
    const answer = await send(`${JSON.stringify(write())}\n`.repeat(20_000), 'application/x-ndjson', {
      'x-api-key': 'wrong',
    })
    expect(answer.status).toBe(401)
  })

  it('answers what was accepted once as it did, whatever the installation has come to', async () => {
    const { sql } = service.database
    const { installationId: id } = service.tenant
    const keyed = write({
      objectName: 'Lead',
      idempotencyKey: 'lasting',
      record: { LastName: 'x', Company: 'y' },
    })
    const configure = (change: string): Promise<unknown> =>
      sql.begin(async (tx) => {
        await tx`update installation set config = jsonb_set(config, '{write,objects}', (config #> '{write,objects}') || ${change}::text::jsonb) where id = ${id}`
        await announce(tx, 'installation', id)
      })
    await configure('{"Lead": {"objectName": "Lead"}}')
    let accepted: Result | undefined
    const isTaken = async (one: object): Promise<boolean> => {
      ;[accepted] = await postLines([one])
      return accepted!.operationId !== undefined
    }
    await waitUntil(() => isTaken(keyed), { timeoutMs: 10_000, what: 'the object to be listed' })
    const { operationId } = accepted!
    await sql.begin(async (tx) => {
      await tx`update installation set config = config #- '{write,objects,Lead}' where id = ${id}`
      await announce(tx, 'installation', id)
    })
    let tries = 0
    // Each with a key of its own: one that was taken while the object was still listed stays so.
    const isStillTaken = (): Promise<boolean> =>
      isTaken({ ...keyed, idempotencyKey: `other-${(tries += 1)}` })
    await waitUntil(async () => !(await isStillTaken()), { timeoutMs: 10_000, what: 'it not to be' })
    expect(await postLines([keyed])).toEqual([{ operationId }])
  })
})
