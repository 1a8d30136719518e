import type { PlannedCall, PlannedItem } from './plan-load.ts'

/** What a caller knows of one record of a call, by the answer to it. */
export type Verdict =
  /** An operation is promised, or an outcome was answered. */
  | 'acknowledged'
  /** The connection broke, or the answer was an error after which the write may be there all the same. */
  | 'unknown'
  /** The answer says that nothing was written and nothing will be. */
  | 'refused'
  /** No process took the call. */
  | 'unsent'

/** What a synchronous call said of one record. */
export type Answered = 'succeeded' | 'failed'

/** One record of a call, and what its caller was told. */
export interface Entry {
  call: PlannedCall
  item: PlannedItem
  /** The record's place in its call. */
  position: number
  verdict: Verdict
  operationId: string | null
  /** The outcome that a synchronous call was answered with; null for all others. */
  answered: Answered | null
  /** Whether its place in the order of its record is not known: given up while it may still have been under way, or without a promise of order. */
  unordered: boolean
  /** Whether the answer said that it was not recorded (contract section 5). */
  unrecorded: boolean
  /** What came instead of the answer that was hoped for. */
  remark: string | null
}

/** An entry for each record of a call. */
export const entriesOf = (call: PlannedCall, told: Omit<Entry, 'call' | 'item' | 'position'>): Entry[] =>
  call.items.map((item, position) => ({ call, item, position, ...told }))

/** Entries of a call that was not answered, or never made. */
export const withoutAnswer = (
  call: PlannedCall,
  verdict: 'unknown' | 'unsent',
  remark: string,
  unordered = false,
): Entry[] =>
  entriesOf(call, { verdict, remark, unordered, operationId: null, answered: null, unrecorded: false })
