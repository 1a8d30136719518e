import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Operation } from '../../src/contract/operation.ts'
import type { Problem } from '../../src/contract/problem.ts'
import { newId } from '../../src/kernel/ids.ts'
import { ADMIN_KEY, caller, createTenant, startService, type Service } from '../support/service.ts'

let service: Service

beforeAll(async () => {
  service = await startService(
    // Wake-ups come from the moves themselves: no sweep is waited for.
    { providerTimeoutMs: 5_000, sweepMs: 600_000 },
    {},
    {
      Account: { objectName: 'Account', idempotencyField: 'External_Id__c' },
      Contact: { objectName: 'Contact' },
      Lead: { objectName: 'Lead' },
    },
  )
})
afterAll(() => service.stop())

type Move = 'cancel' | 'retry' | 'resolve'

const by = <T = Operation>(move: Move, id: string, body?: unknown) => {
  const { tenant } = service
  return tenant.call<T>('POST', `/v1/projects/${tenant.projectId}/operations/${id}:${move}`, body)
}
const later = { autoBatchPolicy: { maxDelayMinutes: 60 } }
const contact = (record: Record<string, unknown>, more: Record<string, unknown> = {}) =>
  service.tenant.write('Contact', { type: 'create', record, ...more })

/** A create whose answer is lost, in a group that leaves with it alone. */
async function doubted(object: string, record: Record<string, unknown>): Promise<string> {
  const { simulator, tenant } = service
  simulator.org.faults.add({ match: { object }, action: { type: 'dropAfter' } })
  const id = await tenant.write(object, { type: 'create', record })
  expect((await tenant.operation(id)).metadata.state).toBe('in_doubt')
  return id
}

describe('POST …:cancel', () => {
  it('answers with the cancelled operation, which is never sent', async () => {
    const { tenant, simulator } = service
    const held = simulator.org.count('Contact')
    const id = await contact({ LastName: 'Cancelled' }, later)
    const waiting = tenant.operation(id, 30)
    const { status, body } = await by('cancel', id)
    expect(status).toBe(200)
    expect(body).toMatchObject({
      id,
      status: 'failure',
      metadata: { state: 'cancelled', retry: { attempts: 0 } },
    })
    // who waited for the end is answered at once
    expect((await waiting).metadata.state).toBe('cancelled')
    await tenant.operation(await contact({ LastName: 'Next' }))
    expect(simulator.org.count('Contact')).toBe(held + 1)
    expect(simulator.org.find('Contact', 'LastName', 'Cancelled')).toEqual([])
  })

  it('lets the next write to the record go, though it waits in another lane', async () => {
    const { tenant, simulator } = service
    const id = simulator.org.create('Contact', { LastName: 'Before' })
    const first = await tenant.write('Contact', {
      type: 'update',
      record: { id, LastName: 'First' },
      ...later,
    })
    const second = await tenant.write('Contact', {
      type: 'update',
      record: { id, LastName: 'Second' },
      autoBatchPolicy: { maxDelaySeconds: 0, allOrNone: true },
    })
    expect((await tenant.operation(second, 0)).metadata.state).toBe('queued')
    await by('cancel', first)
    expect((await tenant.operation(second)).status).toBe('success')
    expect(simulator.org.record(id)).toMatchObject({ LastName: 'Second' })
  })

  it('cancels a batch whole', async () => {
    const { tenant, simulator } = service
    const ids = ['A', 'B'].map((LastName) => simulator.org.create('Contact', { LastName }))
    // what waits for the first record holds the whole batch back
    const ahead = { type: 'update', record: { id: ids[0], LastName: 'Ahead' }, ...later }
    const first = await tenant.write('Contact', ahead)
    const batch = await tenant.write('Contact', {
      type: 'update',
      batch: ids.map((id) => ({ record: { id, LastName: 'Batch' } })),
      batchPolicy: { allOrNone: true },
    })
    const { status, body } = await by('cancel', batch)
    expect([status, body.metadata.state, body.metadata.records.length]).toEqual([200, 'cancelled', 2])
    expect((await by('cancel', first)).status).toBe(200)
    expect(ids.map((id) => simulator.org.record(id)!['LastName'])).toEqual(['A', 'B'])
  })

  it('is refused with 409 and the state once it has ended', async () => {
    const id = await contact({ LastName: 'Sent' })
    await service.tenant.operation(id)
    const { status, headers, body } = await by<Problem>('cancel', id)
    expect(status).toBe(409)
    expect(headers.get('content-type')).toMatch(/^application\/problem\+json/)
    expect(body).toMatchObject({
      code: 'CONFLICT',
      detail: 'The operation cannot be cancelled: its state is succeeded.',
      remedy: 'It has ended: nothing is left to cancel.',
      operationId: id,
      retryable: false,
    })
  })
})

