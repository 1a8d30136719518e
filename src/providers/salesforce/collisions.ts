import type { CallAnswer } from '../../model/outcome.ts'
import { normaliseRecordId } from '../../model/salesforce-id.ts'
import type { ProviderGroup } from '../provider.ts'
import { isObject } from './answer.ts'
import { failedCall, type CallSeries } from './call-series.ts'
import { InvalidGroup } from './collections.ts'
import { readSingle, singleRequest, updateRequest } from './single-record.ts'

/**
 * Writes one record on its own, and where a duplicate rule refuses it and names exactly one record of the
 * same object, updates that one instead (contract section 5, `forceUpdateOnCollision`). With none, several
 * or one of another object the rule's refusal stays as it is.
 *
 * The answer is of the one record: a `lost` one may have been written.
 * @throws {InvalidGroup}
 */
export async function updateCollision(
  series: CallSeries,
  group: ProviderGroup,
  position: number,
): Promise<CallAnswer> {
  const record = group.records[position]
  if (record === undefined) throw new InvalidGroup(`The group has no record ${position}.`)
  const written = await series.send(singleRequest(group, record))
  if (written.kind === 'failure') return failedCall(written)
  const answer = readSingle(written, group.type)
  const id = collidesWith(answer, group.objectName)
  if (id === null) return answer
  const updated = await series.send(updateRequest(group, record, id))
  if (updated.kind === 'failure') return failedCall(updated)
  const outcome = readSingle(updated, 'update')
  if (outcome.kind !== 'answered') return outcome
  return {
    ...outcome,
    records: outcome.records.map((one) => (one.ok ? { ...one, recordId: id, created: false } : one)),
  }
}

/** The one record of this object that a duplicate rule named, 18 characters; else null (facts 7.2). */
function collidesWith(answer: CallAnswer, objectName: string): string | null {
  const [record] = answer.kind === 'answered' ? answer.records : []
  if (record === undefined || record.ok || !Array.isArray(record.raw)) return null
  const elements: unknown[] = record.raw
  if (!elements.every((one) => isObject(one) && one.errorCode === 'DUPLICATES_DETECTED')) return null
  const matches = elements.flatMap(matchesOf)
  const ids = new Set(matches.map(({ id }) => id))
  const [match] = matches
  if (match === undefined || ids.size !== 1) return null
  const isOfObject = match.object === null || match.object.toLowerCase() === objectName.toLowerCase()
  return isOfObject ? normaliseRecordId(match.id) : null
}

/** The records that an error names, by id of 18 characters where it is an id. */
function matchesOf(error: unknown): { id: string; object: string | null }[] {
  if (!isObject(error)) return []
  // Older versions spell it without the l (facts 7.2).
  const result = error.duplicateResult ?? error.duplicateResut
  return listOf(result, 'matchResults').flatMap((match) =>
    listOf(match, 'matchRecords').flatMap((one) => {
      const record = isObject(one) ? one.record : null
      if (!isObject(record)) return []
      const id = record.Id ?? record.id
      if (typeof id !== 'string') return []
      const { attributes } = record
      const named = isObject(attributes) ? attributes.type : isObject(match) ? match.entityType : null
      const object = typeof named === 'string' ? named : null
      return [{ id: normaliseRecordId(id) ?? id, object }]
    }),
  )
}

const listOf = (value: unknown, name: string): unknown[] => {
  const list = isObject(value) ? value[name] : null
  return Array.isArray(list) ? list : []
}
