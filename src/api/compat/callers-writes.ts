import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import Type, { type TSchema } from 'typebox'
import {
  BulkCreate,
  BulkUpdate,
  CreateObject,
  MAX_RECORDS,
  UpdateObject,
  UpsertObject,
} from '../../contract/callers.ts'
import { IntegrationPath } from '../../contract/fields.ts'
import { WriteHeaders } from '../../contract/write.ts'
import { BatchAnswer, WriteAccepted, WriteFailed, WriteSucceeded } from '../../contract/write-answers.ts'
import { acceptWrite } from '../../ingest/accept.ts'
import { refuse } from '../../ingest/examine.ts'
import type { WriteBody } from '../../ingest/write-body.ts'
import { checkRoomFor, findInstallation, makeWrite, type WritePort } from '../ampersand/make-write.ts'
import { writeShape } from '../ampersand/write-answer.ts'
import { asksForQueue, readCallHeaders, readWriteBody } from '../ampersand/write-request.ts'
import { integrationOf, requireScope } from '../auth.ts'
import { problems } from '../openapi.ts'
import { placeOf, readAction, type Action } from './callers-body.ts'
import { schemaIssuesOf } from '../issues.ts'

const likeTheWriteCall =
  'Answers as the write call does, synchronous by default and asynchronous by `mode`; `Request-Timeout` and `Idempotency-Key` mean what they mean there. `{{ name }}` in any field stands for the value of that name in `variables`, with its type where it is all of the field.'

interface ActionRoute extends Action {
  name: string
  /** By which clients are generated. */
  operationId: string
  summary: string
  says: string
  schema: TSchema
}

const singleSays =
  'Single asynchronous writes travel together with others of their kind, as `autoBatchPolicy` says.'
const bulkSays = `Up to ${MAX_RECORDS.toLocaleString('en')} records as one operation, in groups of up to 200 and five groups in an API call, with an outcome for each in the order of the request. A synchronous call whose time ends between two groups answers with what it knows; what was not sent has failed, or is left to the queue where that is safe. With \`allOrNone\` 200 at most: that is what one transaction takes.`

const routes: ActionRoute[] = [
  {
    name: 'create-object',
    operationId: 'createRecord',
    type: 'create',
    isBulk: false,
    summary: 'Create a record',
    says: singleSays,
    schema: CreateObject,
  },
  {
    name: 'update-object',
    operationId: 'updateRecord',
    type: 'update',
    isBulk: false,
    summary: 'Update a record by its id',
    says: `${singleSays} An \`Id\` within \`data\` must be the same as \`id\`.`,
    schema: UpdateObject,
  },
  {
    name: 'upsert',
    operationId: 'upsertRecord',
    type: 'upsert',
    isBulk: false,
    summary: 'Create or update a record by an external id',
    says: singleSays,
    schema: UpsertObject,
  },
  {
    name: 'bulk-create',
    operationId: 'createRecords',
    type: 'create',
    isBulk: true,
    summary: 'Create many records',
    says: bulkSays,
    schema: BulkCreate,
  },
  {
    name: 'bulk-update',
    operationId: 'updateRecords',
    type: 'update',
    isBulk: true,
    summary: 'Update many records by their ids',
    says: `${bulkSays} Each record names itself by \`id\` or \`Id\`.`,
    schema: BulkUpdate,
  },
]

const answersOf = ({ isBulk }: Action) => ({
  200: {
    description: 'Accepted, when asynchronous; else written, of many records at least one.',
    content: {
      'application/json': { schema: Type.Union([WriteAccepted, isBulk ? BatchAnswer : WriteSucceeded]) },
    },
  },
  422: {
    description:
      'A synchronous write of which no record was written; as a problem, an idempotency key that belongs to another request.',
    content: {
      'application/json': { schema: isBulk ? BatchAnswer : WriteFailed },
      'application/problem+json': { schema: { $ref: 'Problem#' } },
    },
  },
  ...problems,
})

/** The actions of Callers that write (contract section 8): each is a write of the write call under another name. */
export function callersWriteRoutes(port: WritePort): FastifyPluginAsync {
  return (app) => {
    for (const route of routes) {
      app.post(
        `/projects/:project/integrations/:integration/actions/${route.name}`,
        {
          onRequest: requireScope('write'),
          attachValidation: true,
          schema: {
            operationId: route.operationId,
            summary: route.summary,
            description: `${route.says}\n\n${likeTheWriteCall}`,
            tags: ['Callers'],
            params: IntegrationPath,
            headers: WriteHeaders,
            body: route.schema,
            response: answersOf(route),
          },
        },
        (request, reply) => act(port, route, request, reply),
      )
    }
    return Promise.resolve()
  }
}

function act(
  port: WritePort,
  route: ActionRoute,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const isQueued = asksForQueue(request.body)
  checkRoomFor(port, request, isQueued)
  const { timeMs, key, issues: headerIssues } = readCallHeaders(request, !isQueued)
  const read = readAction(route, request.body)
  const found = [...schemaIssuesOf(request), ...read.issues]
  const { body, examined, issues } = readWriteBody(read.body, found, {
    maxRecords: MAX_RECORDS,
    recordPath: (index) => (index === null ? '/data' : `/records/${index}`),
    pathOf: (path) => (path === '/batchPolicy/allOrNone' ? '/allOrNone' : placeOf(path)),
  })
  issues.push(...headerIssues)
  if (issues.length > 0) refuse(issues)
  const { groupRef, ...write } = body as WriteBody & { groupRef: string }
  return makeWrite(port, request, reply, {
    isQueued,
    key,
    timeMs,
    content: { objectName: `/actions/${route.name}`, body: request.body },
    shape: writeShape,
    accept: async () => {
      const installation = await findInstallation(port, integrationOf(request).id, groupRef)
      return acceptWrite(write, examined, read.object, installation, '/object')
    },
  })
}
