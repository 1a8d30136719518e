import type { HistogramData } from '../harness/histogram.ts'

/** A call that the load makes, once or again and again. */
export interface LoadRequest {
  method: 'GET' | 'POST'
  path: string
  headers: Record<string, string>
  body?: string
}

interface Common {
  /** Base address. */
  url: string
  /** Made in turn, from the start again after the last one. */
  requests: readonly LoadRequest[]
  /** Connections that are kept open; each has one call under way at most. */
  connections: number
}

/** Each connection makes its next call as soon as the last one is answered. */
export interface ClosedLoop extends Common {
  kind: 'closed'
  /** Ends after this many seconds, or */
  seconds?: number
  /** after this many calls. */
  count?: number
  /** Seconds at the beginning that are not counted. */
  leadSeconds?: number
  /** Whether the operations' ids are wanted. */
  ids?: boolean
  /** Writes that each call brings: an answer that names fewer operations has the status `incomplete`. */
  writesPerCall?: number
}

/** Calls at fixed times, whatever becomes of those before; latencies count from those times. */
export interface Paced extends Common {
  kind: 'paced'
  perSecond: number
  seconds: number
}

/** One call on each of as many connections as there are requests, all open at once; `connections` is not used. */
export interface OpenAtOnce extends Omit<Common, 'connections'> {
  kind: 'at-once'
}

export type Order = ClosedLoop | Paced | OpenAtOnce

/** What came of an order. */
export interface LoadResult {
  /** Answers that count. */
  count: number
  /** The time that they took. */
  seconds: number
  /** Answers by status, whether they count or not. */
  statuses: Record<string, number>
  latency: HistogramData
  /** Operations' ids, if wanted, in no order. */
  ids: string[]
  /** at-once: when each request was answered, in milliseconds since the epoch. */
  answeredAt: number[]
}

/** From the bench to the load. */
export interface OrderMessage {
  id: number
  order: Order
}

/** From the load to the bench; `held` when every call of an at-once order is out. */
export type LoadMessage =
  | { ready: true }
  | { id: number; held: { answered: number } }
  | { id: number; result: LoadResult }
  | { id: number; error: string }
