import { batchesOf, companyOf, wasSentAs } from '../model/lost-try.ts'
import type { CallAnswer, ProviderError } from '../model/outcome.ts'
import type { WriteType } from '../model/write.ts'
import { inDoubt, type Decision } from './decide.ts'

/*
 * What is to be said of a write that fails after the answer to an earlier try of it was lost: that try may
 * have written it, so `failed` would be a guess (contract sections 6.2 and 6.5). It has failed only if what
 * ended it shows that the earlier try was refused as well; else it is in doubt, with the provider's errors.
 *
 * - A refusal of what the record itself says (a text too long, an unknown field) met the earlier try too:
 *   the same record was in it. So it shows that this record was never written and, of a group that is
 *   written as a whole or not at all, that none was in whose lost tries the record was along.
 * - So did a refusal by a validation rule or a lookup filter: they judge the record as the write leaves it, and
 *   the same values leave it the same. A try that they had let through, they would let through again.
 * - Of a record that was to be updated and has been deleted nothing is there, whatever the earlier try did to
 *   it: that is a failure of this write, and says nothing of the others in its group.
 * - Any other refusal may come from what has changed in between, by others or by the write itself: an approval
 *   locked the record, the lost try gave it to an owner who keeps it to himself, or made the very value that
 *   the next try clashes with. It shows nothing of the earlier try.
 * - Neither does the end of the time, a limit, or the error of a record that joined the group later.
 *
 * Writes that were sent as one record count as that record: its refusal shows what became of a lost try if
 * the same writes were that record then. They are then taken apart and sent again with their doubt removed,
 * so that each ends as it deserves.
 */

/** A member's lost tries. */
export interface EarlierTries {
  id: string
  type: WriteType
  position: number
  /** The batches in which it was sent and whose answers were lost, with its company in each: each may have written it. */
  lostIn: readonly string[]
  /** Fields that were sent in some tries and perhaps not in others. */
  ifEmpty?: readonly string[] | null
}

/** Refusals that depend on nothing but what the record says, or comes to by what it says (facts 7). */
const OF_THE_RECORD: ReadonlySet<string> = new Set([
  'FIELD_CUSTOM_VALIDATION_EXCEPTION',
  'FIELD_FILTER_VALIDATION_EXCEPTION',
  'INVALID_EMAIL_ADDRESS',
  'INVALID_FIELD',
  'INVALID_ID_FIELD',
  'INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST',
  'INVALID_TYPE',
  'INVALID_TYPE_ON_FIELD_IN_RECORD',
  'JSON_PARSER_ERROR',
  'MALFORMED_ID',
  'MISSING_ARGUMENT',
  'NUMBER_OUTSIDE_VALID_RANGE',
  'REQUIRED_FIELD_MISSING',
  'STRING_TOO_LONG',
])

/** An upsert needs its fields only where it makes the record, which may have been there at the earlier try. */
const isOfTheRecord = (type: WriteType, { code }: ProviderError): boolean =>
  OF_THE_RECORD.has(code) && !(type === 'upsert' && code === 'REQUIRED_FIELD_MISSING')

/** Whether the record that was to be updated is not there any more. */
const isGone = (type: WriteType, errors: ProviderError[]): boolean =>
  type === 'update' && errors.some(({ code }) => code === 'ENTITY_IS_DELETED')

/** Whether a member was along in all the lost tries of another. */
export const wasAlong = (member: EarlierTries, other: EarlierTries): boolean =>
  batchesOf(other.lostIn).every((batchId) => member.lostIn.includes(batchId))

/** What a group is written by. */
interface Rules {
  allOrNone: boolean
}

/** The marks of the companies whose writes are sent as one record, by its place. */
export function companies(members: readonly Pick<EarlierTries, 'id' | 'position'>[]): Map<number, string> {
  const byPosition = new Map<number, string[]>()
  for (const { id, position } of members) {
    const ids = byPosition.get(position)
    if (ids === undefined) byPosition.set(position, [id])
    else ids.push(id)
  }
  const shared = [...byPosition].filter(([, ids]) => ids.length > 1)
  return new Map(shared.map(([position, ids]) => [position, companyOf(ids)]))
}

/** What an answer shows of the lost tries of a group's members. */
interface Shown<M> {
  /** Their lost tries wrote nothing. */
  unwritten: Set<M>
  /** Whatever their lost tries did, nothing is left of it. */
  gone: Set<M>
}

function findUnwritten<M extends EarlierTries>(answer: CallAnswer, members: M[], rules: Rules): Shown<M> {
  const shared = companies(members)
  const varying = new Set(
    members.filter(({ ifEmpty }) => (ifEmpty ?? null) !== null).map(({ position }) => position),
  )
  // Else what was sent in its name was not the same each time: with others' values, or without some fields.
  const isSame = ({ lostIn, position }: M): boolean =>
    !varying.has(position) && wasSentAs(lostIn, shared.get(position) ?? null)
  const isRefused = (member: M, errors: ProviderError[]): boolean =>
    isSame(member) && errors.some((error) => isOfTheRecord(member.type, error))
  if (answer.kind === 'refused') {
    // Some record is at fault, it is not known which: all of them must have been along.
    const isProof =
      answer.errorClass === 'permanent' && members.every((member) => isRefused(member, answer.errors))
    const unwritten = isProof
      ? members.filter((member) => members.every((other) => wasAlong(other, member)))
      : []
    return { unwritten: new Set(unwritten), gone: new Set() }
  }
  if (answer.kind !== 'answered') return { unwritten: new Set(), gone: new Set() }
  const permanentOf = (member: M): ProviderError[] => {
    const record = answer.records[member.position]
    return record?.ok === false && record.errorClass === 'permanent' ? record.errors : []
  }
  const refused = members.filter((member) => isRefused(member, permanentOf(member)))
  const gone = new Set(members.filter((member) => isGone(member.type, permanentOf(member))))
  if (!rules.allOrNone) return { unwritten: new Set(refused), gone }
  const undone = members.filter((member) => refused.some((other) => wasAlong(other, member)))
  return { unwritten: new Set(undone), gone }
}

/**
 * Puts what would fail, but may have been written by an earlier try, in doubt instead; what goes again, and
 * is shown not to have been written by any, goes without its doubt.
 */
export function doubtEarlierTries(
  decisions: Decision[],
  answer: CallAnswer,
  members: EarlierTries[],
  rules: Rules,
): Decision[] {
  if (members.every(({ lostIn }) => lostIn.length === 0)) return decisions
  const { unwritten, gone } = findUnwritten(answer, members, rules)
  return decisions.map((decision, index): Decision => {
    const member = members[index]
    if (member === undefined || member.lostIn.length === 0) return decision
    if (decision.move === 'retry' && decision.lost === undefined && unwritten.has(member))
      return { ...decision, unwritten: true }
    if (decision.move !== 'fail' || unwritten.has(member) || gone.has(member)) return decision
    return inDoubt(decision.errors)
  })
}
