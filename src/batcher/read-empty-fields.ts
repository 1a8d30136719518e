import type { CallAnswer, RecordAnswer } from '../model/outcome.ts'
import type { CallOptions, ProviderGroup } from '../providers/provider.ts'
import { answerOf } from './record-answers.ts'
import type { CallPart } from './send-call.ts'
import type { SendingSession } from './sessions.ts'

/** A part after its conditional fields were looked up. */
export interface ReadPart {
  /** What is still to be sent; without records when nothing is. */
  group: ProviderGroup
  /** API calls made. */
  calls: number
  /** The answer for the whole part, by its own positions, from that of what was sent (null: nothing was). */
  complete: (answer: CallAnswer | null) => CallAnswer
}

/**
 * Drops from a part's records the fields that are to be sent only where the provider's record has no value
 * yet (contract section 4, `writeOnUpdate: ifEmpty`) and that has one: one read for the whole group. A
 * record that is not there is new, and keeps them all.
 *
 * When the read is refused for good, because of a field that the org does not have for example, only the
 * records that need it fail; when it cannot be made now, nothing of the part is sent.
 */
export async function readEmptyFields(
  { provider, session }: SendingSession,
  part: CallPart,
  limits: CallOptions,
): Promise<ReadPart> {
  const { group, ifEmpty } = part
  const asking = ifEmpty.flatMap((fields, place) => (fields === null ? [] : { place, fields }))
  if (asking.length === 0) return { group, calls: 0, complete: (answer) => answer ?? nothingToSay }
  const keyField = group.type === 'upsert' ? group.externalIdField : null
  const { answer, calls } = await provider.readFields(
    session,
    {
      objectName: group.objectName,
      keyField,
      keys: asking.map(({ place }) => keyOf(group.records[place] ?? '{}', keyField)),
      fields: [...new Set(asking.flatMap((one) => one.fields))],
    },
    limits,
  )
  if (answer.kind !== 'read') return withoutRead(group, asking, answer, calls)
  const records = [...group.records]
  asking.forEach(({ place, fields }, index) => {
    const filled = answer.filled[index]
    const drop = fields.filter((field) => filled?.has(field))
    if (drop.length > 0) records[place] = without(records[place] ?? '{}', drop)
  })
  return { group: { ...group, records }, calls, complete: (sent) => sent ?? nothingToSay }
}

const nothingToSay: CallAnswer = { kind: 'answered', status: 200, records: [], usage: null }

const isPermanent = (answer: CallAnswer): boolean =>
  answer.kind === 'refused' && answer.errorClass === 'permanent'

function withoutRead(
  group: ProviderGroup,
  asking: { place: number }[],
  answer: CallAnswer,
  calls: number,
): ReadPart {
  const places = new Set(asking.map((one) => one.place))
  const none = { ...group, records: [] }
  // A group that stands or falls as a whole falls with them.
  if (!isPermanent(answer) || group.allOrNone || places.size === group.records.length)
    return { group: none, calls, complete: () => answer }
  const rest = group.records.filter((_, place) => !places.has(place))
  return {
    group: { ...group, records: rest },
    calls,
    complete: (sent) => {
      let next = 0
      const records = group.records.map((_, place): RecordAnswer => {
        if (places.has(place) || sent === null) return answerOf(answer, place)
        next += 1
        return answerOf(sent, next - 1)
      })
      const status = sent !== null && sent.kind !== 'not_sent' ? (sent.status ?? 0) : 0
      const usage = sent?.kind === 'answered' || sent?.kind === 'refused' ? sent.usage : null
      return { kind: 'answered', status, records, usage }
    },
  }
}

function keyOf(record: string, keyField: string | null): string {
  const fields = Object.entries(JSON.parse(record) as Record<string, unknown>)
  const name = (keyField ?? 'id').toLowerCase()
  const value = fields.find(([field]) => field.toLowerCase() === name)?.[1]
  return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
}

function without(record: string, drop: string[]): string {
  const names = new Set(drop.map((name) => name.toLowerCase()))
  const kept = Object.entries(JSON.parse(record) as Record<string, unknown>).filter(
    ([name]) => !names.has(name.toLowerCase()),
  )
  return JSON.stringify(Object.fromEntries(kept))
}
