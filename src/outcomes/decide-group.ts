import type { CallAnswer, FailureCause, ProviderError, RecordAnswer } from '../model/outcome.ts'
import { MAX_REQUEST } from '../model/write.ts'
import { decide, lostInDoubt, resend, retry, type Decidable, type Decision } from './decide.ts'
import { companies, doubtEarlierTries, wasAlong, type EarlierTries } from './earlier-tries.ts'

/** What a group's lane says of its fate. */
export interface GroupRules {
  allOrNone: boolean
  /** What becomes of the innocent of an undone group. */
  onRollback: 'fail' | 'resend'
  /** A caller-built batch: with allOrNone, it is never sent again in part. */
  isCallersBatch?: boolean
  /** The most of its records that went in one request; those of one request at the most when absent. */
  maxRecords?: number
}

/** A member of a group. */
export interface GroupMember extends Decidable, EarlierTries {
  type: Decidable['type']
  /** Place of its record in the request. Writes that were sent as one record share it. */
  position: number
  /** Rounds in which it was undone by another's error and sent again. */
  rollbacks: number
}

/** Rounds in which the innocent of an undone group are sent again (contract section 6.6). */
export const MAX_ROUNDS = 3

/** The code by which the provider marks those who failed because of another (facts 3.1). */
export const ROLLED_BACK = 'ALL_OR_NONE_OPERATION_ROLLED_BACK'

/**
 * Decides for every member of a group, in the order of the members.
 *
 * A group that was sent with allOrNone is one transaction at the provider: if one record failed, none was
 * written. The offenders carry their own errors, the others the provider's word that they were rolled back.
 *
 * - While every offender's error can pass (a lock), the whole group is sent again.
 * - Otherwise the offenders fail; the rest fail with them or, with `resend`, go again without them.
 *
 * Writes that were sent as one record and failed for good go again, each by itself: one bad value never
 * sinks another write. What was too much for the org's own code together goes again in smaller groups.
 *
 * Nothing fails that an earlier try may have written, its answer having been lost: it is in doubt.
 */
export function decideGroup(
  answer: CallAnswer,
  members: GroupMember[],
  rules: GroupRules,
  random: number,
): Decision[] {
  const own = decideEach(answer, members, rules, random)
  const isUndone =
    rules.allOrNone && answer.kind === 'answered' && answer.records.some((record) => !record.ok)
  const decisions = isUndone ? decideUndone(answer, own, members, rules, random) : own
  return doubtEarlierTries(decisions, answer, members, rules)
}

/** As a whole, from what was decided one by one. */
function decideUndone(
  answer: CallAnswer & { kind: 'answered' },
  own: Decision[],
  members: GroupMember[],
  rules: GroupRules,
  random: number,
): Decision[] {
  const recordOf = ({ position }: GroupMember): RecordAnswer | undefined => answer.records[position]
  const offenders = members.filter((member, index) => {
    const record = recordOf(member)
    return record !== undefined && isOffender(record) && own[index]?.move === 'fail'
  })
  // Whom no offender accompanied when its answer was lost, its group having been joined since, goes again
  // without them: it is safe to send twice, and else would end in doubt for what another brought along.
  const goesAgain = (member: GroupMember): boolean =>
    rules.onRollback === 'resend' ||
    (member.lostIn.length > 0 && !offenders.some((offender) => wasAlong(offender, member)))
  const decisions = members.map((member, index): Decision => {
    const decision = own[index] as Decision
    const record = recordOf(member)
    // A record that reports success in an undone group contradicts its neighbours: what was done is not known.
    if (record === undefined || record.ok) return decideUnknown(answer.status, member, random)
    if (record.errorClass === 'ambiguous' || offenders.length === 0) return decision
    if (isOffender(record) && (decision.move === 'fail' || isAlone(decision))) return decision
    if (!goesAgain(member) || member.rollbacks >= MAX_ROUNDS) return { move: 'fail', errors: record.errors }
    return resend(member, record.errors)
  })
  return rules.isCallersBatch === true ? keepWhole(decisions) : decisions
}

/** What would be sent again without the rest of its batch ends instead. */
function keepWhole(decisions: Decision[]): Decision[] {
  const isOver = decisions.some(({ move }) => move === 'doubt' || move === 'fail' || move === 'succeed')
  if (!isOver) return decisions
  return decisions.map((decision): Decision => {
    if (decision.move === 'retry' && decision.lost !== undefined) return lostInDoubt(decision.errors)
    return decision.move === 'retry' || decision.move === 'defer'
      ? { move: 'fail', errors: decision.errors }
      : decision
  })
}

/** The part of a group's size that is tried after the whole was too much for the org's own code. */
const SMALLER = 4

/** Each by itself, whatever the group's rules. */
function decideEach(
  answer: CallAnswer,
  members: GroupMember[],
  { maxRecords = MAX_REQUEST }: GroupRules,
  random: number,
): Decision[] {
  const shared = companies(members)
  const records = members.reduce((most, { position }) => Math.max(most, position + 1), 1)
  const size = Math.min(records, maxRecords)
  return members.map((member) => {
    const decision = decide(answer, member.position, member, random)
    const company = shared.get(member.position) ?? null
    if ('lost' in decision) return { ...decision, lost: { company } }
    const isFailed = decision.move === 'fail' && (answer.kind === 'answered' || answer.kind === 'refused')
    if (isFailed && company !== null && member.deadlineSeconds > 0)
      return { move: 'retry', delaySeconds: 0, errors: decision.errors, alone: true }
    if (causeOf(answer, member.position) !== 'apex_limit') return decision
    // Its tries are for a record that is alone: in company, another may be what was too much.
    const again = decision.move === 'fail' && size > 1 ? retry(member, decision.errors, random) : decision
    return again.move === 'retry' ? { ...again, maxRecords: Math.ceil(size / SMALLER) } : again
  })
}

function causeOf(answer: CallAnswer, position: number): FailureCause | undefined {
  if (answer.kind === 'refused') return answer.cause
  const record = answer.kind === 'answered' ? answer.records[position] : undefined
  return record?.ok === false ? record.cause : undefined
}

const isAlone = (decision: Decision): boolean => decision.move === 'retry' && decision.alone === true

/** As for a record of which the provider said nothing. */
const decideUnknown = (status: number, member: GroupMember, random: number): Decision =>
  decide({ kind: 'answered', status, records: [], usage: null }, 0, member, random)

const isRolledBack = (error: ProviderError): boolean => error.code === ROLLED_BACK

const isOffender = (record: RecordAnswer): boolean => !record.ok && !record.errors.every(isRolledBack)
