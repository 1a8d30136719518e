import type { FastifyReply } from 'fastify'
import { isWritebackError, type WritebackError } from '../../kernel/errors.ts'
import type { NowOutcome } from '../../model/now-outcome.ts'
import type { Submission } from '../../ingest/accept.ts'
import { KeyTaken, type Idempotency, type KeptAnswer, type RequestKey } from '../../ingest/idempotency.ts'
import type { Accepted } from '../../ingest/ingest.ts'
import { answeredBy, markUnrecorded, type AnsweredOperation } from './write-answer.ts'

/** What making a write needs of the floors below. */
export interface KeyedWritePort {
  /** Resolves once all of the submission, or the call that it repeats, is committed. */
  submit: (submission: Submission) => Promise<Accepted>
  /**
   * Writes at once and answers with what came of it, within `timeMs`.
   * @throws {WritebackError} NO_WORKING_CONNECTION
   * @throws {KeyTaken} when its idempotency key belongs to an earlier call
   */
  sendNow: (submission: Submission, timeMs: number) => Promise<NowOutcome>
  idempotency: Idempotency
}

/** An answer as it is sent. */
export interface Answer {
  status: number
  body: unknown
}

/** The shape in which a synchronous call answers. */
export interface AnswerShape {
  /**
   * What came of a call that was tried.
   * @throws {WritebackError} when it ended without an outcome
   */
  ofOutcome: (operation: AnsweredOperation, outcome: NowOutcome) => Answer
  /** What a caller is told of an error, where that is not the usual problem. */
  ofError?: (error: WritebackError) => Answer
}

/** A write call that carries an idempotency key. */
export interface KeyedCall {
  projectId: string
  key: RequestKey
  shape: AnswerShape
  /** Makes of it what is written; throws why it is refused. */
  accept: () => Promise<Submission>
  /** Milliseconds that it may take, when it is synchronous. */
  timeMs: number
  /** What the caller is told of an error: the same each time. */
  toFailure: (error: WritebackError) => Answer
}

/** What a call with an idempotency key answers. */
export interface KeyedAnswer extends KeptAnswer {
  /** Whether it is the answer of an earlier call. */
  repeated: boolean
  /** Set when nothing is recorded of it yet. */
  unrecorded?: true
}

/**
 * Makes an asynchronous call, unless it repeats one. The first of several is found where they are
 * committed; only a call that is refused looks for it by itself, since what was accepted once is answered
 * again whatever the installation has come to.
 *
 * @throws {WritebackError} IDEMPOTENCY_KEY_REUSED, or what refuses the call
 */
export async function queueOnce(port: KeyedWritePort, call: KeyedCall): Promise<Accepted> {
  let submission: Submission
  try {
    submission = await call.accept()
  } catch (error) {
    return findAccepted(port.idempotency, call, error)
  }
  return port.submit(underKey(submission, call.key))
}

/** A submission of an asynchronous call that has a key. */
export const underKey = (submission: Submission, key: RequestKey): Submission => ({
  ...submission,
  key: { ...key, answerTo: null },
})

/**
 * What was accepted with the key of an asynchronous call that is refused.
 *
 * @param refusal thrown when there is nothing
 * @throws {WritebackError} IDEMPOTENCY_KEY_REUSED
 */
export async function findAccepted(
  idempotency: Pick<Idempotency, 'findOperation'>,
  { projectId, key }: Pick<KeyedCall, 'projectId' | 'key'>,
  refusal: unknown,
): Promise<Accepted> {
  if (!isWritebackError(refusal)) throw refusal
  const operationId = await idempotency.findOperation(projectId, key)
  if (operationId === null) throw refusal
  return { operationId, repeated: true }
}

/**
 * Makes a synchronous call, unless it repeats one.
 *
 * @throws {WritebackError} IDEMPOTENCY_KEY_REUSED, IDEMPOTENCY_KEY_IN_USE, or what refuses the call
 */
export async function sendOnce(port: KeyedWritePort, call: KeyedCall): Promise<KeyedAnswer> {
  const { projectId, key, accept, timeMs } = call
  for (;;) {
    const earlier = await port.idempotency.findCall(projectId, key)
    if (earlier?.kind === 'answered') return { ...earlier.answer, repeated: true }
    if (earlier !== null) {
      // The ids by which records were named are in the outcome already.
      const operation = { ...earlier, namedId: () => null }
      return { ...answerText(operation, earlier.outcome, call), repeated: true }
    }
    const accepted = await accept()
    const answerTo = (outcome: NowOutcome): KeptAnswer =>
      answerText(answeredBy(accepted), asRecorded(outcome), call)
    const submission = { ...accepted, key: { ...key, answerTo } }
    try {
      const outcome = await port.sendNow(submission, timeMs)
      const { unrecorded } = outcome
      return { ...answerTo(outcome), repeated: false, ...(unrecorded === undefined ? {} : { unrecorded }) }
    } catch (error) {
      // Another call with the key was first, and is to be found now.
      if (error instanceof KeyTaken) continue
      await port.idempotency.release(submission)
      throw error
    }
  }
}

/** What is not recorded yet will be, and this very answer with it. */
function asRecorded(outcome: NowOutcome): NowOutcome {
  const recorded = { ...outcome }
  delete recorded.unrecorded
  return recorded
}

/** An answer or a problem as its text. */
function answerText(
  operation: AnsweredOperation,
  outcome: NowOutcome,
  { shape, toFailure }: Pick<KeyedCall, 'shape' | 'toFailure'>,
): KeptAnswer {
  const { status, body } = answerOf(shape, toFailure, operation, outcome)
  return { status, body: JSON.stringify(body) }
}

function answerOf(
  shape: AnswerShape,
  toFailure: KeyedCall['toFailure'],
  operation: AnsweredOperation,
  outcome: NowOutcome,
): Answer {
  try {
    return shape.ofOutcome(operation, outcome)
  } catch (error) {
    if (!isWritebackError(error)) throw error
    return toFailure(error)
  }
}

/**
 * Sends an answer to a call with an idempotency key.
 *
 * @param shape of the call, which says whether its errors are problems
 */
export function sendKeyed(reply: FastifyReply, answer: KeyedAnswer, shape: AnswerShape): FastifyReply {
  const { status, body, repeated } = answer
  markUnrecorded(reply, answer)
  if (repeated) reply.header('idempotency-replayed', 'true')
  // What is kept of a call that was tried is its outcome or, with one of these statuses, a problem.
  const isProblem = status >= 500 && shape.ofError === undefined
  const type = isProblem ? 'application/problem+json' : 'application/json; charset=utf-8'
  return reply.status(status).type(type).send(body)
}
