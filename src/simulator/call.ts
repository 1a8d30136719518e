import type { Answer, ApiError } from './api-error.ts'
import type { Contention } from './contention.ts'
import type { Org } from './org.ts'
import type { Session } from './sessions.ts'
import type { Transaction } from './table.ts'
import type { SforceHeaders } from './write-headers.ts'

/** What answers a request: found by the router, run after the session and the limits were checked. */
export interface Route {
  /** Its kind in the request log and in fault matches, such as `collections.create` or `single.get`. */
  operation: string
  /** The object that the path names. */
  object?: string
  /** Whether it needs no session and is not counted as a call. */
  open?: boolean
  /** Calls that it counts as against the limits (facts 6); 1 when absent. */
  calls?: (call: Call) => number
  handle: (org: Org, call: Call) => Answer
}

/** Finds the route of a method and the segments after the version. */
export type RouteFinder = (method: string, segments: string[], version: number) => Route

/** A request as its handler sees it; a composite subrequest is one too. */
export interface Call {
  readonly method: string
  /** Without the query. */
  readonly path: string
  readonly query: URLSearchParams
  /** Decoded path segments after `/services/data/vXX.X/`. */
  readonly segments: string[]
  /** API version, such as 60; 0 outside `/services/data/vXX.X`. */
  readonly version: number
  readonly route: Route
  header(name: string): string | undefined
  /** Its Sforce-* and x-sfdc-* headers. */
  readonly sforceHeaders: SforceHeaders
  readonly rawBody: string
  /** The parsed JSON body; undefined when there is none. */
  readonly body: unknown
  /** Where the body lies inside `rawBody`; not empty for composite subrequests. */
  readonly bodyPath: (string | number)[]
  /** Set once the session was checked. */
  session?: Session
  /** Why the body could not be read; only tells the caller once the session was found good. */
  readonly bodyError?: ApiError
  /** What it writes; undone as a whole when it is refused midway. */
  readonly tx: Transaction
  /** Set by a composite call with allOrNone: it overrides the flag of its collections (facts 4.1). */
  forcedAllOrNone?: boolean
  /** Set when the settings let requests be in each other's way. */
  contention?: Contention
}

/** A JSON object of a body. */
export type JsonObject = Record<string, unknown>

/** Whether a value is a JSON object. */
export const isJsonObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
