import type { Logger } from '../kernel/log.ts'
import type { CallAnswer } from '../model/outcome.ts'
import type { Recorded } from '../outcomes/record-batch.ts'
import type { ClaimedBatch } from '../queue/claim-batch.ts'

/** How long a call took and what it carried. */
export interface CallTiming {
  callId: string
  callMs: number
  /** Groups that travelled in it. */
  groups: number
  /** API calls that it came to. */
  calls: number
  refreshes: number
}

/** One wide line per batch: everything that is asked about it later. */
export function logBatch(
  logger: Logger,
  batch: ClaimedBatch,
  answer: CallAnswer,
  record: Recorded,
  timing: CallTiming & { totalMs: number },
): void {
  const usage = answer.kind === 'answered' || answer.kind === 'refused' ? answer.usage : null
  logger.info(
    {
      batchId: batch.batchId,
      callId: timing.callId,
      laneId: batch.laneId,
      installationId: batch.installationId,
      projectId: batch.projectId,
      objectName: batch.objectName,
      type: batch.type,
      size: batch.members.length,
      trigger: batch.lateMs > 0 ? 'deadline' : 'full',
      lateMs: Math.max(0, Math.round(batch.lateMs)),
      answer: answer.kind,
      providerStatus: answer.kind === 'not_sent' ? null : answer.status,
      callMs: Math.round(timing.callMs),
      totalMs: Math.round(timing.totalMs),
      groups: timing.groups,
      calls: timing.calls,
      refreshes: timing.refreshes,
      succeeded: record.succeeded,
      failed: record.failed,
      retried: record.retried,
      inDoubt: record.inDoubt,
      codes: record.codes,
      apiUsed: usage?.used,
      apiLimit: usage?.limit,
      recorded: record.applied,
    },
    'batch sent',
  )
}
