import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { isSigned, operationsOf, startReceiver, type Received, type Receiver } from '../notify/receiver.ts'
import { logUntil, makeDestination, readLog, type Made } from '../notify/set-up.ts'
import { caller, createTenant, startService, type Service, type Tenant } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'

let service: Service
const receivers: Receiver[] = []

beforeAll(async () => {
  service = await startService()
})
afterAll(() => service.stop())
afterEach(() => Promise.all(receivers.splice(0).map((one) => one.close())))

const receiver = async (): Promise<Receiver> => {
  const one = await startReceiver()
  receivers.push(one)
  return one
}

const newTenant = (): Promise<Tenant> => createTenant(service.app.url, service.simulator.url)

/** A tenant that is told of its outcomes. */
async function told(
  digest?: Parameters<typeof makeDestination>[3],
): Promise<{ tenant: Tenant; at: Receiver; made: Made }> {
  const [tenant, at] = await Promise.all([newTenant(), receiver()])
  return { tenant, at, made: await makeDestination(service.app.url, tenant, at.url, digest) }
}

const type = 'create'
const later = { autoBatchPolicy: { maxDelayMinutes: 60 } }
const dataOf = ({ body }: Received): Record<string, unknown> => body.data
const by = (tenant: Tenant, move: string, id: string, body?: unknown) =>
  tenant.call('POST', `/v1/projects/${tenant.projectId}/operations/${id}:${move}`, body)

it('says what came of a write, signed, once for each destination', async () => {
  const { tenant, at: one, made: first } = await told()
  const two = await receiver()
  const second = await makeDestination(service.app.url, tenant, two.url)
  const reference = 'order 17'
  const written = await tenant.write('Contact', { type, record: { LastName: 'Ngata' }, reference })
  const refused = await tenant.write('Contact', { type, record: {} })
  await Promise.all([one.until(2), two.until(2)])
  const { successfulRecordIds } = (await tenant.operation(written)).metadata
  const { errors } = (await tenant.operation(refused)).metadata.records[0]!
  expect([successfulRecordIds.length, errors[0]!.code]).toEqual([1, 'REQUIRED_FIELD_MISSING'])
  const shared = {
    projectId: tenant.projectId,
    provider: 'salesforce',
    integrationId: tenant.integrationId,
    integrationName: 'crm',
    installationId: tenant.installationId,
    connectionId: tenant.connectionId,
    groupRef: tenant.groupRef,
    objectName: 'Contact',
  }
  const pairs = [
    { at: one, own: first, others: second },
    { at: two, own: second, others: first },
  ]
  for (const { at, own, others } of pairs) {
    expect(at.got.flatMap(operationsOf).sort()).toEqual([written, refused].sort())
    const of = (id: string) => at.got.find((message) => operationsOf(message)[0] === id)!.body
    expect(of(written)).toEqual({
      notificationType: 'write.async.done',
      data: { ...shared, success: true, successfulRecordIds, errors: [], operationId: written, reference },
    })
    expect(of(refused)).toEqual({
      notificationType: 'write.async.done',
      data: { ...shared, success: false, successfulRecordIds: [], errors, operationId: refused },
    })
    for (const message of at.got) {
      expect([isSigned(message, own.secret), isSigned(message, others.secret)]).toEqual([true, false])
      expect(message.headers['content-type']).toBe('application/json')
    }
  }
  const log = await logUntil(tenant, first, (all) => all.every(({ state }) => state === 'delivered'))
  expect(log.flatMap(({ operationIds }) => operationIds).sort()).toEqual([refused, written].sort())
  expect(log.map(({ id }) => id).sort()).toEqual(one.got.map(({ id }) => id).sort())
  expect(log[0]).toMatchObject({ attempts: 1, lastStatus: 204, digest: false })
})

it('nothing of one project reaches the destinations of another', async () => {
  const [mine, theirs] = [await told(), await told()]
  const [own, foreign] = await Promise.all([
    mine.tenant.write('Contact', { type, record: { LastName: 'Mine' } }),
    theirs.tenant.write('Contact', { type, record: { LastName: 'Theirs' } }),
  ])
  await Promise.all([mine.at.until(1), theirs.at.until(1)])
  expect(mine.at.got.flatMap(operationsOf)).toEqual([own])
  expect(theirs.at.got.flatMap(operationsOf)).toEqual([foreign])
})

