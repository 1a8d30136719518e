import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startService, type Answer, type Service } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'

let service: Service

beforeAll(async () => {
  service = await startService({ maxWaiting: 20 })
})
afterAll(() => service.stop())

const post = (delaySeconds: number, key?: string): Promise<Answer<Record<string, unknown>>> =>
  service.tenant.call(
    'POST',
    `/v1/projects/${service.tenant.projectId}/integrations/${service.tenant.integrationId}/objects/Contact`,
    {
      groupRef: service.tenant.groupRef,
      type: 'create',
      mode: 'asynchronous',
      record: { LastName: 'Full' },
      autoBatchPolicy: { maxDelaySeconds: delaySeconds },
    },
    key === undefined ? {} : { 'idempotency-key': key },
  )

/** The same write by another system's way in. */
const postBy = (way: string, body: object): Promise<Answer<Record<string, unknown>>> => {
  const { projectId, integrationId, groupRef, call } = service.tenant
  const path = `/v1/projects/${projectId}/integrations/${integrationId}/${way}`
  return call('POST', path, { groupRef, mode: 'asynchronous', ...body })
}
const records = { method: 'INSERT', type: 'Contact', records: [{ fields: { LastName: 'Full' } }] }
const inputs = {
  salesforce_object: 'Contact',
  salesforce_external_id_field: 'External_Id__c',
  add_fields_and_their_values: [{ name: 'External_Id__c', value: 'full' }],
}

/** The same write as a line of a bulk call. */
const postLine = async (key: string): Promise<Record<string, unknown>> => {
  const { projectId, integrationId, groupRef, call } = service.tenant
  const line = {
    groupRef,
    objectName: 'Contact',
    type: 'create',
    record: { LastName: 'Line' },
    idempotencyKey: key,
  }
  const path = `/v1/projects/${projectId}/integrations/${integrationId}/writes`
  const answer = await call<{ results: Record<string, unknown>[] }>('POST', path, { writes: [line] })
  return answer.body.results[0]!
}

describe('too much queued', () => {
  it('refuses above the high mark with 429 and Retry-After, keeps what it took, and takes more below half', async () => {
    const first = await post(2, 'first')
    const line = await postLine('line')
    const accepted = [first, ...(await Promise.all(Array.from({ length: 24 }, () => post(2))))]
    expect(accepted.map((answer) => answer.status)).toEqual(accepted.map(() => 200))
    let refused: Answer<Record<string, unknown>> | undefined
    await waitUntil(
      async () => {
        const answer = await post(2)
        if (answer.status === 429) refused = answer
        return refused !== undefined
      },
      { timeoutMs: 5_000, what: 'the queue is found to be full' },
    )
    expect(refused!.headers.get('content-type')).toMatch(/^application\/problem\+json/)
    expect(Number(refused!.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(refused!.body).toMatchObject({ code: 'TOO_MUCH_QUEUED', status: 429, retryable: true })
    // what was accepted with a key is answered again, and nothing new is
    expect((await post(2, 'first')).body).toEqual(first.body)
    expect(await postLine('line')).toEqual(line)
    expect((await post(2, 'second')).status).toBe(429)
    const others = await Promise.all([
      postBy('records', records),
      postBy('actions/salesforce_upsert_record', { inputs }),
    ])
    for (const { status, headers, body } of others)
      expect([status, Number(headers.get('retry-after')) > 0, body]).toMatchObject([
        429,
        true,
        { code: 'TOO_MUCH_QUEUED' },
      ])
    expect(others[0].body).toMatchObject({ success: false, method: 'INSERT', records: [{ success: false }] })
    expect(await postLine('another')).toMatchObject({ problem: { code: 'TOO_MUCH_QUEUED' } })
    await waitUntil(async () => (await post(0)).status === 200, {
      timeoutMs: 15_000,
      what: 'writes are accepted again',
    })
    const operations = await Promise.all(
      accepted.map((answer) => service.tenant.operation(String(answer.body['operationId']))),
    )
    expect(operations.every((operation) => operation.status === 'success')).toBe(true)
  })
})
