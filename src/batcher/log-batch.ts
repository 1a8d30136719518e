import type { Logger } from '../kernel/log.ts'
import type { GroupTrigger, Telemetry } from '../kernel/telemetry.ts'
import type { CallAnswer } from '../model/outcome.ts'
import { MAX_GROUP, MAX_REQUEST } from '../model/write.ts'
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

/**
 * Why a group left when it did. One that is full left for that, however late it is: a lane with more than a
 * group of waiting writes is late and full at once.
 */
export function triggerOf({ leftAs, lateMs, members }: ClaimedBatch): GroupTrigger {
  if (leftAs !== undefined) return leftAs
  if (members.length >= MAX_GROUP || lateMs < 0) return 'full'
  return lateMs > 0 ? 'deadline' : 'flush'
}

/**
 * Tells of a group that was sent, or of those that a synchronous call's batch went in. Only one that had to
 * leave at its deadline can have left late.
 */
export function reportGroup(
  telemetry: Pick<Telemetry, 'groupSent'> | undefined,
  batch: ClaimedBatch,
  trigger: GroupTrigger = triggerOf(batch),
): void {
  const lateSeconds = trigger === 'deadline' ? batch.lateMs / 1000 : 0
  for (let left = batch.members.length; left > 0; left -= MAX_REQUEST)
    telemetry?.groupSent(trigger, Math.min(left, MAX_REQUEST), lateSeconds)
}

/** Tells of what was recorded, if this process recorded it. */
export function reportSettled(telemetry: Pick<Telemetry, 'settled'> | undefined, record: Recorded): void {
  if (telemetry === undefined || !record.applied) return
  const { succeeded, failures: failed, inDoubt, deferred, ended } = record
  const retried = record.retried - deferred - record.released + record.kept
  telemetry.settled({ succeeded, failed, inDoubt, retried, deferred, ended })
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
      trigger: triggerOf(batch),
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
