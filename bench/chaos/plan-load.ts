import { Draw } from './draw.ts'
import type { PlanOptions } from './plan.ts'

export type WriteType = 'create' | 'update' | 'upsert' | 'delete'

/** Field values as they are sent. */
export type Values = Record<string, string | number>

/** A record that several writes name: by its id when the org had it before, else by its external id. */
export interface Subject {
  /** Names it among all; also the value of its external id. */
  name: string
  object: string
  by: 'id' | 'externalId'
}

/** A record that the org holds before the load. */
export interface HeldRecord {
  subject: Subject
  values: Values
}

/** One record of a call. */
export interface PlannedItem {
  /** Unlike any other's: by it the record, and the operation, are known again. */
  marker: string
  values: Values
  /** What it names; null for a create. */
  subject: Subject | null
  /** The place of its parent among the parents; null without one. */
  parent: number | null
}

/** One write call. */
export interface PlannedCall {
  /** Milliseconds from the start of the load; it may be made later, when the client still has another one open. */
  at: number
  /** Whose installation, among {@link groupRefs}. */
  groupRef: string
  object: string
  type: WriteType
  mode: 'asynchronous' | 'synchronous'
  /** Which API process it goes to, while that one is up. */
  api: number
  /** One, or those of a caller-built batch. */
  items: PlannedItem[]
  isBatch: boolean
  /** The call's `autoBatchPolicy` or `batchPolicy`; null without one. */
  policy: Record<string, unknown> | null
}

/** What is written, by client: each makes its calls one after the other. */
export interface Load {
  clients: PlannedCall[][]
  held: HeldRecord[]
  parents: Subject[]
}

export const markerField = 'Notes__c'
export const externalIdField = 'External_Id__c'
/** The fields that updates and upserts set, each write some of them. */
export const changedFields = [markerField, 'Score__c', 'Region_Key__c'] as const
/** Objects whose creates carry a key of the service's (contract section 6.5). */
export const keyedObjects: readonly string[] = ['Lead', 'Opportunity']
export const objects = ['Account', 'Contact', 'Case', 'Lead', 'Opportunity'] as const

/** The customers. Each has an installation of its own, so that what slows one leaves the others. */
export const groupRefs = ['customer-1', 'customer-2', 'customer-3', 'customer-4'] as const

const CLIENTS = 32
const PARENTS = 4
/** The objects of a client's records: one client at a time writes to a record, or its calls would have no order. */
const slots: readonly (readonly [object: string, by: Subject['by']])[] = [
  ['Account', 'id'],
  ['Contact', 'id'],
  ['Case', 'id'],
  ['Account', 'externalId'],
  ['Contact', 'externalId'],
  ['Lead', 'externalId'],
]
/** Writes to a record before another one takes its place: only the last of each tells whether their order was kept. */
const WRITES_PER_RECORD = [3, 12] as const

const kinds: readonly (readonly [kind: WriteType | 'batch', weight: number])[] = [
  ['create', 40],
  ['update', 30],
  ['upsert', 24],
  ['batch', 4],
]
const SYNCHRONOUS = 0.12
const REJECTED = 0.05
/** The average of records of a call, batches included, for the rate. */
const RECORDS_PER_CALL = 1.2

/** Decides every call of every client. */
export function planLoad({ seconds, seed, rate }: PlanOptions): Load {
  const load: Load = {
    clients: [],
    held: [],
    parents: Array.from({ length: PARENTS }, (_, place) => subject(`parent-${place}`, 'Account', 'id')),
  }
  load.held.push(...load.parents.map((parent) => ({ subject: parent, values: wholeRecord(parent) })))
  const meanGapMs = (1000 * RECORDS_PER_CALL * CLIENTS) / rate
  for (let place = 0; place < CLIENTS; place += 1) {
    const client = new PlannedClient(place, new Draw(seed * 31 + 3_000 + place), load.held)
    const calls: PlannedCall[] = []
    for (let at = client.draw.wait(meanGapMs); at < seconds * 1000; at += client.draw.wait(meanGapMs))
      calls.push(client.call(Math.round(at)))
    load.clients.push(calls)
  }
  return load
}

const subject = (name: string, object: string, by: Subject['by']): Subject => ({ name, object, by })

/** What a record needs to be taken by the org. */
function wholeRecord({ name, object }: Pick<Subject, 'name' | 'object'>): Values {
  switch (object) {
    case 'Account':
      return { Name: name }
    case 'Contact':
      return { LastName: name }
    case 'Lead':
      return { LastName: name, Company: 'Chaos' }
    case 'Opportunity':
      return { Name: name, StageName: 'Prospecting', CloseDate: '2027-01-15' }
    default:
      return { Subject: name }
  }
}

/** A client's records, and what it does next. */
class PlannedClient {
  readonly draw: Draw
  readonly #place: number
  readonly #held: HeldRecord[]
  readonly #records: { subject: Subject; left: number }[]
  #generation = 0
  #items = 0

  constructor(place: number, draw: Draw, held: HeldRecord[]) {
    this.draw = draw
    this.#place = place
    this.#held = held
    this.#records = slots.map((_, slot) => this.#newRecord(slot))
  }

