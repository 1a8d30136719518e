import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import { WriteAccepted, WritePath, WriteRequest } from '../../contract/write.ts'
import type { Issue } from '../../kernel/errors.ts'
import { isWritebackError, WritebackError } from '../../kernel/errors.ts'
import {
  acceptWrite,
  findIssues,
  refuse,
  type TargetInstallation,
  type WriteBody,
} from '../../ingest/accept.ts'
import type { IncomingWrite } from '../../ingest/group-commit.ts'
import { integrationOf, requireScope } from '../auth.ts'
import { problems } from '../openapi.ts'

/** What the write call needs of the floors below. */
export interface WritePort {
  /** Refuses while too much is queued. */
  checkRoom: () => void
  /** Resolves once the write is committed. */
  submit: (write: IncomingWrite) => Promise<void>
  /** The installation of a group in an integration; null when there is none. */
  installation: (integrationId: string, groupRef: string) => Promise<TargetInstallation | null>
}

const NOT_YET = 'is not supported yet'

/** The write call (contract section 5): for now one asynchronous record. */
export function writeRoutes(port: WritePort): FastifyPluginAsync {
  return (app) => {
    app.post(
      '/projects/:project/integrations/:integration/objects/:object',
      {
        onRequest: requireScope('write'),
        // The schema's issues and those that no schema can name are answered together.
        attachValidation: true,
        schema: {
          summary: 'Write a record',
          tags: ['Writing'],
          params: WritePath,
          body: WriteRequest,
          response: { 200: WriteAccepted, ...problems },
        },
      },
      async (request) => {
        port.checkRoom()
        const object = (request.params as Static<typeof WritePath>).object
        const body = checkedBody(request)
        const installation = await findInstallation(port, integrationOf(request).id, body.groupRef)
        const write = acceptWrite(body, object, installation)
        await port.submit(write)
        return { operationId: write.write.id }
      },
    )
    return Promise.resolve()
  }
}

function checkedBody(request: FastifyRequest): WriteBody & { groupRef: string } {
  const found = findIssues(readable(request.body))
  const issues: Issue[] = []
  const unsupported: Issue[] = []
  // Taking the key and not keeping it would let a repeated call write twice.
  if (request.headers['idempotency-key'] !== undefined) {
    unsupported.push({ path: '/headers/idempotency-key', message: `an idempotency key ${NOT_YET}` })
  }
  const failure: unknown = request.validationError
  if (failure !== undefined && !isWritebackError(failure)) throw failure as Error
  for (const issue of failure?.issues ?? []) {
    if (issue.message.endsWith(NOT_YET)) unsupported.push(issue)
    else issues.push(issue)
  }
  add(issues, found.issues, issues)
  add(unsupported, found.unsupported, [...issues, ...unsupported])
  if (issues.length > 0 || unsupported.length > 0) refuse(issues, unsupported)
  return request.body as WriteBody & { groupRef: string }
}

/** Adds what is said of places of which nothing is said yet: the schema's word comes first. */
function add(issues: Issue[], more: Issue[], said: Issue[]): void {
  const places = new Set(said.map((issue) => issue.path))
  for (const issue of more) if (!places.has(issue.path)) issues.push(issue)
}

const types = ['create', 'update', 'upsert', 'delete']
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The parts of a body that are of the right kind, for checks that read them; the schema names the others. */
function readable(body: unknown): Partial<WriteBody> {
  if (!isObject(body)) return {}
  const { record, autoBatchPolicy, retryPolicy, type, externalIdField, batch, ...rest } = body
  const keyed = externalIdField === undefined || typeof externalIdField === 'string'
  return {
    ...(rest as Partial<WriteBody>),
    ...(isObject(record) ? { record } : record !== undefined ? { record: {} } : {}),
    ...(batch === undefined ? {} : { batch: [] }),
    ...(isObject(autoBatchPolicy) ? { autoBatchPolicy } : {}),
    ...(isObject(retryPolicy) ? { retryPolicy } : {}),
    ...(keyed && types.includes(String(type)) ? { type: type as WriteBody['type'] } : {}),
    ...(typeof externalIdField === 'string' ? { externalIdField } : {}),
  }
}

async function findInstallation(
  port: WritePort,
  integrationId: string,
  groupRef: string,
): Promise<TargetInstallation> {
  const installation = await port.installation(integrationId, groupRef)
  if (installation !== null) return installation
  throw new WritebackError(
    'NOT_FOUND',
    `The integration has no installation for the group ${JSON.stringify(groupRef)}.`,
    {
      remedy: 'Create the installation, or check groupRef.',
    },
  )
}
