import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import type { Problem } from '../../contract/problem.ts'
import { WriteHeaders, WritePath, WriteRequest } from '../../contract/write.ts'
import { BatchAnswer, WriteAccepted, WriteFailed, WriteSucceeded } from '../../contract/write-answers.ts'
import { WritebackError } from '../../kernel/errors.ts'
import { acceptWrite, type Submission } from '../../ingest/accept.ts'
import { hashRequest } from '../../ingest/idempotency.ts'
import { isSynchronous, type TargetInstallation, type WriteBody } from '../../ingest/write-body.ts'
import { integrationOf, projectOf, requireScope } from '../auth.ts'
import { problemOf } from '../error-handler.ts'
import { problems } from '../openapi.ts'
import { queueOnce, sendKeyed, sendOnce, type KeyedCall, type KeyedWritePort } from './keyed-write.ts'
import { markUnrecorded, toWriteAnswer } from './write-answer.ts'
import { asksForQueue, readWriteCall } from './write-request.ts'

/** What the write call needs of the floors below. */
export interface WritePort extends KeyedWritePort {
  /** Refuses while too much is queued. */
  checkRoom: () => void
  /** The installation of a group in an integration; null when there is none. */
  installation: (integrationId: string, groupRef: string) => Promise<TargetInstallation | null>
  /** The time of day, in milliseconds. */
  now: () => number
}

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
        const isKeyed = request.headers['idempotency-key'] !== undefined
        // Before the work of reading the write is done.
        if (isQueued && !isKeyed) port.checkRoom()
        const object = (request.params as Static<typeof WritePath>).object
        const { body, examined, timeMs, key } = readWriteCall(request)
        const accept = async (): Promise<Submission> => {
          // What was accepted once is answered again, however much is queued by now.
          if (isQueued && isKeyed) port.checkRoom()
          const installation = await findInstallation(port, integrationOf(request).id, body.groupRef)
          return acceptWrite(body, examined, object, installation)
        }
        if (key !== null) return answerKeyed(port, request, reply, { key, object, body, accept, timeMs })
        const submission = await accept()
        if (isSynchronous(body)) {
          const outcome = await port.sendNow(submission, timeMs)
          markUnrecorded(reply, outcome)
          const answer = toWriteAnswer(submission, outcome)
          return reply.status(answer.status).send(answer.body)
        }
        const { operationId } = await port.submit(submission)
        return { operationId }
      },
    )
    return Promise.resolve()
  }
}

interface KeyedRequest extends Pick<KeyedCall, 'accept' | 'timeMs'> {
  key: string
  object: string
  body: WriteBody
}

/** A call with an idempotency key: made once, however often it is sent. */
async function answerKeyed(
  port: WritePort,
  request: FastifyRequest,
  reply: FastifyReply,
  { key: text, object: objectName, body, accept, timeMs }: KeyedRequest,
): Promise<FastifyReply> {
  const integrationId = integrationOf(request).id
  const key = { text, requestHash: hashRequest({ integrationId, objectName, body }) }
  let time: number | null = null
  const toProblem = (error: WritebackError): Problem => {
    request.failure = error
    time ??= port.now()
    return problemOf(error, request.id, time)
  }
  const call: KeyedCall = { projectId: projectOf(request).id, key, accept, timeMs, toProblem }
  if (isSynchronous(body)) return sendKeyed(reply, await sendOnce(port, call))
  const { operationId, repeated } = await queueOnce(port, call)
  return sendKeyed(reply, { status: 200, body: JSON.stringify({ operationId }), repeated })
}

/**
 * The installation that a write is for.
 *
 * @throws {WritebackError} NOT_FOUND
 */
export async function findInstallation(
  port: Pick<WritePort, 'installation'>,
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
