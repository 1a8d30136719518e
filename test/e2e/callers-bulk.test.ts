import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { BatchAnswer } from '../../src/contract/write-answers.ts'
import { expectLanesTrue, refuseIllegalMoves } from '../support/queue-fixture.ts'
import { createTenant, startService, type Answer, type Service, type Tenant } from '../support/service.ts'

let service: Service
beforeAll(async () => {
  service = await startService()
  await refuseIllegalMoves(service.database.sql)
})
afterEach(async () => {
  expect(service.simulator.org.faults.list()).toEqual([])
  expect([...(await service.database.sql`select id from batch where state <> 'ended'`)]).toEqual([])
  await expectLanesTrue(service.database.sql)
})
afterAll(() => service.stop())

type Bulk = BatchAnswer & { code?: string; issues?: { path: string; message: string }[] }

const act = (
  action: string,
  body: Record<string, unknown>,
  headers?: Record<string, string>,
  tenant: Tenant = service.tenant,
) => {
  const path = `/v1/projects/${tenant.projectId}/integrations/crm/actions/${action}`
  return tenant.call<Bulk>('POST', path, { groupRef: tenant.groupRef, object: 'Contact', ...body }, headers)
}

const named = (prefix: string, count: number): { LastName: string }[] =>
  Array.from({ length: count }, (_, index) => ({ LastName: `${prefix}${index}` }))

/** Ids in the order of the names. */
const idsOf = (records: { LastName: string }[]): (string | undefined)[] => {
  const all = service.simulator.org.records('Contact')
  const ids = new Map(all.map((record) => [record['LastName'], record['Id']]))
  return records.map(({ LastName }) => ids.get(LastName))
}

/** What the org saw of the calls that `run` made: each call's groups by their number of records. */
async function seen<T>(run: () => Promise<T>): Promise<{ result: T; groups: number[][]; apiCalls: number }> {
  const { requests } = service.simulator.org
  const before = { last: requests.list().at(-1)?.seq ?? 0, apiCalls: requests.totals.apiCalls }
  const result = await run()
  const made = requests.list(({ seq, operation }) => seq > before.last && operation !== 'token')
  const groups = made.map((entry) => (entry.parts ?? [entry]).map(({ recordCount }) => recordCount))
  return { result, groups, apiCalls: requests.totals.apiCalls - before.apiCalls }
}

const resultsOf = ({ body }: Answer<Bulk>) => body.results.map(({ success, recordId }) => success && recordId)