describe('however it ends', () => {
  it('a batch in part: one event, with what was written and what was not', async () => {
    const { tenant, at } = await told()
    const record = { LastName: 'In part' }
    const id = await tenant.write('Contact', { type, batch: [{ record: {} }, { record }, { record: {} }] })
    await at.until(1)
    const { metadata } = await tenant.operation(id)
    expect(dataOf(at.got[0]!)).toMatchObject({
      operationId: id,
      success: true,
      successfulRecordIds: metadata.successfulRecordIds,
      errors: metadata.records.flatMap(({ errors }) => errors),
    })
    expect(metadata.records.flatMap(({ errors }) => errors)).toHaveLength(2)
  })

  it('cancelled, and again by hand', async () => {
    const { tenant, at } = await told()
    const cancelled = await tenant.write('Contact', { type, record: { LastName: 'x' }, ...later })
    expect((await by(tenant, 'cancel', cancelled)).status).toBe(200)
    await at.until(1)
    expect(dataOf(at.got[0]!)).toMatchObject({ operationId: cancelled, success: false, errors: [] })
    const failed = await tenant.write('Contact', { type, record: {} })
    await at.until(2)
    expect((await by(tenant, 'retry', failed)).status).toBe(200)
    await at.until(3)
    expect(at.got.map((message) => operationsOf(message)[0])).toEqual([cancelled, failed, failed])
    expect(at.got[2]!.id).not.toBe(at.got[1]!.id)
  })

  it('in doubt, and then settled by hand', async () => {
    const { tenant, at } = await told()
    service.simulator.org.faults.add({ match: { object: 'Contact' }, action: { type: 'dropAfter' } })
    const id = await tenant.write('Contact', { type, record: { LastName: 'Doubtful' } })
    await at.until(1)
    expect(dataOf(at.got[0]!)).toMatchObject({
      operationId: id,
      success: false,
      errors: [{ code: 'OUTCOME_UNKNOWN' }, { code: 'UND_ERR_SOCKET' }],
    })
    expect((await by(tenant, 'resolve', id, { success: true })).status).toBe(200)
    await at.until(2)
    expect(dataOf(at.got[1]!)).toMatchObject({ operationId: id, success: true, errors: [] })
  })

  it('promoted by its caller', async () => {
    const { tenant, at } = await told()
    const id = await tenant.write('Contact', { type, record: { LastName: 'x' }, ...later })
    expect((await by(tenant, 'promote', id)).status).toBe(200)
    await at.until(1)
    expect(dataOf(at.got[0]!)).toMatchObject({ operationId: id, success: true })
  })

  it('with its installation deleted, of which is told what it was', async () => {
    const { tenant, at } = await told()
    const id = await tenant.write('Contact', { type, record: { LastName: 'x' }, ...later })
    const { projectId, integrationId, installationId } = tenant
    const path = `/v1/projects/${projectId}/integrations/${integrationId}/installations/${installationId}`
    expect((await caller(service.app.url)('DELETE', path)).status).toBe(204)
    await at.until(1)
    expect(dataOf(at.got[0]!)).toMatchObject({
      operationId: id,
      success: false,
      provider: 'salesforce',
      integrationName: 'crm',
      groupRef: tenant.groupRef,
      connectionId: tenant.connectionId,
      installationId,
    })
  })

  it('synchronous calls are told by their answers alone; what they leave to the queue is told when it ends', async () => {
    const { tenant, at } = await told()
    const { simulator } = service
    const id = simulator.org.create('Contact', { LastName: 'Slow' })
    expect((await tenant.post('Contact', { type, record: { LastName: 'Now' } })).status).toBe(200)
    expect((await tenant.post('Contact', { type, record: {} })).status).toBe(422)
    simulator.org.faults.add({ match: { object: 'Contact' }, action: { type: 'hang', when: 'before' } })
    const left = await tenant.post<{ operationId: string; code: string }>(
      'Contact',
      { type: 'update', record: { id, LastName: 'Late' } },
      { 'request-timeout': '1.0' },
    )
    expect(left.body.code).toBe('STILL_TRYING')
    await at.until(1)
    expect(at.got.flatMap(operationsOf)).toEqual([left.body.operationId])
    expect(dataOf(at.got[0]!)).toMatchObject({ success: true, successfulRecordIds: [id] })
    const [row] = await service.database.sql<[{ count: number }]>`
      select count(*)::int as count from notification where project_id = ${tenant.projectId}`
    expect(row.count).toBe(1)
  })
})

