import type { CallAnswer, ProviderError, RecordAnswer } from '../model/outcome.ts'
import { decide, resend, type Decidable, type Decision } from './decide.ts'

/** What a group's lane says of its fate. */
export interface GroupRules {
  allOrNone: boolean
  /** What becomes of the innocent of an undone group. */
  onRollback: 'fail' | 'resend'
}

/** A member of a group. */
export interface GroupMember extends Decidable {
  /** Rounds in which it was undone by another's error and sent again. */
  rollbacks: number
}

/** Rounds in which the innocent of an undone group are sent again (contract section 6.6). */
export const MAX_ROUNDS = 3

/** The code by which the provider marks those who failed because of another (facts 3.1). */
export const ROLLED_BACK = 'ALL_OR_NONE_OPERATION_ROLLED_BACK'

/**
 * Decides for every member of a group, by position. A group that was sent with allOrNone is one
 * transaction at the provider: if one member failed, none was written. The offenders carry their own
 * errors, the others the provider's word that they were rolled back.
 *
 * - While every offender's error can pass (a lock), the whole group is sent again.
 * - Otherwise the offenders fail; the rest fail with them or, with `resend`, go again without them.
 */
export function decideGroup(
  answer: CallAnswer,
  members: GroupMember[],
  rules: GroupRules,
  random: number,
): Decision[] {
  if (!rules.allOrNone || answer.kind !== 'answered' || answer.records.every((record) => record.ok)) {
    return members.map((member, position) => decide(answer, position, member, random))
  }
  const own = members.map((member, position) => decide(answer, position, member, random))
  const isFinal = answer.records.some(
    (record, position) => isOffender(record) && own[position]?.move === 'fail',
  )
  return members.map((member, position) => {
    const decision = own[position] as Decision
    const record = answer.records[position]
    // A record that reports success in an undone group contradicts its neighbours: what was done is not known.
    if (record === undefined || record.ok) return decideUnknown(answer.status, member, random)
    if (record.errorClass === 'ambiguous' || !isFinal) return decision
    if (isOffender(record) && decision.move === 'fail') return decision
    if (rules.onRollback === 'fail' || member.rollbacks >= MAX_ROUNDS)
      return { move: 'fail', errors: record.errors }
    return resend(member, record.errors)
  })
}

/** As for a record of which the provider said nothing. */
const decideUnknown = (status: number, member: GroupMember, random: number): Decision =>
  decide({ kind: 'answered', status, records: [], usage: null }, 0, member, random)

const isRolledBack = (error: ProviderError): boolean => error.code === ROLLED_BACK

const isOffender = (record: RecordAnswer): boolean => !record.ok && !record.errors.every(isRolledBack)
