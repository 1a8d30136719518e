import { finding, type Finding, type OrgIndex, type Settled } from './evidence.ts'

/** Compares a create with the records that carry its marker. */
export function compareCreate(one: Settled, org: OrgIndex): Finding[] {
  const { entry, outcome, recordId } = one
  const found = org.withMarker(entry.call.object, entry.item.marker)
  const ids = found.map(({ Id }) => Id).join(', ')
  if (found.length > 1) return [finding('doubled', one, `is in the org ${found.length} times: ${ids}`)]
  switch (entry.verdict) {
    case 'unknown':
      return []
    case 'refused':
    case 'unsent':
      return found.length === 0
        ? []
        : [finding('doubled', one, `was ${entry.verdict} and is in the org: ${ids}`)]
    case 'acknowledged':
  }
  if (outcome === 'succeeded') {
    if (found.length === 0) return [finding('lost', one, 'succeeded and is not in the org')]
    if (recordId !== null && recordId !== found[0]?.Id)
      return [finding('lost', one, `succeeded as ${recordId} and is in the org as ${ids}`)]
    return []
  }
  // One without an operation counts as lost already, one that has not ended as stuck.
  if ((outcome === 'failed' || outcome === 'cancelled') && found.length > 0)
    return [finding('doubled', one, `${outcome} and is in the org: ${ids}`)]
  return []
}
