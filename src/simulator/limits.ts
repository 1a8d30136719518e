import type { Answer } from './api-error.ts'
import type { Org } from './org.ts'

/** `GET /limits` (facts 6); the call itself is counted before it is answered. */
export function limits(org: Org): Answer {
  const full = (max: number): { Max: number; Remaining: number } => ({ Max: max, Remaining: max })
  const { dailyApiLimit } = org.settings
  return {
    status: 200,
    body: {
      DailyApiRequests: { Max: dailyApiLimit, Remaining: Math.max(0, dailyApiLimit - org.apiUsed) },
      DailyBulkApiBatches: full(15_000),
      DailyBulkV2QueryJobs: full(10_000),
      DataStorageMB: full(10_240),
      FileStorageMB: full(10_240),
    },
  }
}

/** The value of `Sforce-Limit-Info` (facts 6). */
export const limitInfo = (org: Org): string => `api-usage=${org.apiUsed}/${org.settings.dailyApiLimit}`
