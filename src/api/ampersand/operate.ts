import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import { Resolution } from '../../contract/operate.ts'
import { Operation, OperationPath } from '../../contract/operation.ts'
import { WritebackError } from '../../kernel/errors.ts'
import { isUuid } from '../../kernel/ids.ts'
import type { HandMove, HandRequest, HandResult, Resolution as Found } from '../../model/by-hand.ts'
import { hasOperationEnded, type OperationState } from '../../model/operation.ts'
import { normaliseRecordId } from '../../model/salesforce-id.ts'
import type { OperationView } from '../../queue/read.ts'
import { projectOf, requireScope } from '../auth.ts'
import { problems } from '../openapi.ts'
import { invalidInput } from '../validation.ts'
import { toOperation } from './operation-view.ts'

/** What moving operations by hand needs of the floors below. */
export interface OperatePort {
  read: (projectId: string, id: string) => Promise<OperationView | null>
  cancel: (request: HandRequest) => Promise<HandResult>
  retry: (request: HandRequest) => Promise<HandResult>
  resolve: (request: HandRequest, resolution: Found) => Promise<HandResult>
}

/** The expression ends the parameter at the colon, which the router would take for a part of its name. */
const pathOf = (move: HandMove): string => `/projects/:project/operations/:operation([^:]+)::${move}`

const texts: Record<HandMove, { summary: string; description: string }> = {
  cancel: {
    summary: 'Cancel an operation',
    description:
      'Ends a write that is still queued, so that it is never sent; later writes to its record go on. One that waits for another try because an answer was lost may have been written: it is not sent again, and its state is `in_doubt` and not `cancelled`. A batch is cancelled whole, and only while none of it is begun. 409 once it is being sent or has ended, in doubt too: `:resolve` settles that.',
  },
  retry: {
    summary: 'Send an operation again',
    description:
      'Puts a failed or in-doubt write back into the queue, due at once and behind what waits for its record, with as much time to its deadline as it had at first. Of a batch, the records that are not written; one with `allOrNone` only if none is. A create in doubt may have been written: without an `idempotencyField`, sending it again can make a second record. 409 in any other state.',
  },
  resolve: {
    summary: 'Settle an operation in doubt',
    description:
      'Says what became of a write whose answer was lost: with `success` it is recorded as succeeded, without as failed. Of a batch, all of its records in doubt. Nothing is sent. 409 when nothing is in doubt.',
  },
}

/** Operations by hand (contract section 7): each answers with the operation, or with 409 when its state does not allow it. */
export function operateRoutes(port: OperatePort): FastifyPluginAsync {
  const answerOf = async (
    request: FastifyRequest,
    move: HandMove,
    result: HandResult,
  ): Promise<Operation> => {
    const { operation: id } = request.params as Static<typeof OperationPath>
    if (result.kind === 'refused') throw conflict(id, move, result.state)
    if (result.kind === 'several')
      throw wrongRecordId(`must be left out: ${result.count} records are in doubt`)
    const operation = result.kind === 'moved' ? await port.read(projectOf(request).id, id) : null
    if (operation === null) throw notFound(id)
    return toOperation(operation)
  }
  return (app) => {
    for (const move of ['cancel', 'retry'] as const) {
      app.post(pathOf(move), { onRequest: requireScope('write'), schema: schemaOf(move) }, async (request) =>
        answerOf(request, move, await port[move](handRequestOf(request))),
      )
    }
    app.post(
      pathOf('resolve'),
      { onRequest: requireScope('write'), schema: { ...schemaOf('resolve'), body: Resolution } },
      async (request) => {
        const found = foundOf(request.body as Resolution)
        return answerOf(request, 'resolve', await port.resolve(handRequestOf(request), found))
      },
    )
    return Promise.resolve()
  }
}

const schemaOf = (move: HandMove) => ({
  ...texts[move],
  tags: ['Operations by hand'],
  params: OperationPath,
  response: { 200: Operation, ...problems },
})

/** @throws {WritebackError} NOT_FOUND for what is no id */
function handRequestOf(request: FastifyRequest): HandRequest {
  const { operation: operationId } = request.params as Static<typeof OperationPath>
  if (!isUuid(operationId)) throw notFound(operationId)
  const caller = request.access?.caller
  return {
    projectId: projectOf(request).id,
    operationId,
    keyId: caller?.kind === 'project' ? caller.keyId : null,
  }
}

/** @throws {WritebackError} INVALID_REQUEST naming the record id that is none, or is out of place */
function foundOf({ success, recordId }: Resolution): Found {
  if (recordId === undefined) return { success, recordId: null }
  if (!success) throw wrongRecordId('must be left out when success is false')
  const normalised = normaliseRecordId(recordId)
  if (normalised === null) throw wrongRecordId('must be a record id of 15 or 18 characters')
  return { success, recordId: normalised }
}

const wrongRecordId = (message: string): WritebackError => invalidInput([{ path: '/recordId', message }])

const notFound = (id: string): WritebackError =>
  new WritebackError('NOT_FOUND', `There is no operation ${JSON.stringify(id.slice(0, 255))}.`, {
    remedy: 'Check the id, and the project it was accepted for.',
  })

const passive: Record<HandMove, string> = {
  cancel: 'cancelled',
  retry: 'sent again',
  resolve: 'settled by hand',
}

const conflict = (id: string, move: HandMove, state: OperationState): WritebackError =>
  new WritebackError('CONFLICT', `The operation cannot be ${passive[move]}: its state is ${state}.`, {
    operationId: id.toLowerCase(),
    remedy: remedyFor(move, state),
  })

function remedyFor(move: HandMove, state: OperationState): string {
  if (!hasOperationEnded(state))
    return move === 'retry' ? 'Follow it: it is on its way.' : 'Wait for its outcome, then look again.'
  switch (move) {
    case 'cancel':
      return 'It has ended: nothing is left to cancel.'
    case 'retry':
      return state === 'partial'
        ? 'Send the records that were not written as a new batch: allOrNone sends this one whole or not at all.'
        : 'Send what is still wanted as a new write.'
    case 'resolve':
      return 'Only what is in doubt can be settled: send a failed one again with :retry.'
  }
}
