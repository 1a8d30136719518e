import type { Operation } from '../../src/contract/operation.ts'
import type { Tenant } from './service.ts'
import { waitUntil } from './wait-until.ts'

/** Operations in the order of their ids (1,000 at the most), once all of them have ended. */
export async function endedOf({ projectId, call }: Tenant, ids: string[]): Promise<Operation[]> {
  let found = new Map<string, Operation>()
  await waitUntil(
    async () => {
      const path = `/v1/projects/${projectId}/operations:batchGet`
      const { body } = await call<{ operations: Operation[] }>('POST', path, { ids })
      found = new Map(body.operations.map((one) => [one.id, one]))
      return ids.every((id) => found.get(id)?.status !== 'in_progress')
    },
    { timeoutMs: 30_000, what: 'every outcome' },
  )
  return ids.map((id) => found.get(id)!)
}
