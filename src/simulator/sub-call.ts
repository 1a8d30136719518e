import type { Call, RouteFinder } from './call.ts'
import { parseTarget } from './request-target.ts'
import { noSforceHeaders, type SforceHeaders } from './write-headers.ts'

/** One subrequest of a composite call, as its resource reads it. */
export interface SubCall {
  method: string
  /** From `/services/data/` on. */
  path: string
  body: unknown
  /** Where its body lies in the body of the call. */
  place: (string | number)[]
  /** Its own headers, by their names in lower case; some resources take none. */
  headers?: ReadonlyMap<string, string>
  sforceHeaders?: SforceHeaders
}

/** A subrequest as a call of its own: in the same session and transaction as the one that carries it. */
export function subCallOf(call: Call, sub: SubCall, findRoute: RouteFinder): Call {
  const { path, query, segments, version } = parseTarget(sub.path)
  return {
    method: sub.method,
    path,
    query,
    segments,
    version,
    route: findRoute(sub.method, segments, version),
    header: (name) => sub.headers?.get(name),
    sforceHeaders: sub.sforceHeaders ?? noSforceHeaders,
    rawBody: call.rawBody,
    body: sub.body,
    bodyPath: [...call.bodyPath, ...sub.place],
    tx: call.tx,
    ...(call.session ? { session: call.session } : {}),
    ...(call.contention ? { contention: call.contention } : {}),
  }
}