describe('a bulk of 2,000 at once', () => {
  it('takes two API calls, and answers for each record in the order of the request', async () => {
    const records: object[] = named('Many', 2_000)
    records[3] = { FirstName: 'nameless' }
    records[1_204] = { FirstName: 'nameless' }
    const { result, groups, apiCalls } = await seen(() => act('bulk-create', { records }))
    expect(result.status).toBe(200)
    expect(groups).toEqual([Array(5).fill(200), Array(5).fill(200)])
    expect(apiCalls).toBe(2)
    expect(result.body).toMatchObject({ successCount: 1_998, failureCount: 2 })
    const ids = idsOf(named('Many', 2_000))
    expect(resultsOf(result)).toEqual(ids.map((id) => id ?? false))
    expect([ids[3], ids[1_204]]).toEqual([undefined, undefined])
    const missing = { code: 'REQUIRED_FIELD_MISSING', fields: ['LastName'] }
    expect(result.body.errors).toMatchObject([missing, missing])
    expect(result.body.results[1_204]).toMatchObject({ data: { errors: [missing] } })

    const operation = await service.tenant.operation(result.body.operationId, 0)
    expect(operation).toMatchObject({ status: 'success', metadata: { state: 'partial' } })
    expect(operation.metadata.records.map(({ index, success }) => (success ? index : -1))).toEqual(
      Array.from({ length: 2_000 }, (_, index) => (index === 3 || index === 1_204 ? -1 : index)),
    )
  })

  it('is told by its batches: one for each call, with those that travelled in it', async () => {
    const { tenant } = service
    const { body } = await act('bulk-create', { records: named('Told', 1_001) })
    const operation = await tenant.operation(body.operationId, 0)
    const base = `/v1/projects/${tenant.projectId}`
    const logs = await tenant.call<{ message: Record<string, unknown> }[]>(
      'GET',
      `${base}/operations/${operation.id}/logs`,
    )
    const groups = logs.body.map(({ message }) => message).filter(({ msg }) => msg === 'grouped')
    expect(groups.map(({ size }) => size)).toEqual([1_000, 1])
    const [first] = groups
    const batch = await tenant.call<{ members: { index: number }[] }>(
      'GET',
      `${base}/batches/${String(first!['batchId'])}`,
    )
    expect(batch.body).toMatchObject({ size: 1_000, successCount: 1_000, failureCount: 0, attempt: 1 })
    expect(batch.body.members.map(({ index }) => index)).toEqual(Array.from({ length: 1_000 }, (_, at) => at))
  })

  it('updates by id, and leaves the order of results as that of the records', async () => {
    const { org } = service.simulator
    const ids = named('Old', 450).map((record) => org.create('Contact', record))
    const gone = '003RM000006EncrYAC'
    const all = [...ids.slice(0, 300), gone, ...ids.slice(300)]
    const records = all.map((Id, index) => ({ Id, Title: `T${index}` }))
    const { result, groups } = await seen(() => act('bulk-update', { records }))
    expect(groups).toEqual([[200, 200, 51]])
    expect(resultsOf(result)).toEqual(all.map((id) => (id === gone ? false : id)))
    expect(org.record(ids[449]!)).toMatchObject({ Title: 'T450' })
  })

  it('reads once for each call what is written only where there is no value', async () => {
    const { app, simulator } = service
    const selectedFieldSettings = { Department: { writeOnUpdate: 'ifEmpty' } }
    const objects = { Contact: { objectName: 'Contact', selectedFieldSettings } }
    const tenant = await createTenant(app.url, simulator.url, objects)
    const ids = named('Read', 1_200).map((record, index) =>
      simulator.org.create('Contact', { ...record, Department: index % 2 === 0 ? 'Sales' : null }),
    )
    const records = ids.map((id) => ({ id, Department: 'New' }))
    const { result, groups } = await seen(() => act('bulk-update', { records }, {}, tenant))
    expect(result.body.successCount).toBe(1_200)
    expect(groups).toEqual([[1_000], Array(5).fill(200), [200], [200]])
    expect(ids.map((id) => simulator.org.record(id)!['Department'])).toEqual(
      ids.map((_, index) => (index % 2 === 0 ? 'Sales' : 'New')),
    )
  })

  it('finds half of its records to be what the org cannot parse, and writes the others', async () => {
    const { settings } = service.simulator.org
    settings.badValueSinksRequest = true
    const records: object[] = named('Parsed', 1_000)
    for (let at = 0; at < 1_000; at += 2) records[at] = { ...records[at], Birthdate: 'no day' }
    const { result, apiCalls } = await seen(() => act('bulk-create', { records }))
    settings.badValueSinksRequest = false
    expect(resultsOf(result)).toEqual(idsOf(named('Parsed', 1_000)).map((id) => id ?? false))
    expect(result.body).toMatchObject({ successCount: 500, failureCount: 500 })
    expect(new Set(result.body.errors?.map(({ code }) => code))).toEqual(new Set(['JSON_PARSER_ERROR']))
    // Five groups, each with five parts in a call, and so on.
    expect(apiCalls).toBe(1 + 5 * 61)
  })

  it('sends only what can pass again, whichever call it was in', async () => {
    const { faults } = service.simulator.org
    for (const value of ['Lock7', 'Lock1303'])
      faults.add({
        match: { recordMatches: { field: 'LastName', value } },
        action: { type: 'recordError', canned: 'lockedRow' },
      })
    const records = named('Lock', 1_400)
    const { result, groups } = await seen(() => act('bulk-create', { records }))
    // The second half is not kept waiting for the first one's second try.
    expect(groups).toEqual([Array(5).fill(200), [200, 200], [1], [1]])
    expect(resultsOf(result)).toEqual(idsOf(records))
  })

  it('leaves in doubt what was in a call whose answer was lost, and only that', async () => {
    const { org } = service.simulator
    org.faults.add({
      match: { recordMatches: { field: 'LastName', value: 'Lost1100' } },
      action: { type: 'dropAfter' },
    })
    const records = named('Lost', 1_200)
    const { result, groups } = await seen(() => act('bulk-create', { records }))
    expect([result.status, result.body.code]).toEqual([502, 'OUTCOME_UNKNOWN'])
    expect(groups).toHaveLength(2)
    const operation = await service.tenant.operation(result.body.operationId, 0)
    expect(operation.metadata.state).toBe('partial')
    const ids = idsOf(records)
    expect(operation.metadata.successfulRecordIds).toEqual(ids.slice(0, 1_000))
    const rest = operation.metadata.records.slice(1_000)
    expect(rest.map(({ errors }) => errors[0]?.code)).toEqual(Array(200).fill('OUTCOME_UNKNOWN'))
  })

  it('sends updates again whose answer was lost', async () => {
    const { org } = service.simulator
    const ids = named('Safe', 1_200).map((record) => org.create('Contact', record))
    org.faults.add({
      match: { recordMatches: { field: 'Title', value: 'T1100' } },
      action: { type: 'dropBefore' },
    })
    const records = ids.map((id, index) => ({ id, Title: `T${index}` }))
    const { result, groups } = await seen(() => act('bulk-update', { records }))
    expect(groups).toEqual([Array(5).fill(200), [200], [200]])
    expect(result.body).toMatchObject({ successCount: 1_200, failureCount: 0 })
    expect(org.record(ids[1_199]!)).toMatchObject({ Title: 'T1199' })
  })

  it('answers a repeated key with all that the first one was told, and writes nothing', async () => {
    const records = named('Once', 1_050)
    const key = { 'idempotency-key': 'bulk-once' }
    const first = await act('bulk-create', { records }, key)
    expect(first.body.successCount).toBe(1_050)
    const { result, groups } = await seen(() => act('bulk-create', { records }, key))
    expect(groups).toEqual([])
    expect(result.headers.get('idempotency-replayed')).toBe('true')
    expect(result.body).toEqual(first.body)
  })
})

