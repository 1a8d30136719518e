import { seededRandom } from '../../simulator/random.ts'
import {
  demoObjects,
  keyField,
  markerField,
  someFields,
  wholeRecord,
  type DemoObject,
  type Draw,
  type Values,
} from './records.ts'
import { rejections, takenValue, uniqueField, type Rejection } from './rejections.ts'

export type DemoType = 'create' | 'update' | 'upsert'

/** A record that the org holds before the demo begins. */
export interface HeldRecord {
  object: DemoObject
  values: Values
}

/** What must become of a write. */
export type Expected = { state: 'succeeded'; created: boolean | null } | { state: 'failed'; code: string }

/** When a write leaves; see the write call's `autoBatchPolicy`. */
export interface Policy {
  maxDelaySeconds: number
  retryDeadlineHours?: number
  maxRecords?: number
}

/** One write to post, and what must become of it. */
export interface PlannedWrite {
  object: DemoObject
  type: DemoType
  /** Without the id of an update, which only the org knows. */
  record: Values
  /** What the write's record is marked with, and the write's reference. */
  marker: string
  /** For an update, and an upsert that must match: the place of its record among the held ones; else null. */
  target: number | null
  /** The id of an update whose record is not there; else null. */
  nobody: string | null
  policy: Policy
  expected: Expected
}

/** What the demo writes, and what the org holds before. */
export interface Plan {
  held: HeldRecord[]
  writes: PlannedWrite[]
}

/** Of a hundred writes, how many are of which object and kind. */
const shares: readonly [DemoObject, DemoType, number][] = [
  ['Contact', 'create', 26],
  ['Contact', 'update', 12],
  ['Contact', 'upsert', 12],
  ['Account', 'create', 10],
  ['Account', 'update', 10],
  ['Account', 'upsert', 10],
  ['Opportunity', 'create', 8],
  ['Opportunity', 'update', 6],
  ['Opportunity', 'upsert', 6],
]
const REJECTED_SHARE = 0.12
const EXISTING_SHARE = 0.5

const policies: readonly Policy[] = [
  { maxDelaySeconds: 2 },
  { maxDelaySeconds: 2.5 },
  { maxDelaySeconds: 3 },
  { maxDelaySeconds: 3, retryDeadlineHours: 4 },
]
/** One kind of write leaves in small groups, so that the demo shows them too. */
const smallGroups = { maxRecords: 25 }

/** Ids that are well formed and nobody's: the org counts up from low numbers. */
const nobodyPrefix: Record<DemoObject, string> = {
  Account: '001',
  Contact: '003',
  Opportunity: '006',
}

/**
 * Decides what is written: the same for the same size and seed. Every write has a record of its own, so
 * that its outcome does not depend on any other's.
 */
export function makePlan(size: number, seed: number): Plan {
  const random = seededRandom(seed)
  const draw: Draw = (list) => {
    const item = list[Math.floor(random() * list.length)]
    if (item === undefined) throw new RangeError('nothing to draw from')
    return item
  }
  const held = demoObjects.map((object): HeldRecord => {
    const marker = takenValue(object)
    return { object, values: { ...wholeRecord(object, 0, marker, draw), [uniqueField]: marker } }
  })
  const writes: PlannedWrite[] = []
  for (let index = 1; index <= size; index += 1) {
    const [object, type] = drawShare(random)
    const rejection =
      random() < REJECTED_SHARE ? draw(rejections.filter((one) => one.fits(object, type))) : null
    const exists = type === 'update' || (type === 'upsert' && random() < EXISTING_SHARE)
    const write = planWrite({ index, object, type, exists, rejection, draw })
    if (exists && write.nobody === null) write.target = hold(held, object, index, draw)
    writes.push(write)
  }
  return { held, writes }
}

function drawShare(random: () => number): readonly [DemoObject, DemoType, number] {
  let rest = random() * shares.reduce((sum, [, , share]) => sum + share, 0)
  for (const share of shares) {
    rest -= share[2]
    if (rest < 0) return share
  }
  throw new RangeError('the shares do not cover the draw')
}

const number = (index: number): string => String(index).padStart(6, '0')
const heldKey = (index: number): string => `held-${number(index)}`

/** Adds the record that the write of this index will meet; returns its place. */
function hold(held: HeldRecord[], object: DemoObject, index: number, draw: Draw): number {
  const key = heldKey(index)
  const values = { ...wholeRecord(object, index, key, draw), [keyField]: key }
  return held.push({ object, values }) - 1
}

function planWrite(about: {
  index: number
  object: DemoObject
  type: DemoType
  exists: boolean
  rejection: Rejection | null
  draw: Draw
}): PlannedWrite {
  const { index, object, type, exists, rejection, draw } = about
  const marker = `demo-${number(index)}`
  const good =
    type === 'update' ? someFields(object, index, marker, draw) : wholeRecord(object, index, marker, draw)
  const key = type === 'upsert' ? { [keyField]: exists ? heldKey(index) : marker } : {}
  const policy = draw(policies)
  return {
    object,
    type,
    record: { ...key, ...good, ...rejection?.spoil(object) },
    marker,
    target: null,
    nobody: rejection?.nobody === true ? `${nobodyPrefix[object]}zz0zzz${number(index)}` : null,
    policy: object === 'Opportunity' && type === 'upsert' ? { ...policy, ...smallGroups } : policy,
    expected:
      rejection === null
        ? { state: 'succeeded', created: type === 'update' ? null : !exists }
        : { state: 'failed', code: rejection.code },
  }
}

/** The marker of a record, whatever it is. */
export const markerOf = (record: Record<string, unknown>): string => String(record[markerField])
