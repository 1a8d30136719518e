import type { Evidence, OperationFate, OrgRecord } from '../../bench/chaos/evidence.ts'
import type { Entry } from '../../bench/chaos/ledger.ts'
import type { PlannedCall, Subject, Values } from '../../bench/chaos/plan-load.ts'

/** A write of a run, as briefly as a test can say it. */
export interface Told extends Partial<Omit<Entry, 'call' | 'item'>> {
  type?: PlannedCall['type']
  object?: string
  subject?: Subject
  values?: Values
  /** The state of its operation; without one there is none. */
  state?: string
  recordId?: string
}

const recordOf = (state: string, recordId: string | undefined): OperationFate['records'][number] => ({
  success: state === 'succeeded',
  code: state === 'in_doubt' ? 'OUTCOME_UNKNOWN' : null,
  recordId: recordId ?? null,
})

/** What a run left: its writes are `write-1`, `write-2`, …, each with an operation `op-N` of its own. */
export function evidence(writes: Told[], org: Record<string, OrgRecord[]>, held: Subject[] = []): Evidence {
  const operations = new Map<string, OperationFate | null>()
  const entries = writes.map((told, place): Entry => {
    const {
      type = 'create',
      object = 'Contact',
      subject = null,
      values = {},
      state,
      recordId,
      ...known
    } = told
    const marker = `write-${place + 1}`
    const operationId = `op-${place + 1}`
    if (state !== undefined) operations.set(operationId, { state, records: [recordOf(state, recordId)] })
    const item = { marker, values, subject, parent: null }
    const call: PlannedCall = {
      at: place,
      groupRef: 'g',
      object,
      type,
      mode: known.answered === undefined ? 'asynchronous' : 'synchronous',
      api: 0,
      items: [item],
      isBatch: false,
      policy: null,
    }
    const verdict = known.verdict ?? 'acknowledged'
    return {
      ...{ call, item, position: 0, answered: null, unordered: false, unrecorded: false, remark: null },
      operationId: verdict === 'acknowledged' ? operationId : null,
      verdict,
      ...known,
    }
  })
  return {
    entries,
    operations,
    org: new Map(Object.entries(org)),
    held: held.map((subject) => ({ subject, values: {} })),
    ids: new Map(held.map((subject) => [subject.name, `id-${subject.name}`])),
  }
}