  call(at: number): PlannedCall {
    const { draw } = this
    const kind = draw.weighted(kinds)
    const mode = draw.chance(SYNCHRONOUS) ? 'synchronous' : 'asynchronous'
    const groupRef = groupRefs[this.#place % groupRefs.length] ?? ''
    const call = { at, groupRef, mode, api: draw.whole(0, 1) } as const
    if (kind === 'batch') return { ...call, ...this.#batch() }
    const single = kind === 'create' ? this.#create() : this.#change(kind)
    return { ...call, ...single, isBatch: false, policy: this.#policy(mode, single.type) }
  }

  #create(): Pick<PlannedCall, 'object' | 'type' | 'items'> {
    const object = this.draw.weighted([
      ['Contact', 3],
      ['Case', 2],
      ['Lead', 3],
      ['Opportunity', 2],
    ])
    return { object, type: 'create', items: [this.#newItem(object)] }
  }

  /** An update, an upsert, or a delete: the last of what happens to some records. */
  #change(kind: WriteType): Pick<PlannedCall, 'object' | 'type' | 'items'> {
    const by = kind === 'update' ? 'id' : 'externalId'
    const slot = this.draw.from([...slots.keys()].filter((place) => slots[place]?.[1] === by))
    const record = this.#recordAt(slot)
    record.left -= 1
    const isLast = record.left <= 0
    const { object } = record.subject
    const type = isLast && by === 'id' && this.draw.chance(0.5) ? 'delete' : kind
    const item = type === 'delete' ? this.#item({}, record.subject) : this.#changeOf(record.subject)
    if (isLast) this.#records[slot] = this.#newRecord(slot)
    return { object, type, items: [item] }
  }

  #batch(): Pick<PlannedCall, 'object' | 'type' | 'items' | 'isBatch' | 'policy'> {
    const { draw } = this
    const policy = draw.chance(0.5) ? { allOrNone: draw.chance(0.8) } : null
    if (draw.chance(0.5)) {
      const object = draw.from(['Contact', 'Case', 'Lead'])
      const items = Array.from({ length: draw.whole(2, 10) }, () => this.#newItem(object))
      return { object, type: 'create', items, isBatch: true, policy }
    }
    const slot = draw.whole(0, slots.length - 1)
    const { subject: named } = this.#recordAt(slot)
    const { object, by } = named
    // One record that others write to as well, among some of the batch's own.
    const fresh = Array.from({ length: draw.whole(1, 5) }, () => this.#newSubject(object, by))
    const items = [named, ...fresh].map((one) => this.#changeOf(one))
    return { object, type: by === 'id' ? 'update' : 'upsert', items, isBatch: true, policy }
  }

  #policy(mode: PlannedCall['mode'], type: WriteType): PlannedCall['policy'] {
    const { draw } = this
    if (mode === 'synchronous' || draw.chance(0.15)) return null
    const merge = (type === 'update' || type === 'upsert') && draw.chance(0.35)
    const allOrNone = !merge && draw.chance(0.12)
    return {
      maxDelaySeconds: draw.from([0, 0.2, 0.5, 1, 3]),
      maxRecords: draw.from([10, 50, 100]),
      ...(merge ? { merge } : {}),
      ...(allOrNone ? { allOrNone, onRollback: draw.from(['fail', 'resend']) } : {}),
    }
  }

  #recordAt(slot: number): { subject: Subject; left: number } {
    const record = this.#records[slot]
    if (record === undefined) throw new RangeError(`a client has no record ${slot}`)
    return record
  }

  #newRecord(slot: number): { subject: Subject; left: number } {
    const [object = '', by = 'id'] = slots[slot] ?? []
    return { subject: this.#newSubject(object, by), left: this.draw.whole(...WRITES_PER_RECORD) }
  }

  #newSubject(object: string, by: Subject['by']): Subject {
    this.#generation += 1
    const made = subject(`record-${this.#place}-${this.#generation}`, object, by)
    if (by === 'id') this.#held.push({ subject: made, values: wholeRecord(made) })
    return made
  }

  #newItem(object: string): PlannedItem {
    const item = this.#item({}, null)
    item.values = {
      ...wholeRecord({ name: item.marker, object }),
      [markerField]: item.marker,
      ...this.#spoil(),
    }
    // Children of one parent lock it, and so each other (facts 8).
    if (object === 'Contact' && this.draw.chance(0.3)) item.parent = this.draw.whole(0, PARENTS - 1)
    return item
  }

  #changeOf(named: Subject): PlannedItem {
    const item = this.#item({}, named)
    const values: Values = {
      [markerField]: item.marker,
      Score__c: this.#place * 100_000 + this.#items,
      Region_Key__c: `region-${item.marker}`,
    }
    const fields = changedFields.filter(() => this.draw.chance(0.6))
    const chosen = fields.length === 0 ? [markerField] : fields
    item.values = {
      ...(named.by === 'id' ? {} : wholeRecord(named)),
      ...Object.fromEntries(chosen.map((field) => [field, values[field] ?? ''])),
      ...this.#spoil(),
    }
    return item
  }

  /** A value that the org's validation rule refuses. */
  #spoil(): Values {
    return this.draw.chance(REJECTED) ? { Score__c: -1 } : {}
  }

  #item(values: Values, named: Subject | null): PlannedItem {
    this.#items += 1
    return { marker: `write-${this.#place}-${this.#items}`, values, subject: named, parent: null }
  }
}
