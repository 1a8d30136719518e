import type { FastifyPluginAsync } from 'fastify'
import type { Static } from 'typebox'
import { pageOf, ProjectPath } from '../../contract/fields.ts'
import { InstallationPath } from '../../contract/installations.ts'
import { BatchGetAnswer, BatchGetRequest, Operation, OperationsQuery } from '../../contract/operation.ts'
import { isUuid } from '../../kernel/ids.ts'
import type { FoundOperations, ListPage, OperationFilter } from '../../model/following.ts'
import type { OperationView } from '../../queue/read.ts'
import { projectOf, requireScope } from '../auth.ts'
import { problems } from '../openapi.ts'
import { pageAnswer, pageRequest } from '../pagination.ts'
import { invalidInput } from '../validation.ts'
import { installationOf, type InstallationPort } from './installation-of.ts'
import { toOperation } from './operation-view.ts'

/** What finding operations needs of the floors below. */
export interface OperationListPort extends InstallationPort {
  /** A page of an installation's operations, newest first. */
  findOperations: (
    installationId: string,
    filter: OperationFilter,
    page: ListPage,
  ) => Promise<FoundOperations>
  /** Operations of a project in the order of these ids; those that are not there are left out. */
  readOperations: (projectId: string, ids: string[]) => Promise<OperationView[]>
  /** Records of the caller-built batches among them. */
  countRecords: (projectId: string, ids: string[]) => Promise<number>
}

/** Records that one answer holds at the most: a bulk action's operation has 2,000. */
const MAX_RECORDS = 100_000

const tags = ['Following a write']

/** Many operations at once: those of an installation, and by their ids (contract section 7). */
export function operationListRoutes(port: OperationListPort): FastifyPluginAsync {
  return (app) => {
    app.get(
      '/projects/:project/integrations/:integration/installations/:installationId/operations',
      {
        onRequest: requireScope('read'),
        schema: {
          summary: 'List the operations of an installation, newest first',
          tags,
          params: InstallationPath,
          querystring: OperationsQuery,
          response: { 200: pageOf(Operation), ...problems },
        },
      },
      async (request) => {
        const query = request.query as OperationsQuery
        const filter = filterOf(query)
        const { status } = filter
        const asked = pageRequest(query)
        const installationId = await installationOf(port, request)
        const { ids, next } = await port.findOperations(installationId, filter, asked)
        const operations = (await port.readOperations(projectOf(request).id, ids)).map(toOperation)
        // One may have moved on between the two looks.
        const results = operations.filter((operation) => status === null || operation.status === status)
        return pageAnswer({ results, next })
      },
    )
    app.post(
      // The router takes the doubled colon for a plain one.
      '/projects/:project/operations::batchGet',
      {
        onRequest: requireScope('read'),
        schema: {
          summary: 'Get operations by their ids',
          tags,
          params: ProjectPath,
          body: BatchGetRequest,
          response: { 200: BatchGetAnswer, ...problems },
        },
      },
      async (request): Promise<BatchGetAnswer> => {
        const { ids } = request.body as Static<typeof BatchGetRequest>
        const { id: projectId } = projectOf(request)
        const known = ids.filter(isUuid)
        if ((await port.countRecords(projectId, known)) > MAX_RECORDS) throw tooManyRecords()
        const found = await port.readOperations(projectId, known)
        const there = new Set(found.map((operation) => operation.id))
        const missing = [...new Set(ids)].filter((id) => !there.has(id.toLowerCase()))
        return { operations: found.map(toOperation), missing }
      },
    )
    return Promise.resolve()
  }
}

/** @throws {WritebackError} INVALID_REQUEST for filters that do not go together */
function filterOf({ movedAfter, ...others }: OperationsQuery): OperationFilter {
  const { status = null, objectName = null, reference = null } = others
  const named = Object.entries({ status, objectName, reference }).flatMap(([name, value]) =>
    value === null ? [] : [name],
  )
  if (movedAfter !== undefined && named.length > 0)
    throw invalidInput(
      [{ path: '/query/movedAfter', message: `cannot be combined with ${named.join(', ')}` }],
      'query',
    )
  return { status, objectName, reference, movedAfter: movedAfter === undefined ? null : new Date(movedAfter) }
}

const tooManyRecords = () =>
  invalidInput([
    {
      path: '/ids',
      message: `must name operations of at most ${MAX_RECORDS} records together: ask for fewer at once`,
    },
  ])
