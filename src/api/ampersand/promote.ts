import type { FastifyPluginAsync } from 'fastify'
import Type, { type Static } from 'typebox'
import type { Promoted, WrittenOperation } from '../../batcher/send-now.ts'
import { OperationPath } from '../../contract/operation.ts'
import { PromoteHeaders } from '../../contract/operate.ts'
import { BatchAnswer, WriteFailed, WriteSucceeded } from '../../contract/write-answers.ts'
import { WritebackError } from '../../kernel/errors.ts'
import { isUuid } from '../../kernel/ids.ts'
import { hasOperationEnded, type OperationState } from '../../model/operation.ts'
import { projectOf, requireScope } from '../auth.ts'
import { problems } from '../openapi.ts'
import { markUnrecorded, toAnswer, type AnsweredOperation } from './write-answer.ts'
import { timeoutOf } from './write-request.ts'

/** What a promotion needs of the floors below. */
export interface PromotePort {
  /** @throws {WritebackError} NO_WORKING_CONNECTION */
  promote: (projectId: string, operationId: string, timeMs: number) => Promise<Promoted>
}

const description = `Sends a write that is still queued at once and answers as a synchronous call does, with 200 when a record was written and 422 when none was. It sends what was accepted before it for the same record first, and nothing that came after.

409 with its state when it is being sent already or has ended: falling back to a promotion never writes twice. What is not written within the time (\`Request-Timeout\`) goes back into the queue (504 \`STILL_TRYING\`); a create whose answer was lost is in doubt (\`OUTCOME_UNKNOWN\`).`

const answers = {
  200: {
    description: 'Written; of a batch, at least one record.',
    content: { 'application/json': { schema: Type.Union([WriteSucceeded, BatchAnswer]) } },
  },
  422: {
    description: 'No record was written.',
    content: { 'application/json': { schema: Type.Union([WriteFailed, BatchAnswer]) } },
  },
  ...problems,
}

/** The synchronous fallback for a write that is queued already (contract section 7). */
export function promoteRoutes(port: PromotePort): FastifyPluginAsync {
  return (app) => {
    app.post(
      // The expression ends the parameter at the colon, which the router would take for a part of its name.
      '/projects/:project/operations/:operation([^:]+)::promote',
      {
        onRequest: requireScope('write'),
        schema: {
          summary: 'Send a queued operation now',
          description,
          tags: ['Operations by hand'],
          params: OperationPath,
          headers: PromoteHeaders,
          response: answers,
        },
      },
      async (request, reply) => {
        const { operation: id } = request.params as Static<typeof OperationPath>
        const timeMs = timeoutOf(request)
        if (!isUuid(id)) throw notFound(id)
        const promoted = await port.promote(projectOf(request).id, id.toLowerCase(), timeMs)
        if (promoted.kind === 'not_found') throw notFound(id)
        if (promoted.kind === 'refused') throw conflict(id, promoted.state)
        markUnrecorded(reply, promoted.outcome)
        const { status, body } = toAnswer(answered(id.toLowerCase(), promoted.written), promoted.outcome)
        return reply.status(status).send(body)
      },
    )
    return Promise.resolve()
  }
}

const answered = (operationId: string, { isBatch, type, records }: WrittenOperation): AnsweredOperation => ({
  operationId,
  isBatch,
  namedId: (index) => {
    const record = records[index]
    if ((type !== 'update' && type !== 'delete') || record === undefined) return null
    return (JSON.parse(record) as { id: string }).id
  },
})

const notFound = (id: string): WritebackError =>
  new WritebackError('NOT_FOUND', `There is no operation ${JSON.stringify(id.slice(0, 255))}.`, {
    remedy: 'Check the id, and the project it was accepted for.',
  })

const conflict = (id: string, state: OperationState): WritebackError =>
  new WritebackError('CONFLICT', `The operation cannot be promoted: its state is ${state}.`, {
    remedy: hasOperationEnded(state)
      ? 'It has its outcome: read the operation.'
      : 'It is being sent: wait for its outcome.',
    operationId: id,
  })
