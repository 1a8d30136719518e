import type { Entry } from './ledger.ts'
import { externalIdField, markerField, type HeldRecord } from './plan-load.ts'

/** What became of one record, as its operation tells. */
export type Outcome = 'succeeded' | 'failed' | 'in_doubt' | 'cancelled' | 'unended' | 'missing'

/** An operation as the service tells of it. */
export interface OperationFate {
  state: string
  records: { success: boolean; code: string | null; recordId: string | null }[]
}

/** A record of the org. */
export type OrgRecord = { Id: string } & Record<string, unknown>

/** What is compared. */
export interface Evidence {
  /** Every record of every call, each client's in the order of its calls. */
  entries: readonly Entry[]
  /** By operation; null for one that the service does not know. */
  operations: ReadonlyMap<string, OperationFate | null>
  /** What the org holds, by object. */
  org: ReadonlyMap<string, readonly OrgRecord[]>
  held: readonly HeldRecord[]
  /** Ids of the held records, by the names of their subjects. */
  ids: ReadonlyMap<string, string>
}

/** Something that must not be. */
export interface Finding {
  kind: 'lost' | 'doubled' | 'stuck'
  /** The write that it is about. */
  marker: string
  operationId: string | null
  what: string
}

/** An entry with what became of it. */
export interface Settled {
  entry: Entry
  outcome: Outcome
  /** The id that its operation names. */
  recordId: string | null
}

/** Makes a finding about an entry. */
export function finding(kind: Finding['kind'], { entry }: Settled, what: string): Finding {
  const { item, operationId, call } = entry
  const named = `${call.mode} ${call.type} of ${call.object}`
  return { kind, marker: item.marker, operationId, what: `${named} ${what}` }
}

/** The org's records by what names them. */
export class OrgIndex {
  readonly #byId = new Map<string, OrgRecord>()
  readonly #byMarker = new Map<string, OrgRecord[]>()
  readonly #byKey = new Map<string, OrgRecord[]>()

  constructor(org: Evidence['org']) {
    for (const [object, records] of org) {
      for (const record of records) {
        this.#byId.set(record.Id, record)
        add(this.#byMarker, `${object} ${String(record[markerField])}`, record)
        add(this.#byKey, `${object} ${String(record[externalIdField])}`, record)
      }
    }
  }

  withId(id: string): OrgRecord | undefined {
    return this.#byId.get(id)
  }

  withMarker(object: string, marker: string): OrgRecord[] {
    return this.#byMarker.get(`${object} ${marker}`) ?? []
  }

  withKey(object: string, key: string): OrgRecord[] {
    return this.#byKey.get(`${object} ${key}`) ?? []
  }

  get all(): Iterable<OrgRecord> {
    return this.#byId.values()
  }
}

function add(map: Map<string, OrgRecord[]>, key: string, record: OrgRecord): void {
  const there = map.get(key)
  if (there === undefined) map.set(key, [record])
  else there.push(record)
}
