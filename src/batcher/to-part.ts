import { areInteractions, MAX_INTERACTIONS } from '../model/engagement.ts'
import type { ClaimedBatch, ClaimedWrite } from '../queue/claim-batch.ts'
import type { CallPart } from './send-call.ts'

/** What a claimed batch needs to be made into a part of a call. */
export type PartSource = Pick<
  ClaimedBatch,
  'objectName' | 'type' | 'externalIdField' | 'allOrNone' | 'headers' | 'options'
> & { members: Pick<ClaimedWrite, 'position' | 'record' | 'ifEmpty'>[] }

/**
 * A create that may be sent again after its answer was lost: its record carries a key by which it is found. Of
 * an object, that is the write's id in an external-id field, and it is sent as an upsert; an interaction is
 * looked up first.
 */
export const isKeyedCreate = (batch: Pick<ClaimedBatch, 'type' | 'externalIdField'>): boolean =>
  batch.type === 'create' && batch.externalIdField !== null

/** The records of a batch as they go out: writes that share a position are sent as one record. */
export function toPart(batch: PartSource): CallPart {
  const byPosition: PartSource['members'][] = []
  for (const member of batch.members) (byPosition[member.position] ??= []).push(member)
  const merged = byPosition.map((members) => mergeWrites(members))
  const ofInteractions = areInteractions(batch)
  return {
    group: {
      objectName: batch.objectName,
      type: isKeyedCreate(batch) && !ofInteractions ? 'upsert' : batch.type,
      externalIdField: ofInteractions ? null : batch.externalIdField,
      allOrNone: batch.allOrNone,
      headers: batch.headers,
      records: merged.map((one) => one.record),
    },
    ifEmpty: merged.map((one) => one.ifEmpty),
    updateCollisions: batch.options['forceUpdateOnCollision'] === true,
    ...(ofInteractions ? { maxRecords: MAX_INTERACTIONS } : {}),
  }
}

/** One record out of several writes to it, later fields winning; a field is the same in any letter case. */
function mergeWrites(members: PartSource['members']): { record: string; ifEmpty: string[] | null } {
  const [first] = members
  if (first === undefined) throw new TypeError('A place of a request without a write.')
  if (members.length === 1) return { record: first.record, ifEmpty: first.ifEmpty }
  const fields = new Map<string, { name: string; value: unknown; conditional: boolean }>()
  for (const { record, ifEmpty } of members) {
    const conditional = new Set(ifEmpty?.map((name) => name.toLowerCase()))
    for (const [name, value] of Object.entries(JSON.parse(record) as Record<string, unknown>)) {
      const key = name.toLowerCase()
      const earlier = fields.get(key)
      // What an earlier write sets for certain is there when a later one says "only if empty".
      if (conditional.has(key) && earlier !== undefined && !earlier.conditional && !isEmpty(earlier.value))
        continue
      // A place of its own in the order of the first mention: the id stays first.
      fields.set(key, { name: earlier?.name ?? name, value, conditional: conditional.has(key) })
    }
  }
  const entries = [...fields.values()]
  const conditional = entries.filter((field) => field.conditional).map((field) => field.name)
  return {
    record: JSON.stringify(Object.fromEntries(entries.map(({ name, value }) => [name, value]))),
    ifEmpty: conditional.length === 0 ? null : conditional,
  }
}

const isEmpty = (value: unknown): boolean => value === null || value === ''
