import type { FastifyPluginAsync } from 'fastify'
import type { Static } from 'typebox'
import { Batch, BatchPath } from '../../contract/batch.ts'
import { PageQuery, pageOf } from '../../contract/fields.ts'
import { InstallationPath } from '../../contract/installations.ts'
import type { BatchView, ListPage } from '../../model/following.ts'
import { findById } from '../admin/found.ts'
import { projectOf, requireScope } from '../auth.ts'
import { problems } from '../openapi.ts'
import { pageAnswer, pageRequest } from '../pagination.ts'
import { installationOf, type InstallationPort } from './installation-of.ts'

/** What looking at groups needs of the floors below. */
export interface BatchPort extends InstallationPort {
  readBatch: (projectId: string, id: string) => Promise<BatchView | null>
  /** At most `size` of an installation's groups, newest first; `next` is the id to go on after. */
  listBatches: (
    installationId: string,
    page: ListPage,
  ) => Promise<{ batches: BatchView[]; next: string | null }>
}

const tags = ['Groups and lanes']

const toBatch = (batch: BatchView): Batch => ({
  id: batch.id,
  callId: batch.callId,
  members: batch.operationIds.map((operationId, index) => ({ operationId, index })),
  size: batch.operationIds.length,
  allOrNone: batch.allOrNone,
  attempt: batch.attempt,
  startTime: batch.startedAt?.toISOString() ?? null,
  endTime: batch.endedAt?.toISOString() ?? null,
  providerStatus: batch.providerStatus,
  successCount: batch.successCount,
  failureCount: batch.failureCount,
})

/** Groups as they were sent: one by its id, and those of an installation (contract section 7). */
export function batchRoutes(port: BatchPort): FastifyPluginAsync {
  return (app) => {
    app.get(
      '/projects/:project/batches/:batch',
      {
        onRequest: requireScope('read'),
        schema: {
          summary: 'Get a group as it was sent',
          tags,
          params: BatchPath,
          response: { 200: Batch, ...problems },
        },
      },
      async (request) => {
        const { batch: id } = request.params as Static<typeof BatchPath>
        return toBatch(await findById('batch', id, (found) => port.readBatch(projectOf(request).id, found)))
      },
    )
    app.get(
      '/projects/:project/integrations/:integration/installations/:installationId/batches',
      {
        onRequest: requireScope('read'),
        schema: {
          summary: 'List the groups that were sent to an installation, newest first',
          tags,
          params: InstallationPath,
          querystring: PageQuery,
          response: { 200: pageOf(Batch), ...problems },
        },
      },
      async (request) => {
        const asked = pageRequest(request.query as Static<typeof PageQuery>)
        const installationId = await installationOf(port, request)
        const { batches, next } = await port.listBatches(installationId, asked)
        return pageAnswer({ results: batches.map(toBatch), next })
      },
    )
    return Promise.resolve()
  }
}
