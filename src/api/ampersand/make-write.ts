import type { FastifyReply, FastifyRequest } from 'fastify'
import { WritebackError } from '../../kernel/errors.ts'
import type { Submission } from '../../ingest/accept.ts'
import { hashRequest, type RequestParts } from '../../ingest/idempotency.ts'
import type { TargetInstallation } from '../../ingest/write-body.ts'
import { integrationOf, projectOf } from '../auth.ts'
import { problemOf } from '../error-handler.ts'
import {
  queueOnce,
  sendKeyed,
  sendOnce,
  type Answer,
  type AnswerShape,
  type KeyedCall,
  type KeyedWritePort,
} from './keyed-write.ts'
import { answeredBy, markUnrecorded } from './write-answer.ts'

/** What the calls that write need of the floors below. */
export interface WritePort extends KeyedWritePort {
  /** Refuses while too much is queued. */
  checkRoom: () => void
  /** The installation of a group in an integration; null when there is none. */
  installation: (integrationId: string, groupRef: string) => Promise<TargetInstallation | null>
  /** The time of day, in milliseconds. */
  now: () => number
}

/** A write as a route has read it, whatever the shape of its request. */
export interface MadeWrite {
  /** Whether the caller asks for an operation to follow, and not for the outcome. */
  isQueued: boolean
  /** The call's Idempotency-Key; null when it has none. */
  key: string | null
  /**
   * What the key stands for: the same key with other content is refused. A call that names its object in
   * its body has its own path in place of `objectName`.
   */
  content: Pick<RequestParts, 'objectName' | 'body'>
  /** Milliseconds that a synchronous call may take. */
  timeMs: number
  /** The shape of a synchronous call's answer. */
  shape: AnswerShape
  /** Makes of it what is written; throws why it is refused. */
  accept: () => Promise<Submission>
}

/**
 * Refuses an asynchronous call while too much is queued, before the work of reading it is done. One with a
 * key may repeat an earlier call, and is looked up first.
 *
 * @throws {WritebackError} TOO_MUCH_QUEUED
 */
export function checkRoomFor(
  port: Pick<WritePort, 'checkRoom'>,
  request: FastifyRequest,
  isQueued: boolean,
): void {
  if (isQueued && request.headers['idempotency-key'] === undefined) port.checkRoom()
}

/**
 * Makes a write by the one way that all writes go (contract sections 5 and 8): through the queue, answered
 * with its operation once that is committed, or at once, answered with its outcome. With an idempotency
 * key it is made once, however often it is sent.
 *
 * @throws {WritebackError} why it is refused, or that it ended without an outcome
 */
export async function makeWrite(
  port: WritePort,
  request: FastifyRequest,
  reply: FastifyReply,
  write: MadeWrite,
): Promise<FastifyReply> {
  const { isQueued, timeMs, shape } = write
  const accept = async (): Promise<Submission> => {
    // What was accepted once is answered again, however much is queued by now.
    if (isQueued && write.key !== null) port.checkRoom()
    return write.accept()
  }
  if (write.key !== null) return makeKeyed(port, request, reply, { ...write, key: write.key, accept })
  const submission = await accept()
  if (isQueued) {
    const { operationId } = await port.submit(submission)
    return reply.send({ operationId })
  }
  const outcome = await port.sendNow(submission, timeMs)
  markUnrecorded(reply, outcome)
  const { status, body } = shape.ofOutcome(answeredBy(submission), outcome)
  return reply.status(status).send(body)
}

/** A call with an idempotency key: made once, however often it is sent. */
async function makeKeyed(
  port: WritePort,
  request: FastifyRequest,
  reply: FastifyReply,
  { isQueued, key: text, content, accept, timeMs, shape }: MadeWrite & { key: string },
): Promise<FastifyReply> {
  const key = { text, requestHash: hashRequest({ integrationId: integrationOf(request).id, ...content }) }
  const call: KeyedCall = {
    ...{ projectId: projectOf(request).id, key, accept, timeMs, shape },
    toFailure: failuresOf(port, request, shape),
  }
  if (!isQueued) return sendKeyed(reply, await sendOnce(port, call), shape)
  const { operationId, repeated } = await queueOnce(port, call)
  return sendKeyed(reply, { status: 200, body: JSON.stringify({ operationId }), repeated }, shape)
}

/** What the caller is told of errors: of one, the same each time. */
function failuresOf(
  port: Pick<WritePort, 'now'>,
  request: FastifyRequest,
  { ofError }: AnswerShape,
): (error: WritebackError) => Answer {
  let time: number | null = null
  return (error) => {
    request.failure = error
    if (ofError !== undefined) return ofError(error)
    time ??= port.now()
    const problem = problemOf(error, request.id, time)
    return { status: problem.status, body: problem }
  }
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
