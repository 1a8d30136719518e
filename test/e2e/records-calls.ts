import type { RecordsAnswer } from '../../src/contract/records.ts'
import { refuseIllegalMoves } from '../support/queue-fixture.ts'
import { startService, type Answer, type Service } from '../support/service.ts'

/** A service whose org has what the document of the records call speaks of. */
export interface RecordsService extends Service {
  /** Where the calls go: the records of the tenant. */
  path: string
  /** Makes the call for the tenant's group. */
  post: <T = RecordsAnswer>(
    body: Record<string, unknown>,
    headers?: Record<string, string>,
  ) => Promise<Answer<T>>
  /** What is left in the org and in the database by calls. */
  traces: () => Promise<unknown>
}

const text = (name: string) => ({ name, type: 'string' as const, length: 255 })

export async function startRecords(objects?: Record<string, unknown>): Promise<RecordsService> {
  const service = await startService({}, {}, objects)
  const { tenant, simulator, database } = service
  await refuseIllegalMoves(database.sql)
  const { org } = simulator
  org.defineObject({
    name: 'Opportunity',
    keyPrefix: '006',
    fields: [
      { ...text('Name'), nillable: false },
      text('StageName'),
      text('NextStep'),
      text('Description'),
      { name: 'Amount', type: 'currency', precision: 18, scale: 2 },
      { name: 'CustomerSelectedQuote__c', type: 'reference', referenceTo: ['Quote'] },
    ],
  })
  const path = `/v1/projects/${tenant.projectId}/integrations/${tenant.integrationId}/records`
  return {
    ...service,
    path,
    post: (body, headers) => tenant.call('POST', path, { groupRef: tenant.groupRef, ...body }, headers),
    traces: async () => {
      const [rows] = await database.sql`
        select (select count(*) from operation) as operations, (select count(*) from write) as writes,
          (select count(*) from idempotency_key) as keys`
      return { ...rows, counts: org.counts(), calls: org.apiUsed }
    },
  }
}
