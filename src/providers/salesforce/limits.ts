import type { ApiUsage, ProviderError, ThrottleKind } from '../../model/outcome.ts'

/**
 * Reads the header `Sforce-Limit-Info` (facts 6): `api-usage=10018/100000; per-app-api-usage=17/250(...)`.
 * The second part counts something else and is not to be taken for the first.
 */
export function parseApiUsage(header: string | undefined): ApiUsage | null {
  const match = /(?:^|[;,\s])api-usage=(\d{1,15})\/(\d{1,15})/.exec(header ?? '')
  return match === null ? null : { used: Number(match[1]), limit: Number(match[2]) }
}

/** Which of the three limits with the code `REQUEST_LIMIT_EXCEEDED` was hit; only the message tells (facts 6). */
export function throttleKind(errors: readonly ProviderError[]): ThrottleKind | null {
  for (const { code, message } of errors) {
    if (code !== 'REQUEST_LIMIT_EXCEEDED') continue
    if (/TotalRequests/i.test(message)) return 'daily'
    if (/ConcurrentPerOrgLongTxn/i.test(message)) return 'long_running'
    if (/ConcurrentRequests|Concurrent API Requests/i.test(message)) return 'concurrent'
  }
  return null
}