describe('a bulk whose time ends between two calls', () => {
  it('is in doubt of the first, and has not made the second', async () => {
    service.simulator.org.faults.add({
      match: { recordMatches: { field: 'LastName', value: 'Late10' } },
      action: { type: 'hang', when: 'after' },
    })
    const records = named('Late', 1_100)
    const { result, groups } = await seen(() => act('bulk-create', { records }, { 'request-timeout': '3' }))
    expect(groups).toHaveLength(1)
    expect([result.status, result.body.code]).toEqual([504, 'OUTCOME_UNKNOWN'])
    const { records: told } = (await service.tenant.operation(result.body.operationId, 0)).metadata
    expect(told.slice(1_000).map(({ errors }) => errors[0]?.code)).toEqual(Array(100).fill('TIMEOUT'))
  })
})

describe('a bulk with allOrNone', () => {
  it('is refused when one transaction cannot take it', async () => {
    const { result, groups } = await seen(() =>
      act('bulk-create', { records: named('Over', 201), allOrNone: true }),
    )
    expect(result.status).toBe(400)
    expect(result.body.issues).toEqual([
      { path: '/allOrNone', message: expect.stringContaining('200 at most') as string },
    ])
    expect(groups).toEqual([])
  })

  it.each(['synchronous', 'asynchronous'])('of 150 leaves whole in one request, %s', async (mode) => {
    const prefix = `Whole${mode}`
    const good = named(prefix, 150)
    const { groups, result } = await seen(async () => {
      const { body } = await act('bulk-create', { records: good, allOrNone: true, mode })
      return service.tenant.operation(body.operationId)
    })
    expect(groups).toEqual([[150]])
    expect(result.metadata.successfulRecordIds).toEqual(idsOf(good))
  })

  it.each(['synchronous', 'asynchronous'])('is undone as a whole by one bad record, %s', async (mode) => {
    const bad: object[] = named(`Undone${mode}`, 150)
    bad[120] = { FirstName: 'nameless' }
    const { body } = await act('bulk-create', { records: bad, allOrNone: true, mode })
    const operation = await service.tenant.operation(body.operationId)
    expect(operation).toMatchObject({ status: 'failure', metadata: { state: 'failed' } })
    expect(operation.metadata.records.map(({ errors }) => errors[0]?.code)).toEqual(
      bad.map((_, at) => (at === 120 ? 'REQUIRED_FIELD_MISSING' : 'ALL_OR_NONE_OPERATION_ROLLED_BACK')),
    )
    expect(idsOf(named(`Undone${mode}`, 150)).filter((id) => id !== undefined)).toEqual([])
  })
})

