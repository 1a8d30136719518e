import type { CallAnswer } from '../model/outcome.ts'
import { decideGroup, type GroupMember, type GroupRules } from '../outcomes/decide-group.ts'
import { inDoubt } from '../outcomes/decide.ts'
import { toSettlement, unsettled } from '../outcomes/record-batch.ts'
import type { Settlement } from '../queue/settle-batch.ts'
import { answerOf } from './record-answers.ts'

/** A member of a synchronous call's batch after a try; `attempts` counts that try, `lostIn` does not. */
export interface NowMember extends GroupMember {
  id: string
}

/** Why no further try follows. */
export type LastTry =
  /** The time is over. */
  | 'time'
  /** The provider was not reached by any try. */
  | 'unreached'
  /** Another try in this time cannot do better: the day's calls are used up, or the connection is broken. */
  | 'hopeless'

/**
 * Decides what becomes of the members of a synchronous call's batch after a try (contract section 5): as
 * for any group, and what would go back into the queue is kept for the next try of this call instead. When
 * no try follows (`last`), the queue goes on with what may have been written and is safe to send again, and
 * with what could pass later and is; what is known not to be written, and would not be sent again in the
 * caller's name, has failed; what may be written and is not sent again is in doubt.
 *
 * @param random a number in [0, 1), for the jitter of what goes back into the queue
 * @param fromQueue whether the queue had it before the call: then it gets back whatever may still succeed
 */
export function decideNow(
  answer: CallAnswer,
  members: NowMember[],
  rules: Pick<GroupRules, 'allOrNone' | 'maxRecords'>,
  last: LastTry | null,
  random: number,
  fromQueue = false,
): Settlement[] {
  const { allOrNone } = rules
  const whole: GroupRules = { ...rules, onRollback: 'fail', isCallersBatch: true }
  const decisions = decideGroup(answer, members, whole, random)
  const settlements = decisions.map((decision, index) => toSettlement(members[index]?.id ?? '', decision))
  // A group that is not known to be undone as a whole is not sent again in part.
  const isBrokenUp = allOrNone && settlements.some(({ state }) => state === 'in_doubt' || state === 'failed')
  return members.map((member, index) => {
    const settlement = settlements[index] as Settlement
    if (settlement.state !== 'queued') return settlement
    const { writeId, errors, spent } = settlement
    const isUnknown = mayBeWritten(answer, member)
    const failed: Settlement = { ...unsettled, writeId, state: 'failed', errors, spent }
    if (isBrokenUp)
      return isUnknown
        ? { ...toSettlement(writeId, inDoubt(errors ?? [])), spent, lost: settlement.lost }
        : failed
    if (last === null) return { ...settlement, state: 'sending', delaySeconds: 0 }
    if (fromQueue) return settlement
    const isSafe = member.type !== 'create' || member.idempotent
    if (isUnknown) return settlement
    return isSafe && last === 'time' ? settlement : failed
  })
}

/** Whether a member may have been written by this try or one before it. */
export const mayBeWritten = (answer: CallAnswer, { lostIn, position }: NowMember): boolean =>
  lostIn.length > 0 || isLost(answer, position)

/** Whether a record may have been written although no word of it came. */
export function isLost(answer: CallAnswer, position: number): boolean {
  const record = answerOf(answer, position)
  return !record.ok && record.errorClass === 'ambiguous'
}