describe('digests', () => {
  it('leave full at once, and what is left when it has waited long enough', async () => {
    const { tenant, at, made } = await told({ maxRecords: 5, maxDelaySeconds: 600 })
    const operations: string[] = []
    for (let index = 0; index < 12; index += 1)
      operations.push(await tenant.write('Contact', { type, record: { LastName: `D${index}` } }))
    await at.until(2)
    for (const message of at.got) {
      expect(message.body.notificationType).toBe('write.async.done.digest')
      expect(message.body.data).toHaveLength(5)
      expect(isSigned(message, made.secret)).toBe(true)
    }
    const waiting = await logUntil(
      tenant,
      made,
      (all) => all.length === 4 && all.filter(({ state }) => state === 'delivered').length === 2,
      'two digests and two single events',
    )
    expect(waiting.filter(({ state }) => state === 'pending')).toHaveLength(2)
    // Ten minutes go by.
    await service.database.sql`update notification set due_at = now() where state = 'new'`
    await at.until(3)
    expect(at.got[2]!.body.data).toHaveLength(2)
    expect(at.got.flatMap(operationsOf).sort()).toEqual(operations.sort())
    const log = await logUntil(tenant, made, (all) => all.every(({ state }) => state === 'delivered'))
    expect(log.map(({ operationIds }) => operationIds.length).sort()).toEqual([2, 5, 5])
    expect(log.every(({ digest }) => digest)).toBe(true)
  })

  it('carry the same under the same id when they are sent again', async () => {
    const { tenant, at, made } = await told({ maxRecords: 3, maxDelaySeconds: 600 })
    at.behave(() => 500)
    for (let index = 0; index < 4; index += 1)
      await tenant.write('Contact', { type, record: { LastName: `E${index}` } })
    await logUntil(tenant, made, (all) => all.some(({ lastStatus }) => lastStatus === 500))
    at.behave(() => 204)
    await service.database.sql`update notification set due_at = now() where state = 'waiting'`
    await at.until(2)
    expect(at.got[1]!.text).toBe(at.got[0]!.text)
    expect(at.got[1]!.id).toBe(at.got[0]!.id)
  })

  it('end with the setting: what waited for company leaves by itself', async () => {
    const { tenant, at, made } = await told({ maxRecords: 100, maxDelaySeconds: 3_600 })
    const operations = await Promise.all(
      ['a', 'b'].map((LastName) => tenant.write('Contact', { type, record: { LastName } })),
    )
    await logUntil(tenant, made, (all) => all.length === 2)
    expect(at.got).toEqual([])
    const path = `/v1/projects/${tenant.projectId}/destinations/${made.id}`
    const patched = await caller(service.app.url)('PATCH', path, { metadata: { digest: null } })
    expect(patched.body['metadata']).toEqual({ url: at.url })
    await at.until(2)
    expect(at.got.flatMap(operationsOf).sort()).toEqual(operations.sort())
    expect(at.got.every(({ body }) => body.notificationType === 'write.async.done')).toBe(true)
  })
})

it('a destination that is switched off is told of nothing meanwhile', async () => {
  const { tenant, at, made } = await told()
  const path = `/v1/projects/${tenant.projectId}/destinations/${made.id}`
  const set = (enabled: boolean) => caller(service.app.url)('PATCH', path, { enabled })
  const off = await set(false)
  expect(off.body).toMatchObject({ enabled: false, disabledReason: 'by_hand' })
  const missed = await tenant.write('Contact', { type, record: { LastName: 'Missed' } })
  await tenant.operation(missed)
  expect((await set(true)).body).not.toHaveProperty('disabledTime')
  const heard = await tenant.write('Contact', { type, record: { LastName: 'Heard' } })
  await at.until(1)
  expect(at.got.flatMap(operationsOf)).toEqual([heard])
  expect((await caller(service.app.url)('DELETE', path)).status).toBe(204)
  const after = await tenant.write('Contact', { type, record: { LastName: 'After' } })
  await tenant.operation(after)
  expect((await tenant.call('GET', `${path}/deliveries`)).status).toBe(404)
  expect(await readLog(tenant, made)).toBeUndefined()
  expect(at.got).toHaveLength(1)
})

it('a new secret signs from now on, and the one before it too', async () => {
  const { tenant, at, made } = await told()
  const path = `/v1/projects/${tenant.projectId}/destinations/${made.id}:rotate-secret`
  const rotated = await caller(service.app.url)<{ secret: string; oldSecretUntil: string }>('POST', path)
  expect(rotated.status).toBe(200)
  const { secret, oldSecretUntil } = rotated.body
  expect(secret).not.toBe(made.secret)
  const hours = (Date.parse(oldSecretUntil) - Date.now()) / 3_600_000
  expect([hours > 23.9, hours < 24.1]).toEqual([true, true])
  await tenant.write('Contact', { type, record: { LastName: 'x' } })
  await at.until(1)
  expect([isSigned(at.got[0]!, secret), isSigned(at.got[0]!, made.secret)]).toEqual([true, true])
  // A day goes by.
  await service.database.sql`update destination set old_secret_until = now() where id = ${made.id}`
  await tenant.write('Contact', { type, record: { LastName: 'y' } })
  await at.until(2)
  expect([isSigned(at.got[1]!, secret), isSigned(at.got[1]!, made.secret)]).toEqual([true, false])
})

it('a redirect is not followed, and is no delivery', async () => {
  const { tenant, at, made } = await told()
  at.behave(() => 307)
  await tenant.write('Contact', { type, record: { LastName: 'x' } })
  const [one] = await logUntil(tenant, made, ([first]) => first?.lastStatus !== undefined)
  expect(one).toMatchObject({ state: 'pending', lastStatus: 307, lastError: 'The receiver answered 307.' })
  await waitUntil(() => at.open === 0, { timeoutMs: 5_000, what: 'the answer' })
})
