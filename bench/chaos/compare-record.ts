import { finding, type Finding, type OrgIndex, type OrgRecord, type Settled } from './evidence.ts'
import { changedFields, type Subject } from './plan-load.ts'

/** Compares the writes to one record, in the order in which its client made them, with what the org holds of it. */
export function compareRecord(chain: Settled[], org: OrgIndex, ids: ReadonlyMap<string, string>): Finding[] {
  const [first] = chain
  const subject = first?.entry.item.subject
  if (first === undefined || subject === null || subject === undefined) return []
  const found = recordsOf(subject, org, ids)
  if (found.length > 1) return [finding('doubled', first, `is in the org ${found.length} times`)]
  const wrongId = found[0] === undefined ? [] : wrongIds(chain, found[0])
  const [record] = found
  const existence = compareExistence(chain, subject, record)
  if (existence.length > 0 || record === undefined) return existence
  return [...wrongId, ...changedFields.flatMap((field) => compareField(chain, field, record))]
}

function recordsOf(subject: Subject, org: OrgIndex, ids: ReadonlyMap<string, string>): OrgRecord[] {
  if (subject.by === 'externalId') return org.withKey(subject.object, subject.name)
  const record = org.withId(ids.get(subject.name) ?? '')
  return record === undefined ? [] : [record]
}

/** Whether a write took effect: known, or open because nobody was told. */
function effectOf({ entry, outcome }: Settled): 'yes' | 'no' | 'maybe' {
  if (entry.verdict === 'unknown') return 'maybe'
  if (entry.verdict !== 'acknowledged') return 'no'
  if (outcome === 'succeeded') return 'yes'
  return outcome === 'failed' || outcome === 'cancelled' ? 'no' : 'maybe'
}

const isDelete = ({ entry }: Settled): boolean => entry.call.type === 'delete'

function compareExistence(chain: Settled[], subject: Subject, record: OrgRecord | undefined): Finding[] {
  const deletes = chain.filter(isDelete)
  const deleted = deletes.find((one) => effectOf(one) === 'yes')
  if (record !== undefined) {
    if (deleted !== undefined) return [finding('lost', deleted, `succeeded and ${record.Id} is there`)]
    const made = subject.by === 'id' || chain.some((one) => effectOf(one) !== 'no')
    const [first] = chain
    return made || first === undefined
      ? []
      : [finding('doubled', first, `did not succeed, nor did a later one, and ${record.Id} is there`)]
  }
  if (deletes.some((one) => effectOf(one) !== 'no')) return []
  const failedDelete = deletes[0]
  if (failedDelete !== undefined && subject.by === 'id')
    return [finding('doubled', failedDelete, 'did not succeed and the record is gone')]
  const written = chain.findLast((one) => effectOf(one) === 'yes')
  return written === undefined ? [] : [finding('lost', written, 'succeeded and its record is not in the org')]
}

function wrongIds(chain: Settled[], record: OrgRecord): Finding[] {
  return chain
    .filter((one) => one.outcome === 'succeeded' && one.recordId !== null && one.recordId !== record.Id)
    .map((one) => finding('lost', one, `succeeded as ${String(one.recordId)} and is ${record.Id} in the org`))
}

/**
 * The field must hold the value of the last write that set it; of those behind the last one that is known
 * to have taken effect, any may have, and one whose place in the order is open may come last anyway.
 */
function compareField(chain: Settled[], field: string, record: OrgRecord): Finding[] {
  const setters = chain.filter(({ entry }) => field in entry.item.values)
  const lastKnown = setters.findLastIndex((one) => effectOf(one) === 'yes' && !one.entry.unordered)
  const allowed = setters.filter(
    (one, place) =>
      place === lastKnown || (effectOf(one) !== 'no' && (place > lastKnown || one.entry.unordered)),
  )
  const value: unknown = record[field] ?? null
  if (allowed.some(({ entry }) => entry.item.values[field] === value)) return []
  // An unrecorded write keeps no order with what was queued before it, so that may have come on top of it.
  if (setters.some(({ entry }) => entry.unrecorded) && isFromBefore(setters, field, value)) return []
  if (lastKnown < 0 && value === null) return []
  const holder = setters.find(({ entry }) => entry.item.values[field] === value)
  const shown = `${field} of ${record.Id} holds ${JSON.stringify(value)}`
  if (holder !== undefined && effectOf(holder) === 'no')
    return [finding('doubled', holder, `${holder.outcome}, and ${shown}`)]
  const expected = setters[lastKnown] ?? setters.at(-1)
  if (expected === undefined) return []
  const whose = holder === undefined ? 'nobody’s' : `from the older ${holder.entry.item.marker}`
  return [finding('lost', expected, `succeeded, but ${shown}, ${whose}`)]
}

const isFromBefore = (setters: Settled[], field: string, value: unknown): boolean =>
  setters.some((one) => effectOf(one) !== 'no' && one.entry.item.values[field] === value)