describe('POST …:retry', () => {
  it('sends a failed write again, which succeeds once the org lets it', async () => {
    const { tenant, simulator } = service
    simulator.org.faults.add({
      match: { object: 'Contact' },
      action: { type: 'recordError', statusCode: 'FIELD_CUSTOM_VALIDATION_EXCEPTION', message: 'not today' },
    })
    const id = await contact({ LastName: 'Twice' })
    const failed = await tenant.operation(id)
    expect(failed).toMatchObject({ status: 'failure', metadata: { state: 'failed', retry: { attempts: 1 } } })
    const { status, body } = await by('retry', id)
    expect([status, body.id, body.createTime]).toEqual([200, id, failed.createTime])
    const written = await tenant.operation(id)
    expect(written).toMatchObject({
      status: 'success',
      metadata: { state: 'succeeded', retry: { attempts: 2 }, records: [{ errors: [] }] },
    })
    expect(simulator.org.find('Contact', 'LastName', 'Twice')).toHaveLength(1)
  })

  it('makes no second record of a create with an idempotencyField, whose answer was lost', async () => {
    const { tenant, simulator, database } = service
    const held = simulator.org.count('Account')
    simulator.org.faults.add({ match: { object: 'Account' }, action: { type: 'dropAfter' } })
    const keyed = (Name: string) =>
      tenant.write('Account', {
        type: 'create',
        record: { Name },
        autoBatchPolicy: { maxDelayMinutes: 60, maxRecords: 2 },
      })
    const id = await keyed('Keyed')
    // no time is left when it leaves, so the lost answer leaves it in doubt
    await database.sql`update write set deadline_at = now() where id = ${id}`
    const other = await keyed('Other')
    expect((await tenant.operation(id)).metadata.state).toBe('in_doubt')
    expect((await tenant.operation(other)).status).toBe('success')
    expect(simulator.org.count('Account')).toBe(held + 2)
    await by('retry', id)
    const operation = await tenant.operation(id)
    expect(operation).toMatchObject({ status: 'success', metadata: { retry: { attempts: 2 } } })
    expect(simulator.org.count('Account')).toBe(held + 2)
    const [record] = simulator.org.find('Account', 'Name', 'Keyed')
    expect(operation.metadata.successfulRecordIds).toEqual([record!['Id']])
  })

  it('sends what is not written of a batch again, and leaves the rest', async () => {
    const { tenant, simulator } = service
    const bodies = [{ LastName: 'Good' }, { FirstName: 'Bad' }]
    const id = await tenant.write('Contact', { type: 'create', batch: bodies.map((record) => ({ record })) })
    expect((await tenant.operation(id)).metadata.state).toBe('partial')
    const held = simulator.org.count('Contact')
    await by('retry', id)
    const operation = await tenant.operation(id)
    expect(operation.metadata).toMatchObject({ state: 'partial', retry: { attempts: 2 } })
    expect(simulator.org.count('Contact')).toBe(held)
  })

  it('is refused with 409 for what was written', async () => {
    const id = await contact({ LastName: 'Written' })
    await service.tenant.operation(id)
    const { status, body } = await by<Problem>('retry', id)
    expect([status, body.detail]).toEqual([
      409,
      'The operation cannot be sent again: its state is succeeded.',
    ])
  })
})

describe('POST …:resolve', () => {
  it('records what somebody found: written, with the record’s id in full', async () => {
    const { simulator } = service
    const id = await doubted('Lead', { LastName: 'Found', Company: 'C' })
    const [found] = simulator.org.find('Lead', 'LastName', 'Found')
    const recordId = found!['Id']
    const { status, body } = await by('resolve', id, { success: true, recordId: recordId.slice(0, 15) })
    expect(status).toBe(200)
    expect(body).toMatchObject({
      status: 'success',
      metadata: {
        state: 'succeeded',
        successfulRecordIds: [recordId],
        records: [{ index: 0, success: true, recordId, created: true, errors: [] }],
      },
    })
    const again = await by<Problem>('resolve', id, { success: false })
    expect([again.status, again.body.detail]).toEqual([
      409,
      'The operation cannot be settled by hand: its state is succeeded.',
    ])
  })

  it('records that it was not written, and it can be sent again', async () => {
    const id = await doubted('Lead', { LastName: 'Lost', Company: 'C' })
    const { status, body } = await by('resolve', id, { success: false })
    expect([status, body.status, body.metadata.state]).toEqual([200, 'failure', 'failed'])
    expect(body.metadata.records[0]!.errors.map((error) => error.code)).not.toContain('OUTCOME_UNKNOWN')
    await by('retry', id)
    expect((await service.tenant.operation(id)).status).toBe('success')
  })

  it('refuses a body that says nothing or says it wrongly, naming the field', async () => {
    const id = await doubted('Lead', { LastName: 'Unclear', Company: 'C' })
    const path = async (body: unknown) => {
      const answer = await by<Problem>('resolve', id, body)
      expect([answer.status, answer.body.code]).toEqual([400, 'INVALID_REQUEST'])
      return answer.body.issues!.map((issue) => issue.path)
    }
    expect(await path({})).toEqual(['/success'])
    expect(await path({ success: true, recordID: 'x' })).toEqual(['/recordID'])
    expect(await path({ success: 'true' })).toEqual(['/success'])
    expect(await path({ success: true, recordId: 'no-id' })).toEqual(['/recordId'])
    expect(await path({ success: true, recordId: '003RM000006EncrZZZ' })).toEqual(['/recordId'])
    expect(await path({ success: false, recordId: '003RM000006EncrYAC' })).toEqual(['/recordId'])
    expect((await service.tenant.operation(id, 0)).metadata.state).toBe('in_doubt')
    expect((await by<Problem>('resolve', id)).status).toBe(400)
  })

  it('refuses one record id for several records in doubt', async () => {
    const { tenant, simulator } = service
    simulator.org.faults.add({ match: { object: 'Lead' }, action: { type: 'dropAfter' } })
    const record = { LastName: 'Both', Company: 'C' }
    const id = await tenant.write('Lead', { type: 'create', batch: [{ record }, { record }] })
    expect((await tenant.operation(id)).metadata.state).toBe('in_doubt')
    const one = { success: true, recordId: '003RM000006EncrYAC' }
    const { status, body } = await by<Problem>('resolve', id, one)
    expect([status, body.issues![0]!.path]).toEqual([400, '/recordId'])
    expect((await by('resolve', id, { success: true })).body.metadata.state).toBe('succeeded')
  })
})

