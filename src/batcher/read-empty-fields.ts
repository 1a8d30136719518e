import type { CallAnswer, RecordAnswer } from '../model/outcome.ts'
import type { CallOptions, FieldRead, ProviderGroup } from '../providers/provider.ts'
import { answerOf } from './record-answers.ts'
import type { CallPart } from './send-call.ts'
import type { SendingSession } from './sessions.ts'

/** A part after its conditional fields were looked up. */
export interface ReadPart {
  /** What is still to be sent; without records when nothing is. */
  group: ProviderGroup
  /** API calls made; a read for several parts is counted for the first of them. */
  calls: number
  /** The answer for the whole part, by its own positions, from that of what was sent (null: nothing was). */
  complete: (answer: CallAnswer | null) => CallAnswer
}

/** What of a part is to be read before it goes: the records that have conditional fields. */
interface Asking {
  part: number
  read: Omit<FieldRead, 'keys'>
  records: { place: number; fields: string[] }[]
}

/**
 * Drops from the records of a call's parts the fields that are to be sent only where the provider's record
 * has no value yet (contract section 4, `writeOnUpdate: ifEmpty`) and that has one: one read for all parts
 * that ask for the same fields of the same object. A record that is not there is new, and keeps them all.
 *
 * When the read is refused for good, because of a field that the org does not have for example, only the
 * records that need it fail; when it cannot be made now, nothing of their parts is sent.
 */
export async function readEmptyFields(
  { provider, session }: SendingSession,
  parts: readonly CallPart[],
  limits: CallOptions,
): Promise<ReadPart[]> {
  const ready = parts.map(({ group }): ReadPart => ({ group, calls: 0, complete: asItIs }))
  const asking = parts.flatMap(askingOf)
  for (const together of Map.groupBy(asking, ({ read }) => JSON.stringify(read)).values()) {
    const keys = together.flatMap(({ part, read, records }) =>
      records.map(({ place }) => keyOf(parts[part]?.group.records[place] ?? '{}', read.keyField)),
    )
    const read = { ...(together[0] as Asking).read, keys }
    const { answer, calls } = await provider.readFields(session, read, limits)
    let next = 0
    for (const [index, { part, records }] of together.entries()) {
      const { group } = parts[part] as CallPart
      const filled = answer.kind === 'read' ? answer.filled.slice(next, (next += records.length)) : []
      const ofPart =
        answer.kind === 'read'
          ? { group: withoutFilled(group, records, filled), complete: asItIs }
          : withoutRead(group, records, answer)
      ready[part] = { ...ofPart, calls: index === 0 ? calls : 0 }
    }
  }
  return ready
}

/** Parts with the same read, by the text of it, are read together. */
function askingOf({ group, ifEmpty }: CallPart, part: number): Asking[] {
  const records = ifEmpty.flatMap((fields, place) => (fields === null ? [] : [{ place, fields }]))
  if (records.length === 0) return []
  const { objectName, type, externalIdField } = group
  const fields = [...new Set(records.flatMap((one) => one.fields))].sort()
  return [
    { part, read: { objectName, keyField: type === 'upsert' ? externalIdField : null, fields }, records },
  ]
}

function withoutFilled(
  group: ProviderGroup,
  asking: Asking['records'],
  filled: readonly (ReadonlySet<string> | null)[],
): ProviderGroup {
  const records = [...group.records]
  asking.forEach(({ place, fields }, index) => {
    const drop = fields.filter((field) => filled[index]?.has(field))
    if (drop.length > 0) records[place] = without(records[place] ?? '{}', drop)
  })
  return { ...group, records }
}

const nothingToSay: CallAnswer = { kind: 'answered', status: 200, records: [], usage: null }
const asItIs = (sent: CallAnswer | null): CallAnswer => sent ?? nothingToSay

const isPermanent = (answer: CallAnswer): boolean =>
  answer.kind === 'refused' && answer.errorClass === 'permanent'

function withoutRead(
  group: ProviderGroup,
  asking: Asking['records'],
  answer: CallAnswer,
): Omit<ReadPart, 'calls'> {
  const places = new Set(asking.map((one) => one.place))
  const none = { ...group, records: [] }
  // A group that stands or falls as a whole falls with them.
  if (!isPermanent(answer) || group.allOrNone || places.size === group.records.length)
    return { group: none, complete: () => answer }
  const rest = group.records.filter((_, place) => !places.has(place))
  return {
    group: { ...group, records: rest },
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
