import type { Sql } from '../db/connect.ts'
import { messageOf } from '../kernel/errors.ts'
import type { Logger } from '../kernel/log.ts'
import type { CallAnswer, ThrottleKind } from '../model/outcome.ts'
import type { NudgeInTransaction } from '../outcomes/record-batch.ts'
import { recordPace } from '../queue/record-pace.ts'

/** A call that was made, as far as its org's limits are concerned. */
export interface CallReport {
  installationId: string
  org: string
  answers: CallAnswer[]
  /** Milliseconds that the call took. */
  callMs: number
}

interface PaceReporter {
  sql: Sql
  nudge: NudgeInTransaction
  logger: Logger
  /** Calls that an installation may have in flight at once, as long as nothing has cut that. */
  maxConcurrency: number
  random: () => number
}

/**
 * Learns from a call what its org lets through, and wakes what a limit held that has lifted. A failure
 * is logged and no more: the outcomes of the call matter more, and the next call tells the same.
 */
export async function reportPace(reporter: PaceReporter, report: CallReport): Promise<void> {
  const { installationId, org, answers, callMs } = report
  const heard = answers.filter((answer) => answer.kind === 'answered' || answer.kind === 'refused')
  const throttles = heard.flatMap(throttleOf)
  try {
    await reporter.sql.begin(async (tx) => {
      const woken = await recordPace(tx, {
        installationId,
        org,
        callMs,
        maxConcurrency: reporter.maxConcurrency,
        usage: heard.findLast((answer) => answer.usage !== null)?.usage ?? null,
        throttle: throttles.includes('daily') ? 'daily' : (throttles[0] ?? null),
        locked: answers.some(metLock),
        passed: throttles.length === 0 && heard.some((answer) => answer.kind === 'answered'),
        random: reporter.random(),
      })
      await reporter.nudge(tx, woken)
    })
  } catch (error) {
    reporter.logger.warn(
      { installationId, error: messageOf(error) },
      'the pace of an installation was not kept',
    )
  }
}

/** The limit that turned a group or one of its records away; which one is told of requests only. */
function throttleOf(answer: CallAnswer): ThrottleKind[] {
  if (answer.kind === 'refused')
    return answer.errorClass === 'throttled' ? [answer.throttle ?? 'concurrent'] : []
  const isMet =
    answer.kind === 'answered' && answer.records.some((one) => !one.ok && one.errorClass === 'throttled')
  return isMet ? ['concurrent'] : []
}

function metLock(answer: CallAnswer): boolean {
  if (answer.kind === 'refused') return answer.cause === 'lock'
  return answer.kind === 'answered' && answer.records.some((record) => !record.ok && record.cause === 'lock')
}