describe('a bulk of as many bytes as a body may have', () => {
  it.each(['synchronous', 'asynchronous'])('is written, %s', async (mode) => {
    const Description = 'é'.repeat(1_450)
    const records = named(`Large${mode}`, 2_000).map((record) => ({ ...record, Description }))
    const { body } = await act('bulk-create', { records, mode })
    const operation = await service.tenant.operation(body.operationId)
    expect(operation.metadata.successfulRecordIds).toEqual(idsOf(records))
    const tooLarge = await act('bulk-create', { records: records.concat(records.slice(0, 200)), mode })
    expect(tooLarge.status).toBe(413)
  })
})

describe('a bulk through the queue', () => {
  it('of 2,000 goes in groups of 100, five to a call, with an outcome for each', async () => {
    const records: object[] = named('Queued', 2_000)
    records[1_999] = {}
    const { groups, result } = await seen(async () => {
      const { body } = await act('bulk-create', { records, mode: 'asynchronous' })
      expect(Object.keys(body)).toEqual(['operationId'])
      return service.tenant.operation(body.operationId)
    })
    expect(groups.flat()).toEqual(Array(20).fill(100))
    expect(groups).toHaveLength(4)
    expect(result.metadata.state).toBe('partial')
    expect(result.metadata.records.map(({ recordId }) => recordId)).toEqual(idsOf(named('Queued', 2_000)))
  })

  it('is promoted whole while it waits, and refused to be once it has left', async () => {
    const { tenant, database } = service
    const records = named('Promoted', 1_100).map((record) => ({ ...record, Company: 'Acme' }))
    // What holds the lane is the installation's own: nothing of it may leave.
    await database.sql`
      insert into pacing (installation_id, paused_until) values (${tenant.installationId}, now() + interval '1 hour')
      on conflict (installation_id) do update set paused_until = excluded.paused_until`
    const { body } = await act('bulk-create', { object: 'Lead', records, mode: 'asynchronous' })
    const promote = `/v1/projects/${tenant.projectId}/operations/${body.operationId}:promote`
    const { result, groups } = await seen(() => tenant.call<Bulk>('POST', promote))
    expect(groups).toEqual([Array(5).fill(200), [100]])
    expect(result.body).toMatchObject({ successCount: 1_100, failureCount: 0 })
    expect((await tenant.call('POST', promote)).status).toBe(409)
    await database.sql`update pacing set paused_until = null where installation_id = ${tenant.installationId}`
  })
})
