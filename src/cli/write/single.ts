import { randomUUID } from 'node:crypto'
import type { Problem } from '../../contract/problem.ts'
import type { BatchAnswer, WriteAccepted, WriteFailed, WriteSucceeded } from '../../contract/write-answers.ts'
import { path, sayProblem, ServiceError } from '../api.ts'
import { exitCodes } from '../exit-codes.ts'
import { exitOf, showOperation, waitFor } from '../operations.ts'
import type { Session } from '../run-command.ts'
import { tidy } from '../text.ts'
import type { Given } from './options.ts'

/** Milliseconds beside the write's own time until its answer is given up. */
const ANSWER_MS = 15_000
const MAX_SYNC_SECONDS = 600

/** Fields that every write of the command has. */
export const writeFields = ({ group, type, externalId, delaySeconds, reference }: Given) => ({
  groupRef: group,
  type,
  ...(externalId === undefined ? {} : { externalIdField: externalId }),
  ...(delaySeconds === undefined ? {} : { autoBatchPolicy: { maxDelaySeconds: delaySeconds } }),
  ...(reference === undefined ? {} : { reference }),
})

/** Makes one write and says what came of it; answers with the exit code. */
export async function writeOne(given: Given, record: object, session: Session): Promise<number> {
  const { project, integration, object, mode, timeoutMs } = given
  const { api } = session
  const key = given.idempotencyKey ?? randomUUID()
  const target = path`/v1/projects/${project}/integrations/${integration}/objects/${object ?? ''}`
  const isSync = mode === 'sync'
  const seconds = Math.min(MAX_SYNC_SECONDS, timeoutMs / 1000)
  const { body, status } = await api
    .call('POST', target, {
      body: { ...writeFields(given), mode: isSync ? 'synchronous' : 'asynchronous', record },
      headers: { 'idempotency-key': key, ...(isSync ? { 'request-timeout': String(seconds) } : {}) },
      // The key keeps a repeated call from being a second write.
      isRepeatable: true,
      ...(isSync ? { timeoutMs: seconds * 1000 + ANSWER_MS, accept: [422, 502, 504] } : {}),
    })
    .catch((error: unknown) => {
      throw error instanceof ServiceError && error.kind === 'unreachable'
        ? new ServiceError(
            'unreachable',
            `${error.message}\nWhether it was written is not known: repeat it with --idempotency-key ${key}, and it is not written twice.`,
          )
        : error
    })
  if (isSync) return showAnswer(body as WriteSucceeded | WriteFailed | Problem, status, session)
  const { operationId } = body as WriteAccepted
  if (mode === 'queue') {
    session.output.line(operationId)
    session.output.json(body)
    return exitCodes.done
  }
  const operation = await waitFor(api, project, operationId, timeoutMs)
  showOperation(session.output, operation)
  session.output.json(operation)
  return exitOf(operation.metadata.state)
}

type Outcome = WriteSucceeded | WriteFailed | BatchAnswer

/** What a problem that is about an operation says of it. */
const exitOfCode: Record<string, number> = {
  OUTCOME_UNKNOWN: exitCodes.inDoubt,
  STILL_TRYING: exitCodes.waiting,
  RECORD_BUSY: exitCodes.notWritten,
  PROVIDER_UNREACHABLE: exitCodes.notWritten,
}

function showAnswer(body: Outcome | Problem, status: number, { output }: Session): number {
  if ('detail' in body) {
    const exit = exitOfCode[body.code]
    if (exit === undefined)
      throw new ServiceError(status >= 500 ? 'failed' : 'refused', sayProblem(body), body)
    output.json(body)
    output.line(`${body.operationId ?? ''}  ${output.paint('yellow', body.code)}`)
    output.line(`  ${tidy(body.detail)} ${tidy(body.remedy ?? '')}`.trimEnd())
    return exit
  }
  output.json(body)
  if (!('result' in body)) return exitCodes.done
  if (body.result.success) {
    output.line(
      `${body.operationId}  ${output.paint('green', 'succeeded')}  ${tidy(body.result.recordId ?? '')}`,
    )
    return exitCodes.done
  }
  output.line(`${body.operationId}  ${output.paint('red', 'failed')}`)
  if ('errors' in body)
    for (const { code, message } of body.errors) output.line(`  ${tidy(`${code}: ${message}`)}`)
  return exitCodes.notWritten
}
