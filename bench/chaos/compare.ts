import { compareCreate } from './compare-create.ts'
import { compareRecord } from './compare-record.ts'
import { finding, OrgIndex, type Evidence, type Finding, type Outcome, type Settled } from './evidence.ts'
import type { Entry } from './ledger.ts'
import { keyedObjects, markerField } from './plan-load.ts'

/** The figures of a run, and what is wrong. Writes are counted by record. */
export interface Comparison {
  acknowledged: number
  /** Not acknowledged, refused included. */
  unacknowledged: number
  succeeded: number
  failed: number
  inDoubt: number
  findings: Finding[]
}

/**
 * Compares what callers were told, what the operations say and what the org holds.
 *
 * - **lost**: an acknowledged write without an operation; one that `succeeded` and is not in the org, or is
 *   another record than its operation says; an update or upsert whose value is not the org's although no
 *   later one took its place, an older value on top of a newer one included; one that was answered as
 *   written and is recorded otherwise; one `in_doubt` that is no plain create (contract section 6.5).
 * - **doubled**: a create that is there more than once, whether acknowledged or not; anything that
 *   `failed`, was refused or never sent, and is in the org all the same; a record that nobody wrote.
 * - **stuck**: an acknowledged write that has not ended.
 *
 * A write that was not acknowledged may be there once or not at all.
 */
export function compare(evidence: Evidence): Comparison {
  const settled = evidence.entries.map((entry) => settle(entry, evidence.operations))
  const org = new OrgIndex(evidence.org)
  const findings = settled.flatMap(agreement)
  const bySubject = Map.groupBy(settled, ({ entry }) => entry.item.subject?.name ?? '')
  for (const one of bySubject.get('') ?? []) findings.push(...compareCreate(one, org))
  for (const [name, chain] of bySubject) {
    if (name !== '') findings.push(...compareRecord(chain, org, evidence.ids))
  }
  findings.push(...strangers(evidence, org))
  const acknowledged = settled.filter(({ entry }) => entry.verdict === 'acknowledged')
  const count = (outcome: Outcome): number => acknowledged.filter((one) => one.outcome === outcome).length
  return {
    acknowledged: acknowledged.length,
    unacknowledged: settled.length - acknowledged.length,
    succeeded: count('succeeded'),
    failed: count('failed') + count('cancelled'),
    inDoubt: count('in_doubt'),
    findings,
  }
}

const ended: Partial<Record<string, Outcome>> = {
  succeeded: 'succeeded',
  failed: 'failed',
  in_doubt: 'in_doubt',
  cancelled: 'cancelled',
}

function settle(entry: Entry, operations: Evidence['operations']): Settled {
  const { operationId, position, call } = entry
  if (entry.unrecorded) return { entry, outcome: entry.answered ?? 'in_doubt', recordId: null }
  const operation = operationId === null ? null : (operations.get(operationId) ?? null)
  if (operation === null) return { entry, outcome: 'missing', recordId: null }
  const record = operation.records[position]
  const recordId = record?.recordId ?? null
  if (!call.isBatch || operation.state === 'queued' || operation.state === 'sending')
    return { entry, outcome: ended[operation.state] ?? 'unended', recordId }
  if (record === undefined) return { entry, outcome: 'missing', recordId }
  const outcome = record.success ? 'succeeded' : record.code === 'OUTCOME_UNKNOWN' ? 'in_doubt' : 'failed'
  return { entry, outcome, recordId }
}

/** What is wrong with an operation, whatever the org holds. */
function agreement(one: Settled): Finding[] {
  const { entry, outcome } = one
  if (entry.verdict !== 'acknowledged') return []
  if (outcome === 'missing') return [finding('lost', one, 'was acknowledged and has no operation')]
  if (outcome === 'unended') return [finding('stuck', one, 'has not ended')]
  const { call, answered } = entry
  const mayBeInDoubt = call.type === 'create' && !keyedObjects.includes(call.object)
  if (outcome === 'in_doubt' && !mayBeInDoubt) return [finding('lost', one, 'is in doubt and need not be')]
  if (answered !== null && answered !== outcome)
    return [finding('lost', one, `was answered as ${answered} and is recorded as ${outcome}`)]
  return []
}

/** Records that no write of the run can have left. */
function strangers({ entries, held, ids }: Evidence, org: OrgIndex): Finding[] {
  const known = new Set(held.map(({ subject }) => ids.get(subject.name)))
  for (const { item, call } of entries) {
    const { subject, marker } = item
    const records =
      subject === null
        ? org.withMarker(call.object, marker)
        : subject.by === 'externalId'
          ? org.withKey(call.object, subject.name)
          : []
    for (const record of records) known.add(record.Id)
  }
  return [...org.all]
    .filter(({ Id }) => !known.has(Id))
    .map((record) => ({
      kind: 'doubled',
      marker: String(record[markerField]),
      operationId: null,
      what: `the org holds ${record.Id}, which no write of the run should have left`,
    }))
}