describe('every move by hand', () => {
  const moves: [Move, unknown][] = [
    ['cancel', undefined],
    ['retry', undefined],
    ['resolve', { success: true }],
  ]

  it.each(moves)(
    '%s: what is not there and what is another project’s are the same 404',
    async (move, body) => {
      const other = await createTenant(service.app.url, service.simulator.url)
      const theirs = await other.write('Contact', {
        type: 'create',
        record: { LastName: 'Theirs' },
        ...later,
      })
      for (const id of [theirs, newId(), 'nothing']) {
        const answer = await by<Problem>(move, id, body)
        expect([answer.status, answer.body.detail]).toEqual([404, `There is no operation "${id}".`])
      }
      const path = `/v1/projects/${other.projectId}/operations/${theirs}:${move}`
      expect((await service.tenant.call('POST', path, body)).status).toBe(404)
      expect((await other.operation(theirs, 0)).metadata.state).toBe('queued')
    },
  )

  it.each(moves)('%s wants a key that may write', async (move, body) => {
    const { tenant, app } = service
    const id = await contact({ LastName: 'Kept' }, later)
    const admin = caller(app.url, ADMIN_KEY)
    const { body: key } = await admin<{ key: string }>('POST', `/v1/projects/${tenant.projectId}/api-keys`, {
      label: 'reader',
      scopes: ['read'],
    })
    const path = `/v1/projects/${tenant.projectId}/operations/${id}:${move}`
    expect((await caller(app.url, key.key)('POST', path, body)).status).toBe(403)
    expect((await caller(app.url, 'wrong')('POST', path, body)).status).toBe(401)
    expect((await tenant.operation(id, 0)).metadata.state).toBe('queued')
    const get = await tenant.call('GET', path)
    expect([get.status, get.headers.get('allow')]).toEqual([405, 'POST'])
    // a colon that was percent-encoded is the same path
    expect((await tenant.call('POST', path.replace(`:${move}`, '%3Acancel'))).status).toBe(200)
  })

  it('is told in the log, in its place, with the key that asked for it', async () => {
    const { tenant } = service
    const id = await doubted('Lead', { LastName: 'Logged', Company: 'C' })
    await by('resolve', id, { success: false })
    await by('retry', id)
    await tenant.operation(id)
    const path = `/v1/projects/${tenant.projectId}/operations/${id}/logs`
    const { body } = await tenant.call<{ severity: string; message: Record<string, unknown> }[]>('GET', path)
    expect(body.map((line) => line.message['msg'])).toEqual([
      'accepted',
      'grouped',
      'attempt',
      'resolved by hand',
      'retried by hand',
      'grouped',
      'attempt',
      'outcome',
    ])
    expect(body[3]).toMatchObject({ severity: 'info', message: { success: false } })
    expect(body[4]!.message['by']).toMatch(/^[0-9a-f-]{36}$/)
  })

  it('is described in the OpenAPI document by the path that is called', async () => {
    const document = (await (await fetch(`${service.app.url}/openapi.json`)).json()) as {
      paths: Record<string, Record<string, { parameters: { name: string }[]; requestBody?: unknown }>>
    }
    for (const [move, body] of moves) {
      const call = document.paths[`/v1/projects/{project}/operations/{operation}:${move}`]!['post']!
      expect(call.parameters.map((parameter) => parameter.name)).toEqual(['project', 'operation'])
      expect(call.requestBody !== undefined).toBe(body !== undefined)
    }
  })
})
