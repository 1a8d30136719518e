import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startService, type Answer, type Service } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'

let service: Service

beforeAll(async () => {
  service = await startService({ maxWaiting: 20 })
})
afterAll(() => service.stop())

const post = (delaySeconds: number): Promise<Answer<Record<string, unknown>>> =>
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
  )

describe('too much queued', () => {
  it('refuses above the high mark with 429 and Retry-After, keeps what it took, and takes more below half', async () => {
    const accepted = await Promise.all(Array.from({ length: 25 }, () => post(2)))
    expect(accepted.map((answer) => answer.status)).toEqual(accepted.map(() => 200))
    let refused: Answer<Record<string, unknown>> | undefined
    await waitUntil(
      async () => {
        const answer = await post(3600)
        if (answer.status === 429) refused = answer
        return refused !== undefined
      },
      { timeoutMs: 5_000, what: 'the queue is found to be full' },
    )
    expect(refused!.headers.get('content-type')).toMatch(/^application\/problem\+json/)
    expect(Number(refused!.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(refused!.body).toMatchObject({ code: 'TOO_MUCH_QUEUED', status: 429, retryable: true })
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
