import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import { Operation, OperationLog, OperationPath, OperationQuery } from '../../contract/operation.ts'
import { isUuid } from '../../kernel/ids.ts'
import { WritebackError } from '../../kernel/errors.ts'
import type { HandView } from '../../model/by-hand.ts'
import { hasOperationEnded } from '../../model/operation.ts'
import type { AttemptView, OpenBatch, OperationView } from '../../queue/read.ts'
import { projectOf, requireScope } from '../auth.ts'
import { problems } from '../openapi.ts'
import { toLogs } from './operation-logs.ts'
import { stateOf, toOperation } from './operation-view.ts'

/** What following a write needs of the floors below. */
export interface OperationPort {
  read: (projectId: string, id: string) => Promise<OperationView | null>
  /** The provider calls that carried writes, in order. */
  attempts: (writeIds: string[]) => Promise<AttemptView[]>
  /** Which of some batches are being sent. */
  openBatches: (batchIds: string[]) => Promise<OpenBatch[]>
  /** What was done to an operation by hand, in order. */
  hands: (operationId: string) => Promise<HandView[]>
  /** Begins to wait for an operation's end; see the outcome waiter. */
  wait: (id: string, ms: number) => { ended: Promise<boolean>; cancel: () => void }
}

/** Following a write or a batch: the operation, with a wait if asked for, and its log (contract section 7). */
export function operationRoutes(port: OperationPort): FastifyPluginAsync {
  return (app) => {
    app.get(
      '/projects/:project/operations/:operation',
      {
        onRequest: requireScope('read'),
        schema: {
          summary: 'Get an operation',
          description: 'With `wait`, answers as soon as the operation has ended, or after that many seconds.',
          tags: ['Following a write'],
          params: OperationPath,
          querystring: OperationQuery,
          response: { 200: Operation, ...problems },
        },
      },
      async (request) => {
        const { wait } = request.query as Static<typeof OperationQuery>
        return toOperation(await readEnded(port, request, (wait ?? 0) * 1000))
      },
    )
    app.get(
      '/projects/:project/operations/:operation/logs',
      {
        onRequest: requireScope('read'),
        schema: {
          summary: "Get an operation's log",
          tags: ['Following a write'],
          params: OperationPath,
          response: { 200: Type.Array(OperationLog), ...problems },
        },
      },
      async (request) => {
        const operation = await read(port, request)
        const { records } = operation
        const sending = records.flatMap(({ state, batchId }) => (state === 'sending' ? (batchId ?? []) : []))
        const [attempts, open, hands] = await Promise.all([
          port.attempts(records.map((record) => record.id)),
          sending.length === 0 ? [] : port.openBatches([...new Set(sending)]),
          port.hands(operation.id),
        ])
        return toLogs(operation, attempts, open, hands)
      },
    )
    return Promise.resolve()
  }
}

const operationId = (request: FastifyRequest): string =>
  (request.params as Static<typeof OperationPath>).operation

async function read(port: OperationPort, request: FastifyRequest): Promise<OperationView> {
  const id = operationId(request)
  const operation = isUuid(id) ? await port.read(projectOf(request).id, id) : null
  if (operation !== null) return operation
  throw new WritebackError('NOT_FOUND', `There is no operation ${JSON.stringify(id.slice(0, 255))}.`, {
    remedy: 'Check the id, and the project it was accepted for.',
  })
}

/** The operation as it is once it has ended, or after `ms`. */
async function readEnded(port: OperationPort, request: FastifyRequest, ms: number): Promise<OperationView> {
  if (ms === 0) return read(port, request)
  const id = operationId(request).toLowerCase()
  // Waiting begins before reading, so that an end in between is not missed.
  const wait = port.wait(id, ms)
  // A caller that hung up is not waited for.
  request.raw.socket.once('close', wait.cancel)
  try {
    const operation = await read(port, request)
    if (hasOperationEnded(stateOf(operation))) return operation
    await wait.ended
    return await read(port, request)
  } finally {
    request.raw.socket.off('close', wait.cancel)
    wait.cancel()
  }
}
