import type { Operation, OperationLog } from '../../contract/operation.ts'
import { hasEnded } from '../../model/write.ts'
import type { AttemptView, WriteView } from '../../queue/read.ts'

const statusOf = (state: WriteView['state']): Operation['status'] => {
  if (state === 'succeeded') return 'success'
  return hasEnded(state) ? 'failure' : 'in_progress'
}

const errorText = (write: WriteView): string => {
  const [error] = write.errors ?? []
  return error === undefined ? '' : `: ${error.code}: ${error.message}`
}

function resultOf(write: WriteView): string {
  switch (write.state) {
    case 'queued':
      return write.errors === null
        ? 'The write waits to be sent.'
        : `The write waits to be sent again${errorText(write)}`
    case 'sending':
      return 'The write is being sent.'
    case 'succeeded':
      return write.created === true ? 'The record was created.' : 'The record was written.'
    case 'failed':
      return `The record was not written${errorText(write)}`
    case 'in_doubt':
      return 'It is not known whether the record was written: the answer was lost.'
    case 'cancelled':
      return 'The write was cancelled before it was sent.'
  }
}

/** A write as an operation (contract section 7). */
export function toOperation(write: WriteView): Operation {
  return {
    id: write.id,
    projectId: write.projectId,
    integrationId: write.integrationId,
    installationId: write.installationId,
    configId: write.configId,
    actionType: 'write',
    resource: write.objectName,
    status: statusOf(write.state),
    result: resultOf(write),
    createTime: write.acceptedAt.toISOString(),
    updateTime: write.updatedAt.toISOString(),
    metadata: {
      objects: [write.objectName],
      retry: {
        attempts: write.attempts,
        lastAttempt: write.lastAttemptAt?.toISOString() ?? null,
        nextAttempt: write.nextAttemptAt?.toISOString() ?? null,
      },
      successfulRecordIds: write.state === 'succeeded' && write.recordId !== null ? [write.recordId] : [],
      ...(write.reference === null ? {} : { reference: write.reference }),
      state: write.state,
      ...(write.batchId === null ? {} : { batchId: write.batchId }),
      records: hasEnded(write.state) ? [recordOf(write)] : [],
    },
  }
}

const recordOf = (write: WriteView): Operation['metadata']['records'][number] => ({
  index: 0,
  success: write.state === 'succeeded',
  ...(write.recordId === null ? {} : { recordId: write.recordId }),
  ...(write.created === null ? {} : { created: write.created }),
  errors: write.errors ?? [],
})

/** A write's history, oldest first: accepted, grouped, each attempt with the provider's answer, outcome. */
export function toLogs(
  write: WriteView,
  attempts: AttemptView[],
  open: { batchId: string; size: number; claimedAt: Date } | null,
): OperationLog[] {
  const logs = [
    line(write.acceptedAt, 'info', {
      msg: 'accepted',
      type: write.type,
      objectName: write.objectName,
      reference: write.reference ?? undefined,
    }),
  ]
  for (const attempt of attempts) logs.push(...attemptLines(attempt))
  if (open !== null) {
    logs.push(line(open.claimedAt, 'info', { msg: 'grouped', batchId: open.batchId, size: open.size }))
  }
  if (hasEnded(write.state)) {
    const severity = write.state === 'succeeded' ? 'info' : write.state === 'cancelled' ? 'warning' : 'error'
    logs.push(
      line(write.updatedAt, severity, {
        msg: 'outcome',
        state: write.state,
        result: resultOf(write),
        errors: write.errors ?? undefined,
      }),
    )
  }
  return logs
}

function attemptLines(attempt: AttemptView): OperationLog[] {
  const grouped = line(attempt.startedAt ?? attempt.endedAt, 'info', {
    msg: 'grouped',
    batchId: attempt.batchId,
    callId: attempt.callId,
    size: attempt.batchSize,
    position: attempt.position,
  })
  const answered = line(attempt.endedAt, attempt.decision === 'succeeded' ? 'info' : 'warning', {
    msg: 'attempt',
    number: attempt.number,
    batchId: attempt.batchId,
    answer: attempt.answer ?? undefined,
    status: attempt.status ?? undefined,
    decision: attempt.decision,
    errors: attempt.errors ?? undefined,
    nextAttempt: attempt.nextAt?.toISOString(),
  })
  return [grouped, answered]
}

const line = (
  at: Date,
  severity: OperationLog['severity'],
  message: OperationLog['message'],
): OperationLog => ({ timestamp: at.toISOString(), severity, message })
