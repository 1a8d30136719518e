import type { Clock } from '../../kernel/clock.ts'
import type { Telemetry } from '../../kernel/telemetry.ts'
import { INTERACTIONS } from '../../model/engagement.ts'
import type { HttpClient, HttpRequest } from './http.ts'

/**
 * What a request is for, as far as its path tells: `token` (the login host), `composite` (several groups in one
 * call), `collection` (one group), `record` (a single record), `read`, or `other`. Few and fixed: it is a label.
 */
export function operationOf({ method, url }: Pick<HttpRequest, 'method' | 'url'>): string {
  const path = URL.parse(url)?.pathname ?? ''
  if (path.startsWith('/services/oauth2/')) return 'token'
  const call = /^\/services\/data\/v[\d.]+(\/.*)$/.exec(path)?.[1] ?? ''
  if (call === '/composite') return 'composite'
  // Retrieving many records is a POST too, to the object itself.
  if (/^\/composite\/sobjects\/[^/]+$/.test(call) && method === 'POST') return 'read'
  if (/^\/composite\/sobjects(\/|$)/.test(call) || call === '/composite/batch') return 'collection'
  if (/^\/sobjects(\/[^/]+\/describe)?\/?$/.test(call)) return 'read'
  if (call.startsWith('/sobjects/') || call === `/${INTERACTIONS}`) return 'record'
  return call.startsWith('/query') ? 'read' : 'other'
}

/** The same client, which tells of every request how it ended and how long it took. */
export const observeHttp = (
  http: HttpClient,
  clock: Clock,
  telemetry: Pick<Telemetry, 'providerCalled'>,
): HttpClient => ({
  send: async (request, limits) => {
    const begun = clock.monotonic()
    const outcome = await http.send(request, limits)
    const status = outcome.kind === 'answer' ? outcome.status : null
    telemetry.providerCalled(operationOf(request), status, (clock.monotonic() - begun) / 1000)
    return outcome
  },
  close: () => http.close(),
})
