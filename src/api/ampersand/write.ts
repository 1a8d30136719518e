import type { FastifyPluginAsync } from 'fastify'
import Type, { type Static } from 'typebox'
import { WriteHeaders, WritePath, WriteRequest } from '../../contract/write.ts'
import { BatchAnswer, WriteAccepted, WriteFailed, WriteSucceeded } from '../../contract/write-answers.ts'
import { acceptWrite } from '../../ingest/accept.ts'
import { integrationOf, requireScope } from '../auth.ts'
import { problems } from '../openapi.ts'
import { checkRoomFor, findInstallation, makeWrite, type WritePort } from './make-write.ts'
import { writeShape } from './write-answer.ts'
import { asksForQueue, readWriteCall } from './write-request.ts'

const description = `Writes one \`record\` or a \`batch\` of up to 100.

Synchronous (the default): the answer is the outcome, 200 when a record was written and 422 when none was. What is safe to send again is sent again within the call's time (\`Request-Timeout\`, 30 s by default). A call that ends without an outcome answers with a problem that carries \`operationId\` and \`code\`: \`OUTCOME_UNKNOWN\` (502 or 504: in doubt), \`STILL_TRYING\` (504: the queue goes on with it), \`RECORD_BUSY\` (504: nothing was sent) or \`PROVIDER_UNREACHABLE\` (502: nothing was sent).

With the database away, a synchronous call still goes through for an installation that this process has used before. Its answer carries \`Writeback-Recorded: false\`: there is no operation to follow, its order against queued writes to the same record is not kept, and nothing goes on with it once its time is up (504 \`PROVIDER_TIMEOUT\`).

Asynchronous: the answer is an operation to follow, and comes only once the write is committed to the database. Single records travel together with others of their kind, as \`autoBatchPolicy\` says.

With an \`Idempotency-Key\` the call is made once, however often it is sent: the same request answers as the first one did, with \`Idempotency-Replayed: true\`, for a day at least. The same key with another request is refused with 422; while the first, synchronous one still runs, the answer is 409 with \`Retry-After\`. A call that was refused before it was tried is not remembered.`

const answers = {
  200: {
    description: 'Accepted, when asynchronous; else written, of a batch at least one record.',
    content: {
      'application/json': { schema: Type.Union([WriteAccepted, WriteSucceeded, BatchAnswer]) },
    },
  },
  422: {
    description:
      'A synchronous write of which no record was written; as a problem, an idempotency key that belongs to another request.',
    content: {
      'application/json': { schema: Type.Union([WriteFailed, BatchAnswer]) },
      'application/problem+json': { schema: { $ref: 'Problem#' } },
    },
  },
  ...problems,
}

/** The write call (contract section 5): a record or a batch, at once or through the queue. */
export function writeRoutes(port: WritePort): FastifyPluginAsync {
  return (app) => {
    app.post(
      '/projects/:project/integrations/:integration/objects/:object',
      {
        onRequest: requireScope('write'),
        attachValidation: true,
        schema: {
          summary: 'Write a record or a batch',
          description,
          tags: ['Writing'],
          params: WritePath,
          headers: WriteHeaders,
          body: WriteRequest,
          response: answers,
        },
      },
      async (request, reply) => {
        const isQueued = asksForQueue(request.body)
        checkRoomFor(port, request, isQueued)
        const objectName = (request.params as Static<typeof WritePath>).object
        const { body, examined, timeMs, key } = readWriteCall(request)
        return makeWrite(port, request, reply, {
          isQueued,
          key,
          timeMs,
          content: { objectName, body },
          shape: writeShape,
          accept: async () => {
            const installation = await findInstallation(port, integrationOf(request).id, body.groupRef)
            return acceptWrite(body, examined, objectName, installation)
          },
        })
      },
    )
    return Promise.resolve()
  }
}
